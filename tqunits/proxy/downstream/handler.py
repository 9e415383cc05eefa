"""Runs an exchange: reacts to the events of the client's connection, of the worker's queue and of
the worker's connection.

The rules are in the files that it calls; here each event is mapped to its rule. The client's bytes
come through `more`, the worker's through the methods of `Asker`.
"""

from __future__ import annotations

from tqunits.http.alike import AlikeResponse
from tqunits.http.framing import NO_BODY, Framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import ResponseHead
from tqunits.http.pump import Pump
from tqunits.proxy.downstream import attempts, gathering, patience, queueing, relaying, replying, responding
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.downstream.parting import BUSY, Parting
from tqunits.proxy.downstream.tunnel import Tunnel
from tqunits.proxy.reactor.timers import NEVER
from tqunits.proxy.routes.backend import Backend
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.transport.relay import LITTLE
from tqunits.proxy.transport.stream import RECEIVE, UNCOPIED
from tqunits.proxy.upstream.connection import BODY, CONNECTING, Upstream
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.proxy.upstream.worker import RETRY_AFTER, Worker


class Handler(Exchange):
    """The exchanges of one connection to a client."""

    __slots__ = ("tunnel",)

    def __init__(self, client: Parting, peer: Peer, router: Router) -> None:
        super().__init__(client, peer, router)
        self.tunnel: Tunnel | None = None

    # Events of the client's connection.

    def dispatch(self, backend: Backend, framing: Framing) -> None:
        """The request is parsed, and its head for the worker written: find an endpoint, or a place
        in the queue."""
        client, worker = self.client, backend.worker
        self.backend = backend
        client.phase = client.phase.asked
        self.attempts = None
        client.hard = NEVER if backend.request == NEVER else client.wheel.tick + backend.request
        if framing is NO_BODY:
            client.silence = backend.read
        else:
            self.body.begin(framing, backend.max_body)
            client.silence = max(backend.read, backend.write)
            if backend.buffers and self.body.pump is not None:
                gathering.gather(self)
                return
        endpoint = worker.ready
        if endpoint is not None and endpoint.idle and worker.in_flight < worker.max_inflight:
            upstream: Upstream | None = None
            if framing is NO_BODY and self.method in worker.repeated:
                upstream = endpoint.idle.pop()
            elif endpoint.standing.relied_on:
                upstream = attempts.idle(endpoint, self, worker)
            if upstream is not None:
                self.worker = worker
                worker.in_flight += 1
                self.upstream = upstream
                upstream.begin(self)
                return
        attempts.enter(self, worker)

    def more(self, data: bytes) -> None:
        """Bytes that come during the exchange: of its body, or of a later request."""
        client = self.client
        if self.body.gathered is not None:
            gathering.gather_more(self, data)
        elif self.body.pump is None or self._is_early():
            client.input += data
            if len(client.input) >= RECEIVE or self.body.pump is not None:
                client.pause()
        else:
            self._pass_body(data)

    def _pass_body(self, data: bytes) -> None:
        upstream = self.upstream
        assert upstream is not None
        out = gathering.pumped(self, data)
        if out is None:
            return
        self.client.moved()
        if upstream.unheard:
            return
        if out and not upstream.write(out):
            upstream.unheard = True
        elif upstream.outbox:
            self.client.pause()
        elif len(data) == RECEIVE:
            relaying.upload(self, upstream)

    def take_turn(self) -> None:
        """Another turn of the loop, for the rest of a body of small chunks."""
        client = self.client
        if self.body.pump is None or (self.body.gathered is None and self._is_early()) or self._is_full():
            return
        self.more(b"")
        if client.phase is not BUSY:
            return
        if client.ended:  # this will not be reported again
            self.no_more()
        elif not self._is_full() and len(client.input) < RECEIVE:
            client.resume()

    def _is_early(self) -> bool:
        """Whether no connection to the worker exists yet that could take the body."""
        return self.upstream is None or self.upstream.phase is CONNECTING

    def _is_full(self) -> bool:
        """Whether the worker must take what waits for it before more is read."""
        return self.upstream is not None and bool(self.upstream.outbox)

    def no_more(self) -> None:
        """The client has ended its side: the body is complete with what has come, or cut."""
        if self.body.pump is not None:
            if self.body.gathered is None and self._is_early():
                gathering.take_in(self)
            elif not self.body.waits_for_turn:  # otherwise it is processed in turns
                replying.refuse(self, Malformed(400, "the body is cut short"))
        if self.waiting:
            queueing.lose_place(self)
        elif self.client.phase is BUSY and self.file is None and self.backend is not None and self.backend.aborts:
            self.abort()

    def tunnel_more(self, data: bytes) -> None:
        """Bytes for the other end of the tunnel."""
        assert self.tunnel is not None
        self.tunnel.from_client(data)

    def tunnel_no_more(self) -> None:
        """The client has ended its direction of the tunnel."""
        assert self.tunnel is not None
        self.tunnel.client_ended()

    def client_flushed(self) -> bool:
        """The client has taken everything that waited for it. Returns whether an exchange is
        running."""
        if self.tunnel is not None:
            self.tunnel.client_flushed()
        elif self.file is not None:
            self.file.go_on()
        elif self.upstream is not None:
            self.client.moved()
            self.upstream.resume()
            if self.upstream.phase is BODY:
                relaying.download(self, self.upstream)
        else:
            return False
        return True

    def expire(self) -> None:
        """The deadline is over."""
        patience.run_out(self)

    def closes(self) -> None:
        """The connection is about to be closed."""
        self.stop_relay()
        pace, self.pace, self.tunnel = self.pace, None, None
        if pace is not None:
            pace.forget()

    # Events of the worker's queue.

    def is_for(self, worker: Worker) -> bool:
        return self.worker is worker and not self.client.closed

    def begin(self, trial: Endpoint | None) -> None:
        assert self.worker is not None
        self.waiting = False
        attempts.begin(self, self.worker, trial)

    def fail(self, status: int, reason: str) -> None:
        replying.fail(self, status, reason)

    def give_up(self, status: int, detail: str = "", retry_after: int = RETRY_AFTER) -> None:
        replying.give_up(self, status, detail, retry_after)

    # Events of the worker's connection.

    def sendable(self, upstream: Upstream) -> None:
        """Send the head, and what has come of the body."""
        client = self.client
        client.moved()
        if self.body.pump is not None:
            self._send_with_body(upstream)
            return
        self.kept = True
        if not upstream.write(self.first):
            self._was_not_sent(upstream)
        elif not client.reading and not client.ended and len(client.input) < RECEIVE:
            client.resume()

    def _send_with_body(self, upstream: Upstream) -> None:
        client, out = self.client, b""
        if client.input or self.body.waits_for_turn:
            data, client.input = client.input, b""
            pumped = gathering.pumped(self, data)
            if pumped is None:
                return
            out = pumped
        if len(out) < UNCOPIED:
            self.first += out
            out = b""
        self.kept = self.body.pump is None and not out
        if not upstream.write_both(self.first, out):
            self.first += out
            self._was_not_sent(upstream)
        elif upstream.outbox and self.body.pump is not None:
            client.pause()
        else:
            if self.body.pump is not None and len(out) >= LITTLE:
                relaying.upload(self, upstream)
            if not client.reading and not client.ended and len(client.input) < RECEIVE:
                client.resume()
        gathering.watch_pace(self)

    def _was_not_sent(self, upstream: Upstream) -> None:
        upstream.abandon()
        self.failed(upstream, "closed before the request was sent", sent=False)

    def failed(self, upstream: Upstream, reason: str, *, sent: bool = True) -> None:
        self.upstream = None
        assert self.worker is not None
        attempts.again(self, self.worker, upstream, reason, sent=sent)

    def refused(self, upstream: Upstream, reason: str) -> None:
        self.upstream = None
        assert self.worker is not None
        attempts.refused(self, self.worker, upstream, reason)

    def size_sent(self) -> int:
        return len(self.first) if self.kept else 0

    def flushed(self) -> None:
        """The worker has taken everything: read on."""
        if self.tunnel is not None:
            self.tunnel.worker_flushed()
            return
        self.client.moved()
        if not self.client.ended and len(self.client.input) < RECEIVE:
            self.client.resume()

    def interim(self, head: ResponseHead) -> bool:
        return responding.interim(self, head)

    def respond_alike(self, upstream: Upstream, alike: AlikeResponse, data: bytes) -> bool:
        return responding.respond_alike(self, upstream, alike, data)

    def respond(self, upstream: Upstream, head: ResponseHead, data: bytes) -> None:
        responding.respond(self, upstream, head, data)

    def take_body(self, data: bytes) -> bool:
        self.account.sent += len(data)
        return self.write_out(data)

    def is_behind(self) -> bool:
        return bool(self.client.outbox)

    def splice(self, upstream: Upstream) -> None:
        relaying.download(self, upstream)

    def let_go(self, moved: int) -> None:
        self.stop_relay()  # its target is about to be closed
        self.account.sent += moved

    def answered(self) -> bool:
        self.stop_relay()  # the answer came before the whole request was sent
        return self.body.pump is None

    def finished(self) -> None:
        """The response is sent, or waits in the outbox."""
        self.upstream = None
        self.account.finished()
        self.leave_worker()
        if self.persistent:
            self.client.serve_next()
        else:
            self.end()

    def upgrades(self) -> bool:
        return self.upgrade

    def switched(self, upstream: Upstream, head: ResponseHead, data: bytes) -> None:
        """Tell the client; then bytes go in both directions."""
        client = self.client
        ahead, client.input = client.input, b""
        if responding.switch(self, upstream, head):
            self.tunnel = Tunnel(self, upstream)
            self.tunnel.open(from_client=ahead, from_worker=data, client_ended=client.ended)

    def tunnelled(self, data: bytes) -> None:
        assert self.tunnel is not None
        self.tunnel.from_worker(data)

    def tunnel_ended(self, *, regular: bool) -> None:
        assert self.tunnel is not None
        self.tunnel.worker_ended(regular=regular)

    def fail_with(self) -> None:
        self.client.on_fault()

    # Events of the file that is sent instead, and of the body's pace.

    def sent(self, size: int) -> None:
        self.account.sent += size

    def file_sent(self) -> None:
        self.file = None
        self.finished()

    def is_sending(self, pump: Pump) -> bool:
        return self.body.pump is pump and not self.started and not self.client.closed

    def kept_waiting(self) -> bool:
        upstream = self.upstream
        if self.expecting and upstream is not None and not upstream.interim and self.account.received == 0:
            return False  # it waits for permission to send (100 Continue)
        return not patience.was_held_up(self) and patience.owes_body(self)

    def body_came(self) -> int:
        if self.secured is not None:  # a TLS record counts only when it is complete, which may take time
            return self.secured.received
        return self.account.received + (0 if self.client.relay is None else self.client.relay.moved)

    def on_slow_body(self, rate: int) -> None:
        self.complain(f"408: a body slower than {rate} bytes a second (proxy.min_body_rate, timeouts.body)")
        replying.refuse(self, Malformed(408, "the body came too slowly"))
