"""The body of a request: what of it is to come, what waits here, and the form in which the worker
gets it."""

from __future__ import annotations

from tqunits.http.framing import Framing, framed_by_length
from tqunits.http.pump import MAX_FRAMING, ChunkedPump, LengthPump, Pump, chunk, last_chunk
from tqunits.proxy.log.account import Account


class Body:
    """One for all requests of a connection, one after the other; no I/O."""

    __slots__ = ("_account", "gathered", "pump", "surplus", "whole")

    def __init__(self, account: Account) -> None:
        self._account = account
        self.pump: Pump | None = None  # until all of it has come
        self.surplus = b""  # what came behind it
        self.gathered: bytearray | None = None  # as the worker is to get it, while the rest is waited for
        self.whole = False  # all of it is in what is sent first

    def begin(self, framing: Framing, limit: int) -> None:
        """A request with that framing begins; `limit`: bytes that its worker takes, 0 for any
        number."""
        self.whole = False
        self.pump = framing.pump(limit=limit, framing=MAX_FRAMING)

    def feed(self, data: bytes) -> bytes:
        """Take what has come; gives what the worker is to get of it. Raises Malformed.

        When that was the end, there is no `pump` any more, and a `surplus` perhaps.
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
        """Whether some of what has come is for another turn of the loop: chunks that are many and
        small."""
        return self.pump is not None and bool(self.pump.rest)

    def gather(self) -> None:
        """It is to wait here, up to a limit."""
        self.gathered = bytearray()
        if isinstance(self.pump, ChunkedPump):
            self.pump.rechunk = False

    def behind(self, head: bytes, pump: Pump | None) -> bytes:
        """The head and what was gathered, which goes on. What came in chunks and is whole gets a
        length.

        Whole or not, what goes on in chunks is one up to here; so is what has trailers, which
        nothing else can have. `pump`: by which it came, also when that is done.
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
        """The kernel has moved so much of it, and this is left, where its length is known."""
        self._account.received += moved
        if isinstance(self.pump, LengthPump):
            self.pump.left = left
