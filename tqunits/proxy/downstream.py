"""A client's connection: requests one after the other, each with its own exchange with a worker.

The request half of the router. Phases: HEAD (between requests, or in a head), BUSY (an exchange runs), TUNNEL (after a
valid 101), LINGER (the last answer is out; RFC 9112 §9.6: read what still comes, or a TCP reset may destroy the
answer). Requests that a client sends ahead wait in `input`, bounded, and are answered in order (§9.3.2). After a
malformed request nothing more is parsed.
"""

from __future__ import annotations

import socket
from enum import Enum
from typing import TYPE_CHECKING, Final

from tqunits.http.answers import answer
from tqunits.http.fields import RequestFields
from tqunits.http.forward import (
    Origin,
    check_request,
    ends_here,
    request_head,
    response_head,
    upgrade_lines,
    wants_trailers,
    wants_websocket,
)
from tqunits.http.framing import Framing, Kind, request_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, RequestHead, ResponseHead, parse_request
from tqunits.http.pump import Pump
from tqunits.http.target import Target, host_name, read_target
from tqunits.proxy.attempts import Attempts
from tqunits.proxy.stream import RECEIVE, Stream
from tqunits.proxy.timers import NEVER, ticks_of
from tqunits.proxy.tunnel import TUNNEL_IDLE, Tunnel
from tqunits.proxy.upstream import Phase as UpstreamPhase
from tqunits.proxy.upstream import Upstream

if TYPE_CHECKING:
    from tqunits.proxy.pool import Backend
    from tqunits.proxy.router import Router

LINGER: Final = ticks_of(2_000_000)
MAX_LINGER: Final = 1024 * 1024
"""How long and how much is read of what nobody wants, so that the answer arrives: nginx waits 5 s per read, 30 s in
all, without a limit of bytes."""

_QUESTIONABLE: Final = frozenset({b"expect", b"via"})


class Phase(Enum):
    """Where the connection stands."""

    HEAD = 1
    BUSY = 2
    TUNNEL = 3
    LINGER = 4


