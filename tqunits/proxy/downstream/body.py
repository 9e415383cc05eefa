"""A client's connection, as far as its worker hears of a request only when the body is here (`proxy.buffer_requests`).

Without it a body is passed on as it comes, and a slow one takes one of the worker's places (`max_inflight`) for as long
as it lasts. With it, it waits here, in memory, up to what a connection may hold in one direction anyway; what is longer
goes on as it comes from there on. A request that is here whole can be sent twice, if it is idempotent; and it has a
Content-Length, however it came, for the programs that know of nothing else.
"""

from __future__ import annotations

import socket
from typing import Final

from tqunits.http.framing import framed_by_length
from tqunits.http.grammar import Malformed
from tqunits.http.pump import ChunkedPump, Pump, chunk, last_chunk
from tqunits.proxy.downstream.pace import Pace, Sender
from tqunits.proxy.downstream.reading import Asking
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.transport.stream import RECEIVE
from tqunits.proxy.upstream.worker import Worker

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Gathering(Asking, Sender):
    """One client's connection, as far as bodies wait here."""

    __slots__ = ("gathered", "kept", "pace")

    def __init__(self, sock: socket.socket, peer: Peer, router: Router) -> None:
        super().__init__(sock, peer, router)
        self.gathered: bytearray | None = None  # of the body, as the worker is to get it, while the rest is waited for
        self.pace: Pace | None = None  # of its bodies, since the first that was waited for
        self.kept = False  # all that was sent of the request is in `first`, and that is all of it

    def enter(self, worker: Worker) -> None:
        """Nothing more is waited for here: the request begins, or stands in line."""
        raise AssertionError

    def is_sending(self, pump: Pump) -> bool:
        return self.pump is pump and not self.started and not self.closed

    def watch_pace(self) -> None:
        """The rest of the body is waited for: see that it comes."""
        backend, pump = self.backend, self.pump
        if pump is None or backend is None or not backend.grace:
            return
        if self.pace is None:
            self.pace = Pace(self, self.wheel)
        self.pace.begin(pump, backend.min_rate, backend.grace)

    def on_slow_body(self, rate: int) -> None:
        """It does not come at that rate, in bytes a second."""
        self.complain(f"408: a body slower than {rate} bytes a second (proxy.min_body_rate, timeouts.body)")
        self.refuse(Malformed(408, "the body came too slowly"))

    def gather(self) -> None:
        """Wait for the body; some of it may be here, or all."""
        self.gathered = bytearray()
        if isinstance(self.pump, ChunkedPump):
            self.pump.rechunk = False
        self.limit(self.silence)
        data, self.input = self.input, b""
        if data:
            self.gather_more(data)
        if self.is_gathering():
            self.watch_pace()
            if self.says_continue():
                self.write_out(_CONTINUE)  # RFC 9110 §10.1.1: the client waits for it, and the worker is not asked yet

    def is_gathering(self) -> bool:
        """Whether the rest of a body is waited for."""
        return self.gathered is not None

    def gather_more(self, data: bytes) -> None:
        """More of the body has come."""
        pump = self.pump
        out = self.pumped(data)
        if out is None or self.gathered is None:
            return
        self.moved()
        self.gathered += out
        if self.pump is None or len(self.gathered) >= RECEIVE:
            self.whole = self.pump is None
            self.first = self._with_body(pump, bytes(self.gathered))
            self.gathered = None
            assert self.backend is not None
            self.enter(self.backend.worker)

    def _with_body(self, pump: Pump | None, body: bytes) -> bytes:
        """The request as far as it is here. What came in chunks and is whole gets a length.

        Whole or not, what goes on in chunks is one up to here; so is what has trailers, which nothing else can have.
        """
        if not isinstance(pump, ChunkedPump):
            return self.first + body
        if not self.whole:
            pump.rechunk = True
            return self.first + chunk(body)
        if pump.trailing:
            return self.first + chunk(body) + last_chunk(pump.trailing)
        return framed_by_length(self.first, body)

    def take_in(self) -> None:
        """The client sends no more, and what has come of the body was not looked at yet: it is all there, or cut."""
        data, self.input = self.input, b""
        while True:
            out = self.pumped(data)
            if out is None:
                return
            self.first += out
            if self.pump is None or not self.pump.rest:
                break
            data = b""
        self.whole = self.pump is None
        if not self.whole:
            self.refuse(Malformed(400, "the body is cut short"))

    def pumped(self, data: bytes) -> bytes | None:
        """A part of the body as the worker is to get it; None when that was no body and the exchange is over."""
        pump = self.pump
        assert pump is not None
        try:
            out = pump.feed(data)
        except Malformed as error:
            self.refuse(error)
            return None
        self.account.received += len(data)
        if pump.done:
            self.account.received -= len(pump.surplus)
            self.input = pump.surplus
            self.pump = None
        elif pump.rest:
            self.postpone()
        return out

    def resume(self) -> None:
        """Read (again), when all that has come is looked at: chunks that are many and small wait for another turn."""
        if self.pump is not None and self.pump.rest:
            self.postpone()
        else:
            super().resume()
