"""The body of a request: the part that is still to come, the part that waits here, and the form in
which the worker gets it."""

from __future__ import annotations

from tqunits.http.framing import Framing, framed_by_length
from tqunits.http.pump import MAX_FRAMING, ChunkedPump, LengthPump, Pump, chunk, last_chunk
from tqunits.proxy.log.account import Account


class Body:
    """One object for all requests of a connection, one after the other. No I/O."""

    __slots__ = ("_account", "gathered", "pump", "surplus", "whole")

    def __init__(self, account: Account) -> None:
        self._account = account
        self.pump: Pump | None = None  # until the whole body has come
        self.surplus = b""  # what came after the body
        self.gathered: bytearray | None = None  # in the worker's form, while the rest is waited for
        self.whole = False  # the whole body is in the first piece that is sent

    def begin(self, framing: Framing, limit: int) -> None:
        """A request with this framing begins. `limit`: the most bytes that its worker accepts; 0:
        no limit."""
        self.whole = False
        self.pump = framing.pump(limit=limit, framing=MAX_FRAMING)

    def feed(self, data: bytes) -> bytes:
        """Take received data; returns the worker's part of it. Raises Malformed.

        After the end of the body `pump` is None, and there may be a `surplus`.
        """
        pump = self.pump
        assert pump is not None
        out = pump.feed(data)
        self._account.received += len(data)
        if pump.done:
            self.surplus = pump.surplus
            self._account.received -= len(pump.surplus)
            self.pump = None
        return out

    @property
    def waits_for_turn(self) -> bool:
        """Whether some received data waits for another turn of the loop: many small chunks."""
        return self.pump is not None and bool(self.pump.rest)

    def gather(self) -> None:
        """Keep the body here, up to a limit."""
        self.gathered = bytearray()
        if isinstance(self.pump, ChunkedPump):
            self.pump.rechunk = False

    def behind(self, head: bytes, pump: Pump | None) -> bytes:
        """The head and the gathered body, which are sent now. A chunked body that is complete gets
        a Content-Length.

        A body that goes on in chunks is sent as one chunk up to here; so is a body with trailers,
        which need chunks. `pump`: that of the body, even if it is done.
        """
        assert self.gathered is not None
        body, self.gathered = bytes(self.gathered), None
        self.whole = self.pump is None
        if not isinstance(pump, ChunkedPump):
            return head + body
        if not self.whole:
            pump.rechunk = True
            return head + chunk(body)
        if pump.trailing:
            return head + chunk(body) + last_chunk(pump.trailing)
        return framed_by_length(head, body)

    def spliced(self, moved: int, left: int) -> None:
        """The kernel has moved so much of the body; `left` remains, if the length is known."""
        self._account.received += moved
        if isinstance(self.pump, LengthPump):
            self.pump.left = left
