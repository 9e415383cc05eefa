"""A client's connection: requests one after the other, which share one reused Exchange.

Phases: HEAD (between requests, or in a head), BUSY (an exchange runs), TUNNEL (after a valid 101),
LINGER (the last answer is out; RFC 9112 §9.6: read what still comes, or a TCP reset may destroy the
answer). Requests that a client sends ahead wait in `input`, bounded, and are answered in order
(§9.3.2). After a malformed request nothing more is parsed. parting.py ends connections, reading.py
parses requests, handler.py runs exchanges.
"""

from __future__ import annotations

import socket

from tqunits.http.grammar import Malformed
from tqunits.proxy.downstream import replying
from tqunits.proxy.downstream.asleep import Asleep, Awake
from tqunits.proxy.downstream.handler import Handler
from tqunits.proxy.downstream.parting import BUSY, HEAD, LINGER, TUNNEL, Parting
from tqunits.proxy.downstream.reading import Reader
from tqunits.proxy.reactor.timers import NEVER
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.transport.stream import RECEIVE


class Client(Parting, Awake):
    """One client's connection."""

    __slots__ = ("_counted", "_exchange", "_peer", "_reader", "_rests_until", "_router")
    __deletable__ = ("_exchange", "_reader")  # reference cycles, broken when the connection ends

    def __init__(self, sock: socket.socket, peer: Peer, router: Router) -> None:
        super().__init__(sock, router.poller, router.wheel)
        if peer.secured is not None:
            self.wire = peer.secured
        self._router = router
        self._peer = peer
        self._counted = b""  # the address for which the connection is counted
        self._rests_until = NEVER  # the tick at which an idle connection is closed
        self._exchange = Handler(self, peer, router)
        self._reader = Reader(self._exchange, peer, router)

    def wake(self, counted: bytes) -> None:
        self._counted = counted
        self.resume()

    # What comes.

    def on_readable(self) -> None:
        try:
            data = self.wire.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        if not data:
            self._on_end()
        elif self.phase is HEAD:
            reader = self._reader
            known = reader.known
            if known is None or self.outbox or reader.heads.collected is not None or not reader.read_alike(known, data):
                self.take(data)
        elif self.phase is BUSY:
            self._exchange.more(data)
        elif self.phase is TUNNEL:
            self._exchange.tunnel_more(data)
        else:
            self.discard(len(data))

    def take(self, data: bytes) -> None:
        """Look for requests in the received data, and begin the first; the rest waits in
        `input`."""
        heads = self._reader.heads
        while data:
            if self.outbox:  # the client has not read its answers, so no more are made
                self.input = data
                self.pause()
                return
            try:
                whole = heads.feed(data)
            except Malformed as error:
                replying.refuse(self._exchange, error)
                return
            if whole is None:
                if self.ended:
                    self._cut_short()
                elif heads.size == len(data):  # the first piece of a head
                    self.touch(self._router.rules.head_ticks)
                return
            raw, self.input = whole
            self._reader.read(raw)
            if self.phase is not HEAD or self.closed:
                return
            data, self.input = self.input, b""

    def resume(self) -> None:
        """Read (again) after all received data was processed. Many small chunks wait for another
        turn."""
        if not self.closed and self._exchange.body.waits_for_turn:
            self.postpone()
        else:
            super().resume()

    def on_turn(self) -> None:
        self._exchange.take_turn()

    def _on_end(self) -> None:
        """The client has ended its side. What it has sent is answered nevertheless (RFC 9112
        §9.6)."""
        self.ended = True
        self.pause()
        if self.phase is TUNNEL:
            self._exchange.tunnel_no_more()
        elif self.phase is BUSY:
            self._exchange.no_more()
            if self.phase is BUSY and not self.closed:
                self.poller.add_last(self.sock, self)
        elif self.phase is HEAD and not self._reader.heads.empty:
            self._cut_short()
        elif self.phase is HEAD and self.outbox:
            self.shut_down()  # answers are still being sent
        else:
            self.close()

    def _cut_short(self) -> None:
        replying.refuse(self._exchange, Malformed(400, "the head is cut short"))

    def on_hung_up(self) -> None:
        """The client had ended its side, and now the connection is gone completely."""
        self.abort()

    # From one request to the next.

    def await_request(self) -> None:
        self.phase = self.phase.answered
        self.rest()

    def rest(self) -> None:
        """Reset per-request state; start the idle deadline."""
        self._exchange.forget()
        self.hard = NEVER
        rules = self._router.rules
        self._rests_until = self.wheel.tick + rules.idle_ticks
        if self._router.clients.is_crowd():
            self._exchange.first = b""
            self._reader.forget()
            self.touch(1)
        else:
            self.touch(rules.remembered_ticks)

    def serve_next(self) -> None:
        self.await_request()
        if self.input:
            self._go_on()
        elif self.ended or self._router.draining:
            self._exchange.end()
        if not self.reading and not self.closed and not self.ended and not self.input:
            self.resume()

    def serve_next_later(self) -> None:
        self._router.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Process what the client has sent ahead."""
        if self.phase is HEAD and self.input and not self.closed:
            data, self.input = self.input, b""
            self.take(data)
            if self.ended and self.phase is BUSY:  # this will not be reported again
                self._exchange.no_more()

    # Sending.

    def on_flushed(self) -> None:
        if self._exchange.client_flushed():
            return
        if self.phase is HEAD and self.input:
            self._go_on()
            if self.phase is HEAD and not self.outbox and not self.ended:
                self.resume()
        elif self.phase is HEAD and self._router.draining and self._reader.heads.empty:
            self._exchange.end()
        elif self.shut and (self.phase is not LINGER or self.ended):
            self.close()

    def on_progress(self) -> None:
        if self.phase is BUSY:
            self.moved()
        elif self.phase is HEAD:
            self.rest()
        elif self.ended:
            self.touch(self.silence)
        elif self.phase is LINGER:
            self.linger_on()

    def on_broken(self) -> None:
        self.abort()

    def on_fault(self) -> None:
        try:
            self.abort()
        finally:
            self.close()

    # Its end.

    def expire(self) -> None:
        """The deadline is over."""
        if self.phase is HEAD:
            self._expire_between_requests()
        else:
            self._exchange.expire()

    def _expire_between_requests(self) -> None:
        left = self._rests_until - self.wheel.tick
        if not self._reader.heads.empty:
            self._exchange.method, self._exchange.modern = b"", True
            replying.refuse(self._exchange, Malformed(408, ""))
        elif left <= 0:
            self.close_regularly()
        elif self.reading and not self.outbox:
            self._sleep(left)
        else:
            self.touch(left)

    def _sleep(self, left: int) -> None:
        """Replace the connection by a sleeping one, for so many ticks at most."""
        clients = self._router.clients
        asleep = Asleep(self.sock, self._peer, self._router, self._counted, Client)
        clients.change(self, asleep)
        self.part()
        self._let_go()
        asleep.start(left)
        clients.slept(asleep)

    def is_tunnel(self) -> bool:
        return self._exchange.tunnel is not None

    def drain(self) -> None:
        """Serve what has come, and then close."""
        if self.phase is HEAD and self.reading:
            self.on_readable()
        if self.phase is not HEAD or self.outbox or self.input or self.closed:
            return
        if self._reader.heads.empty:
            self.close_regularly()

    def close_regularly(self) -> None:
        """Close it only if no answer would be cut. Over TLS send close_notify."""
        self.shut_down()
        self.abort()

    def abort(self) -> None:
        if not self.closed:
            self._exchange.abort()

    def close(self) -> None:
        if not self.closed:
            self._exchange.closes()
            super().close()
            self._let_go()
            self._router.clients.left(self, self._counted)

    def _let_go(self) -> None:
        """Break the reference cycles; otherwise the memory would stay until the garbage collector
        runs."""
        del self._exchange, self._reader