class Client(Stream):
    """One client's connection."""

    __slots__ = (
        "attempts",
        "backend",
        "bodiless",
        "delimited",
        "ended",
        "fields",
        "first",
        "hard",
        "heads",
        "input",
        "lingered",
        "method",
        "modern",
        "origin",
        "persistent",
        "phase",
        "pump",
        "router",
        "silence",
        "started",
        "trailers",
        "tunnel",
        "upgrade",
        "upstream",
    )

    def __init__(self, sock: socket.socket, address: bytes, router: Router) -> None:
        super().__init__(sock, router.loop, router.wheel)
        self.router = router
        self.origin = Origin(address, b"http", router.via)
        self.phase = Phase.HEAD
        self.heads = HeadBuffer()
        self.input = b""  # received, not yet looked at
        self.ended = False  # the client sends no more
        self.lingered = 0
        self.fields: RequestFields | None = None  # of the request before
        self.upstream: Upstream | None = None
        # The exchange:
        self.backend: Backend | None = None
        self.method = b""
        self.modern = True  # speaks HTTP/1.1
        self.persistent = True
        self.bodiless = True  # the request has no body
        self.trailers = False  # reads trailers
        self.upgrade = False
        self.tunnel: Tunnel | None = None
        self.pump: Pump | None = None  # of the request's body, until all of it has come
        self.first = b""  # what goes to the worker first: the head, and what was there of the body
        self.started = False  # a final response has begun to go out
        self.delimited = True  # and says itself where it ends
        self.silence = 0  # ticks without progress that are borne
        self.hard = NEVER  # the tick at which the whole exchange is given up
        self.attempts: Attempts | None = None

    # What comes from the client.

    def on_readable(self) -> None:
        try:
            data = self.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        if not data:
            self._on_end()
        elif self.phase is Phase.HEAD:
            self._take(data)
        elif self.phase is Phase.BUSY:
            self._on_more(data)
        elif self.phase is Phase.TUNNEL:
            assert self.tunnel is not None
            self.tunnel.from_client(data)
        else:
            self._discard(len(data))

    def _take(self, data: bytes) -> None:
        """Look for requests in what came, and begin the first; the rest waits in `input`."""
        while data:
            if self.outbox:  # answers wait to be taken: nobody gets to pile up more of them
                self.input = data
                self.pause()
                return
            fresh = self.heads.empty
            try:
                whole = self.heads.feed(data)
            except Malformed as error:
                self.refuse(error)
                return
            if whole is None:
                if self.ended:
                    self.refuse(Malformed(400, "the head is cut short"))
                elif fresh:
                    self.touch(self.router.head_ticks)
                return
            raw, self.input = whole
            self._on_request(raw)
            if self.phase is not Phase.HEAD:
                return
            data, self.input = self.input, b""

    def _on_request(self, raw: bytes) -> None:
        """One whole head: read all of it before any of it has an effect."""
        router = self.router
        try:
            head = parse_request(raw, self.fields)
            self.method = head.method
            self.fields = fields = head.fields
            framing = request_framing(head)
            target = read_target(head)
            if not fields.special.isdisjoint(_QUESTIONABLE):
                check_request(head, router.via)
            self.modern = head.minor == 1
            self.persistent = self.modern and b"close" not in fields.options_said
            self.bodiless = framing.source is Kind.NONE
            table = router.table
            backend = table.find(host_name(target.host) if table.by_host else b"", target.path)
            if backend is None or ends_here(head):
                self._answer(404 if backend is None else 200)
                return
            self._forward(head, framing, target, backend)
        except Malformed as error:
            self.refuse(error)

    def _forward(self, head: RequestHead, framing: Framing, target: Target, backend: Backend) -> None:
        if backend.max_body and framing.length > backend.max_body:
            raise Malformed(413, "the body is too large")
        special = head.fields.special
        self.upgrade = b"upgrade" in special and wants_websocket(head, framing)
        self.trailers = b"te" in special and wants_trailers(head)
        self.first = request_head(
            head,
            target,
            framing,
            origin=self.origin,
            route=backend.rewrite,
            request_id=self.router.request_id(),
            upgrade=self.upgrade,
        )
        self.pump = framing.pump(limit=backend.max_body)
        self.backend = backend
        self.silence = backend.read if self.pump is None else max(backend.read, backend.write)
        self.hard = NEVER if backend.request == NEVER else self.wheel.tick + backend.request
        self.phase = Phase.BUSY
        self.attempts = Attempts(backend)
        self.attempts.begin(self)

    def _on_more(self, data: bytes) -> None:
        """Bytes while an exchange runs: of its body, or ahead of their time."""
        if self.pump is None or self.upstream is None or self.upstream.phase is UpstreamPhase.CONNECTING:
            self.input += data
            if len(self.input) >= RECEIVE or self.pump is not None:
                self.pause()
        else:
            self._on_body(data)

    def _on_body(self, data: bytes) -> None:
        upstream = self.upstream
        assert upstream is not None
        out = self._pumped(data)
        if out is None:
            return
        self.moved()
        if upstream.unheard:
            return
        if out and not upstream.write(out):
            upstream.unheard = True
        elif upstream.outbox:
            self.pause()

    def _pumped(self, data: bytes) -> bytes | None:
        """A part of the body as the worker is to get it; None when that was no body and the exchange is over."""
        pump = self.pump
        assert pump is not None
        try:
            out = pump.feed(data)
        except Malformed as error:
            self.refuse(error)
            return None
        if pump.done:
            self.input = pump.surplus
            self.pump = None
        return out

    def _on_end(self) -> None:
        """The client sends no more. That is no reason not to answer what it sent (RFC 9112 §9.6)."""
        self.ended = True
        self.pause()
        if self.phase is Phase.TUNNEL:
            assert self.tunnel is not None
            self.tunnel.client_ended()
        elif self.phase is Phase.BUSY:
            if self.pump is not None:
                self.refuse(Malformed(400, "the body is cut short"))
        elif self.phase is Phase.HEAD and not self.heads.empty:
            self.refuse(Malformed(400, "the head is cut short"))
        elif self.phase is Phase.HEAD and self.outbox:
            self.shut_down()  # answers are still on their way
        else:
            self.close()

    # The exchange with the worker.

    def upstream_ready(self, upstream: Upstream) -> None:
        """The connection stands: send the head, and what has come of the body."""
        self.limit(self.silence)
        if self.pump is not None and self.input:
            data, self.input = self.input, b""
            out = self._pumped(data)
            if out is None:
                return
            self.first += out
        if not upstream.write(self.first):
            upstream.abandon()
            self.upstream_failed(upstream, "closed before the request was sent", sent=False)
        elif upstream.outbox and self.pump is not None:
            self.pause()
        elif not self.reading and not self.ended and len(self.input) < RECEIVE:
            self.resume()

    def upstream_failed(self, upstream: Upstream, reason: str, *, sent: bool = True) -> None:
        """The worker's connection ended without a response. `sent`: the worker may have seen the request."""
        self.upstream = None
        assert self.attempts is not None
        self.attempts.again(self, upstream, reason, sent=sent)

    def upstream_flushed(self) -> None:
        """The worker has taken all that waited for it: read on."""
        if self.tunnel is not None:
            self.tunnel.worker_flushed()
            return
        self.moved()
        if not self.ended and len(self.input) < RECEIVE:
            self.resume()

    def moved(self) -> None:
        """Something moved: nobody is given up on that makes progress."""
        self.limit(self.silence)

    def limit(self, ticks: int) -> None:
        self.touch(ticks)
        if self.deadline > self.hard:  # timeouts.request is for all of it
            self.touch(max(0, self.hard - self.wheel.tick))

    # What goes to the client.

    def will_close(self, framing: Framing) -> bool:
        """Whether the response that now begins is the last one here."""
        if self._is_last() or self.router.draining or framing.closes or self._is_out_of_step():
            self.persistent = False
        return not self.persistent

    def _is_last(self) -> bool:
        """Whether the client has sent all that it wanted answered, this request at last."""
        return self.ended and not self.input

    def _is_out_of_step(self) -> bool:
        """Whether what comes next from the client may not be a request: a rest of a body, or of a refused upgrade."""
        return self.pump is not None or (self.upgrade and bool(self.input))

    def responding(self, framing: Framing) -> None:
        """The final response begins."""
        self.started = True
        self.delimited = not framing.closes

    def write_out(self, data: bytes) -> bool:
        """Send to the client; False when it is gone, and with it the exchange."""
        if self.write(data):
            return True
        self.abort()
        return False

    def finished(self) -> None:
        """The response is out, or at least waits in the outbox."""
        self.upstream = None
        if not self.persistent:
            self._end()
            return
        self._await_request()
        if self.input:
            self._go_on()
        elif self.ended:
            self._end()
        elif self.router.draining:
            self.close()
        if not self.reading and not self.closed and not self.ended and not self.input:
            self.resume()

    def on_flushed(self) -> None:
        if self.tunnel is not None:
            self.tunnel.client_flushed()
        elif self.upstream is not None:
            self.moved()
            self.upstream.resume()
        elif self.phase is Phase.HEAD and self.input:
            self._go_on()
            if self.phase is Phase.HEAD and not self.outbox and not self.ended:
                self.resume()
        elif self.shut and (self.phase is not Phase.LINGER or self.ended):
            self.close()

    def on_progress(self) -> None:
        if self.phase is Phase.BUSY:
            self.moved()

    def on_broken(self) -> None:
        self.abort()

    def _answer(self, status: int, detail: str = "") -> None:
        """Answer without a worker; the connection stays if the request is over."""
        if not self.bodiless or not self.modern or self.router.draining or self._is_last():
            self.persistent = False
        text = answer(
            status,
            date=self.router.clock.date(),
            detail=detail,
            head_only=self.method == b"HEAD",
            close=not self.persistent,
        )
        self.started = True
        if not self.write_out(text):
            return
        if self.persistent:
            self._await_request()
        else:
            self._linger()

    def _await_request(self) -> None:
        """Nothing of the last exchange counts for what comes next, nor for what is said of it if it is no request."""
        self.phase = Phase.HEAD
        self.method = b""
        self.started = False
        self.hard = NEVER
        self.touch(self.router.idle_ticks)

    def refuse(self, error: Malformed) -> None:
        """A request that is no request: say so once, and listen to nothing more on this connection."""
        self._drop_upstream()
        if self.started:
            self.abort()
            return
        self.persistent = False
        self._answer(error.status, error.detail)

    def fail(self, status: int, reason: str) -> None:
        """The worker's fault, before anything of a response went out."""
        name = self.backend.name if self.backend is not None else "-"
        self.router.complaints.warn(f"{status} worker {name}: {reason}")
        self._drop_upstream()
        if self._is_out_of_step():
            self.persistent = False
        self.bodiless = self.pump is None
        self._answer(status)
        if self.phase is Phase.HEAD and self.input:
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Requests that waited behind one that failed; from the loop, so that failures can not nest."""
        if self.phase is Phase.HEAD and self.input and not self.closed:
            data, self.input = self.input, b""
            self._take(data)

    def cut(self, reason: str) -> None:
        """The response can not be finished: the client must see that it is not whole (RFC 9112 §8)."""
        name = self.backend.name if self.backend is not None else "-"
        self.router.complaints.warn(f"cut worker {name}: {reason}")
        self._drop_upstream()
        if not self.delimited:  # a body that ends with the connection: only a reset tells
            self.reset()
        else:
            self._close_when_flushed()

    def abort(self) -> None:
        """The client is gone, or is to be."""
        self._drop_upstream()
        self.close()

    def _end(self) -> None:
        """The last response here is out. If the request's body is not, wait for it a while."""
        if self.pump is not None or self.input:
            self._linger()
        else:
            self._close_when_flushed()

    def _close_when_flushed(self) -> None:
        self.phase = Phase.LINGER
        self.ended = True
        self.pause()
        self.shut_down()
        if not self.outbox:
            self.close()
        else:
            self.touch(self.silence)

    def _linger(self) -> None:
        """Close in the order that lets the answer arrive: stop sending, read on for a while, close."""
        self.phase = Phase.LINGER
        self.input = b""
        self.pump = None
        self.hard = NEVER
        self.lingered = 0
        self.touch(LINGER)
        self.shut_down()
        if not self.ended:
            self.resume()
        elif not self.outbox:
            self.close()

    def _discard(self, size: int) -> None:
        self.lingered += size
        if self.lingered > MAX_LINGER:
            self.close()

    def _drop_upstream(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abandon()

    def switched(self, upstream: Upstream, head: ResponseHead, data: bytes) -> None:
        """The worker has switched protocols: tell the client, then bytes go both ways."""
        self.phase = Phase.TUNNEL
        self.hard = NEVER
        self.started = True
        self.silence = TUNNEL_IDLE
        interim = response_head(head, None, close=False, date=b"")
        waiting, self.input = self.input, b""
        if self.write_out(interim[:-4] + upgrade_lines(b"websocket") + b"\r\n\r\n"):
            self.tunnel = Tunnel(self, upstream)
            self.tunnel.open(from_client=waiting, from_worker=data, client_ended=self.ended)

    # Its end.

    def expire(self) -> None:
        """Nothing moved for too long. Who is it that keeps us waiting?"""
        if self.phase is Phase.HEAD:
            if self.heads.empty:
                self.abort()
            else:
                self.method, self.modern = b"", True
                self.refuse(Malformed(408, ""))
        elif self.phase is not Phase.BUSY or self.outbox:
            self.abort()
        elif self.started:
            self.cut("no progress in time")
        elif self.pump is not None and self._waits_for_client():
            self.refuse(Malformed(408, ""))
        else:
            self.fail(504, "no answer in time")

    def _waits_for_client(self) -> bool:
        upstream = self.upstream
        return upstream is not None and upstream.phase is not UpstreamPhase.CONNECTING and not upstream.outbox

    def drain(self) -> None:
        """Serve what has come; then no more."""
        if self.phase is Phase.HEAD and self.reading:
            self.on_readable()
        if self.phase is Phase.HEAD and self.heads.empty and not self.outbox and not self.input and not self.closed:
            self.close()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self.router.left(self)
