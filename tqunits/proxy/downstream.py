"""A client's connection: requests one after the other, each with its own exchange with a worker.

The request half of the router. Phases: HEAD (between requests, or in a head), BUSY (an exchange runs), TUNNEL (after a
valid 101), LINGER (the last answer is out; RFC 9112 §9.6: read what still comes, or a TCP reset may destroy the
answer). Requests that a client sends ahead wait in `input`, bounded, and are answered in order (§9.3.2). After a
malformed request nothing more is parsed. How it ends is parting.py's.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tqunits.http.forward import (
    check_request,
    ends_here,
    request_head,
    response_head,
    upgrade_lines,
    wants_trailers,
    wants_websocket,
)
from tqunits.http.framing import NO_BODY, Framing, Kind, request_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, RequestHead, ResponseHead, parse_request
from tqunits.http.pump import LengthPump
from tqunits.http.target import Target, host_name, read_target
from tqunits.http.trust import RelayedOrigin
from tqunits.proxy import attempts, splicing
from tqunits.proxy.answering import Peer
from tqunits.proxy.file_body import FileBody
from tqunits.proxy.parting import BUSY, HEAD, LINGER, TUNNEL
from tqunits.proxy.stream import RECEIVE
from tqunits.proxy.timers import NEVER
from tqunits.proxy.tunnel import TUNNEL_IDLE, Tunnel
from tqunits.proxy.upstream import Phase as UpstreamPhase
from tqunits.proxy.upstream import Upstream
from tqunits.proxy.waiting import Waiting

if TYPE_CHECKING:
    from tqunits.proxy.pool import Backend, Endpoint
    from tqunits.proxy.router import Router
    from tqunits.proxy.static import Site
    from tqunits.routing.table import Table

_QUESTIONABLE: Final = frozenset({b"expect", b"via"})


@dataclass(frozen=True, slots=True)
class Known:
    """A request that has come twice, byte for byte, as that of a page that asks for news does."""

    raw: bytes
    table: Table[Backend]
    head: RequestHead
    backend: Backend
    before: bytes  # of the head for the worker, up to the request's identifier
    after: bytes


class Client(Waiting):
    """One client's connection."""

    __slots__ = (
        "file",
        "first",
        "heads",
        "known",
        "trailers",
        "tunnel",
        "upstream",
    )

    def __init__(self, sock: socket.socket, peer: Peer, router: Router) -> None:
        super().__init__(sock, peer, router)
        self.heads = HeadBuffer(router.heads)
        self.known: Known | None = None  # what was made of it, once it has come twice
        self.upstream: Upstream | None = None
        # The exchange:
        self.trailers = False  # the client reads trailers
        self.tunnel: Tunnel | None = None
        self.file: FileBody | None = None  # that is being sent
        self.first = b""  # what goes to the worker first: the head, and what was there of the body

    # What comes from the client.

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
            if self.outbox or not self.heads.is_all(data):
                self.take(data)
            else:
                self._on_request(data)
        elif self.phase is BUSY:
            self._on_more(data)
        elif self.phase is TUNNEL:
            assert self.tunnel is not None
            self.tunnel.from_client(data)
        else:
            self.discard(len(data))

    def take(self, data: bytes) -> None:
        """Look for requests in what came, and begin the first; the rest waits in `input`."""
        while data:
            if self.outbox:  # answers wait to be taken: nobody gets to pile up more of them
                self.input = data
                self.pause()
                return
            try:
                whole = self.heads.feed(data)
            except Malformed as error:
                self.refuse(error)
                return
            if whole is None:
                if self.ended:
                    self.refuse(Malformed(400, "the head is cut short"))
                elif self.heads.size == len(data):  # its first piece
                    self.touch(self.router.head_ticks)
                return
            raw, self.input = whole
            self._on_request(raw)
            if self.phase is not HEAD:
                return
            data, self.input = self.input, b""

    def _on_request(self, raw: bytes) -> None:
        """One whole head: read all of it before any of it has an effect."""
        known, last = self.known, self.last
        if known is not None:
            if known.raw == raw and known.table is self.router.table:
                self._repeat(known)
                return
            self.known = None
        try:
            self.last = head = parse_request(raw, None if last is None else last.fields, self.router.heads)
            self.method = head.method
            self.exchange.began(head)
            target = read_target(head)
            framing = self._read_meaning(head)
            relayed = None if self.trusted is None else self.trusted.origin(head.fields)
            backend = self._route(head, target, relayed)
            if backend is not None:
                self._prepare(head, framing, target, backend, relayed)
                if last is not None and last.is_same(head):
                    self._remember(raw, head, backend)
                self._dispatch(backend, framing)
        except Malformed as error:
            self.refuse(error)

    def _read_meaning(self, head: RequestHead) -> Framing:
        """What a request says besides what it asks for. Raises Malformed."""
        fields = head.fields
        if fields.usual and head.minor:
            self.modern = self.persistent = self.bodiless = True
            self.upgrade = self.trailers = False
            return NO_BODY
        framing = request_framing(head)
        if not fields.special.isdisjoint(_QUESTIONABLE):
            check_request(head, self.router.via)
        self.modern = head.minor == 1
        self.persistent = self.modern and b"close" not in fields.options_said
        self.bodiless = framing.source is Kind.NONE
        self.upgrade = b"upgrade" in fields.special and wants_websocket(head, framing)
        self.trailers = b"te" in fields.special and wants_trailers(head)
        return framing

    def _route(self, head: RequestHead, target: Target, relayed: RelayedOrigin | None) -> Backend | None:
        """What it is for; None: it has been answered here. Raises Malformed."""
        router = self.router
        if router.redirect and self.secured is None and (relayed is None or relayed.scheme != b"https"):
            self.redirect(target)
            return None
        backend = router.table.find(host_name(target.host) if router.table.by_host else b"", target.path)
        if target.encoded_slash and (backend is None or not backend.encoded_slash):
            raise Malformed(400, "an encoded slash in the path")
        if backend is None or ends_here(head):
            self.answer(404 if backend is None else 200)
            return None
        if backend.site is not None and self._serve_file(backend.site, head, target, backend):
            return None
        return backend

    def _remember(self, raw: bytes, head: RequestHead, backend: Backend) -> None:
        """Keep what was made of a request that may come once more, if that is all there is to it."""
        if not head.fields.usual or not head.minor or self.trusted is not None or backend.site is not None:
            return
        before, label, rest = self.first.rpartition(b"\r\nX-Request-ID: ")  # the last one of a head is always ours
        after = rest[rest.index(b"\r\n") :]
        raw = b"%b" % raw  # a copy: what recv(2) gave lies where 64 KiB were, and would break up the heap
        self.known = Known(raw, self.router.table, head, backend, before + label, after)

    def _repeat(self, known: Known) -> None:
        """The bytes of the request before, on the same routes: all that was found out of it holds again."""
        worker = known.backend.worker
        request_id = self.router.request_id()
        self.method = known.head.method
        self.exchange.began(known.head)
        self.exchange.routed(worker.name, worker.metrics, request_id)
        self.modern = self.persistent = self.bodiless = True
        self.first = known.before + request_id + known.after
        self._dispatch(known.backend, NO_BODY)

    def _prepare(
        self, head: RequestHead, framing: Framing, target: Target, backend: Backend, relayed: RelayedOrigin | None
    ) -> None:
        """The head that the worker gets. Raises Malformed: 413."""
        worker, route, request_id = backend.worker, backend.rewrite, b""
        if relayed is not None:
            route, request_id = route.below(relayed.prefix), relayed.request_id
            self.exchange.relayed(relayed.client, relayed.scheme)
        request_id = request_id or self.router.request_id()
        self.exchange.routed(worker.name, worker.metrics, request_id)
        if backend.max_body and framing.length > backend.max_body:
            raise Malformed(413, "the body is too large")
        self.first = request_head(
            head,
            target,
            framing,
            origin=relayed or self.origin,
            route=route,
            request_id=request_id,
            upgrade=self.upgrade,
        )

    def _dispatch(self, backend: Backend, framing: Framing) -> None:
        """The request is understood, and its head for the worker written: find it an endpoint, or a place in line."""
        worker = backend.worker
        self.backend = backend
        self.phase = BUSY
        self.attempts = None
        self.hard = NEVER if backend.request == NEVER else self.wheel.tick + backend.request
        if framing is NO_BODY:
            self.silence = backend.read
            endpoint = worker.ready if self.method in attempts.IDEMPOTENT else None
            if endpoint is not None and endpoint.idle and worker.in_flight < worker.max_inflight:
                self.worker = worker
                worker.in_flight += 1
                self.upstream = upstream = endpoint.idle.pop()
                upstream.begin(self)
                return
        else:
            self.pump = framing.pump(limit=backend.max_body)
            self.silence = max(backend.read, backend.write)
        if worker.has_room:
            self.worker = worker
            worker.in_flight += 1
            attempts.begin(self, worker, None)
        else:
            self.stand_in_line(worker)

    def _serve_file(self, site: Site, head: RequestHead, target: Target, backend: Backend) -> bool:
        """Whether the request is answered without the program: with a file, or because there is no program."""
        self.backend = backend
        last = not (self.persistent and self.bodiless) or self.router.draining or self.is_last()
        date = self.router.clock.date()
        path = backend.site_path.path(target.path)
        try:
            found = site.answer(head.method, path, head.fields, target=target, date=date, close=last)
        except OSError as error:
            self.complain(f"503: static files: {error}")
            self.answer(503)
            return True
        if found is None:
            if backend.worker.endpoints:
                return False
            self.answer(404)
            return True
        self.persistent = not last
        self.exchange.routed(backend.worker.name, backend.worker.metrics, b"")
        self.exchange.status = found.status
        self.started = True
        self.phase = BUSY
        self.silence = backend.write
        self.file = FileBody(self, found)
        hsts = b"" if self.secured is None else self.router.hsts
        if self.file.begin(b"%b%b\r\n\r\n" % (found.head[:-4], hsts) if hsts else found.head):
            self.file = None
            self.exchange.finished()
            self.go_on_or_linger()
        return True

    def file_sent(self) -> None:
        """The rest of a file is out."""
        self.file = None
        self.finished()

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
        elif len(data) == RECEIVE:
            splicing.upload(self, upstream)

    def _pumped(self, data: bytes) -> bytes | None:
        """A part of the body as the worker is to get it; None when that was no body and the exchange is over."""
        pump = self.pump
        assert pump is not None
        try:
            out = pump.feed(data)
        except Malformed as error:
            self.refuse(error)
            return None
        self.exchange.received += len(data)
        if pump.done:
            self.exchange.received -= len(pump.surplus)
            self.input = pump.surplus
            self.pump = None
        return out

    def _on_end(self) -> None:
        """The client sends no more. That is no reason not to answer what it sent (RFC 9112 §9.6)."""
        self.ended = True
        self.pause()
        if self.phase is TUNNEL:
            assert self.tunnel is not None
            self.tunnel.client_ended()
        elif self.phase is BUSY:
            if self.pump is not None:
                self.refuse(Malformed(400, "the body is cut short"))
        elif self.phase is HEAD and not self.heads.empty:
            self.refuse(Malformed(400, "the head is cut short"))
        elif self.phase is HEAD and self.outbox:
            self.shut_down()  # answers are still on their way
        else:
            self.close()

    # The exchange with the worker.

    def begin(self, trial: Endpoint | None) -> None:
        """It is this request's turn. `trial`: an endpoint that may be back; this request finds out."""
        assert self.worker is not None
        self.waiting = False
        attempts.begin(self, self.worker, trial)

    def upstream_ready(self, upstream: Upstream) -> None:
        """The connection stands: send the head, and what has come of the body."""
        self.touch(self.silence)
        if self.hard != NEVER:
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
        assert self.worker is not None
        attempts.again(self, self.worker, upstream, reason, sent=sent)

    def upstream_refused(self, upstream: Upstream, reason: str) -> None:
        """No connection came to stand."""
        self.upstream = None
        assert self.worker is not None
        attempts.refused(self, self.worker, upstream, reason)

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

    # What goes to the client.

    def responding(self, framing: Framing, status: int, endpoint: Endpoint, size: int) -> None:
        """The final response begins; `size`: bytes of its body that go out with its head."""
        self.started = True
        self.delimited = not framing.closes
        exchange = self.exchange
        exchange.status = status
        exchange.endpoint = endpoint.label
        exchange.sent = size

    def finished(self) -> None:
        """The response is out, or at least waits in the outbox."""
        self.upstream = None
        self.exchange.finished()
        self.leave_worker()
        if not self.persistent:
            self.end()
            return
        self.await_request()
        if self.input:
            self._go_on()
        elif self.ended or self.router.draining:
            self.end()
        if not self.reading and not self.closed and not self.ended and not self.input:
            self.resume()

    def on_flushed(self) -> None:
        if self.tunnel is not None:
            self.tunnel.client_flushed()
        elif self.file is not None:
            self.file.go_on()
        elif self.upstream is not None:
            self.moved()
            self.upstream.resume()
            if self.upstream.phase is UpstreamPhase.BODY:
                splicing.download(self.upstream, self)
        elif self.phase is HEAD and self.input:
            self._go_on()
            if self.phase is HEAD and not self.outbox and not self.ended:
                self.resume()
        elif self.phase is HEAD and self.router.draining and self.heads.empty:
            self.end()
        elif self.shut and (self.phase is not LINGER or self.ended):
            self.close()

    def on_progress(self) -> None:
        if self.phase is BUSY:
            self.moved()
        elif self.phase is HEAD:
            self.await_request()
        elif self.ended:
            self.touch(self.silence)

    def on_broken(self) -> None:
        self.abort()

    def fail(self, status: int, reason: str) -> None:
        """The worker's fault, before anything of a response went out."""
        self.complain(f"{status}: {reason}")
        self.give_up(status)

    def give_up(self, status: int, detail: str = "") -> None:
        """Answer here after all; what the client has sent behind it is read next."""
        self.drop()
        if self.is_out_of_step():
            self.persistent = False
        self.bodiless = self.pump is None
        self.answer(status, detail)
        if self.phase is HEAD and self.input:
            self.router.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Requests that waited behind one that was given up; from the loop, so that failures can not nest."""
        if self.phase is HEAD and self.input and not self.closed:
            data, self.input = self.input, b""
            self.take(data)

    def settle_relay(self) -> None:
        """The relay has ended: what it has moved counts."""
        relay, self.relay = self.relay, None
        assert relay is not None
        self.exchange.received += relay.moved
        if isinstance(self.pump, LengthPump):
            self.pump.left = relay.left

    def stop_relay(self) -> None:
        """Nobody wants the rest of what is being moved; whoever goes on reads again."""
        if self.relay is not None:
            self.relay.abort()
            self.settle_relay()
            self.reading = False

    def drop(self) -> None:
        self.stop_relay()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abandon()
        file, self.file = self.file, None
        if file is not None:
            file.close()
        self.leave_worker()

    def switched(self, upstream: Upstream, head: ResponseHead, data: bytes) -> None:
        """The worker has switched protocols: tell the client, then bytes go both ways."""
        self.leave_worker()  # a tunnel stands for as long as it likes: it is no request in flight
        self.phase = TUNNEL
        self.hard = NEVER
        self.started = True
        self.exchange.status = 101
        self.exchange.endpoint = upstream.endpoint.label
        self.exchange.finished()  # told when the tunnel stands: how long it does is no latency
        self.silence = TUNNEL_IDLE
        interim = response_head(head, None, close=False, date=b"")
        waiting, self.input = self.input, b""
        if self.write_out(interim[:-4] + upgrade_lines(b"websocket") + b"\r\n\r\n"):
            self.tunnel = Tunnel(self, upstream)
            self.tunnel.open(from_client=waiting, from_worker=data, client_ended=self.ended)

    def forget_request(self) -> None:
        self.last = self.known = None
        self.first = b""
        self.origin.forget()

    # Its end.

    def expire(self) -> None:
        """Nothing moved for too long. Who is it that keeps us waiting?"""
        if self.phase is HEAD:
            self._expire_between_requests()
        elif self.phase is not BUSY or self._takes_nothing():
            self.abort()
        elif self.started:
            self.cut("no progress in time")
        elif self.waiting:
            if self.worker is not None:
                self.worker.metrics.queue_timeouts += 1
            self.fail(504, "no endpoint took it in time")
        elif self.upstream is not None and self.upstream.phase is UpstreamPhase.CONNECTING:
            upstream = self.upstream
            upstream.abandon()
            self.upstream_refused(upstream, "no connection in time")
        elif self.pump is not None and self._waits_for_client():
            self.refuse(Malformed(408, ""))
        else:
            self.fail(504, "no answer in time")

    def _expire_between_requests(self) -> None:
        left = self.rests_until - self.wheel.tick
        if not self.heads.empty:
            self.method, self.modern = b"", True
            self.refuse(Malformed(408, ""))
        elif left <= 0:
            self.close_regularly()
        elif self.reading and not self.outbox:
            self.router.sleep(self, left)
        else:
            self.touch(left)

    def _takes_nothing(self) -> bool:
        """Whether it is the client that does not take what is there for it."""
        relay = None if self.upstream is None else self.upstream.relay
        return bool(self.outbox) or (relay is not None and relay.blocked)

    def _waits_for_client(self) -> bool:
        upstream = self.upstream
        if upstream is None or upstream.phase is UpstreamPhase.CONNECTING or upstream.outbox:
            return False
        return self.relay is None or not self.relay.blocked

    def drain(self) -> None:
        """Serve what has come; then no more."""
        if self.phase is HEAD and self.reading:
            self.on_readable()
        if self.phase is HEAD and self.heads.empty and not self.outbox and not self.input and not self.closed:
            self.close_regularly()

    def close_regularly(self) -> None:
        """Where no answer is cut by it: over TLS the client is told that this is the end."""
        self.shut_down()
        self.abort()

    def close(self) -> None:
        if not self.closed:
            self.stop_relay()
            super().close()
            self.router.left(self)
