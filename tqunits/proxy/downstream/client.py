"""A client's connection: requests one after the other, each with its own exchange with a worker.

The request half of the router. Phases: HEAD (between requests, or in a head), BUSY (an exchange runs), TUNNEL (after a
valid 101), LINGER (the last answer is out; RFC 9112 §9.6: read what still comes, or a TCP reset may destroy the
answer). Requests that a client sends ahead wait in `input`, bounded, and are answered in order (§9.3.2). After a
malformed request nothing more is parsed. How it ends is downstream/parting.py's.
"""

from __future__ import annotations

import socket

from tqunits.http.additions import additions
from tqunits.http.forward import (
    response_head,
    upgrade_lines,
)
from tqunits.http.framing import NO_BODY, Framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import RequestHead, ResponseHead
from tqunits.http.pump import MAX_FRAMING, LengthPump
from tqunits.http.target import Target
from tqunits.proxy.downstream import attempts, relaying
from tqunits.proxy.downstream.asleep import Asleep, Awake
from tqunits.proxy.downstream.parting import BUSY, HEAD, LINGER, TUNNEL
from tqunits.proxy.downstream.patience import request_said, silence_said, stream_said
from tqunits.proxy.downstream.responding import Responding
from tqunits.proxy.downstream.tunnel import Tunnel
from tqunits.proxy.reactor.timers import NEVER
from tqunits.proxy.routes.backend import Backend
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.routes.site import NO_FILE, REFUSALS, Site, Unsent
from tqunits.proxy.transport.relay import LITTLE
from tqunits.proxy.transport.roles import Mover
from tqunits.proxy.transport.sendfile import FileBody
from tqunits.proxy.transport.stream import RECEIVE, UNCOPIED
from tqunits.proxy.upstream.connection import BODY, CONNECTING, Upstream
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.proxy.upstream.worker import RETRY_AFTER, Worker


class Client(Responding, Mover, Awake):
    """One client's connection."""

    __slots__ = ("borne_until", "file", "silent_since", "tunnel")

    def __init__(self, sock: socket.socket, peer: Peer, router: Router) -> None:
        super().__init__(sock, peer, router)
        self.tunnel: Tunnel | None = None
        self.file: FileBody | None = None  # that is being sent
        self.borne_until = NEVER  # the deadline given to a silent stream; with another it has said something
        self.silent_since = 0  # tick

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
            known = self.known
            if known is None or self.outbox or self.heads.collected is not None or not self.ask_again(known, data):
                self.take(data)
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
                    self.touch(self.router.rules.head_ticks)
                return
            raw, self.input = whole
            self.on_request(raw)
            if self.phase is not HEAD:
                return
            data, self.input = self.input, b""

    def dispatch(self, backend: Backend, framing: Framing) -> None:
        """The request is understood, and its head for the worker written: find it an endpoint, or a place in line."""
        worker = backend.worker
        self.backend = backend
        self.phase = self.phase.asked
        self.attempts = None
        self.hard = NEVER if backend.request == NEVER else self.wheel.tick + backend.request
        if framing is NO_BODY:
            self.silence = backend.read
        else:
            self.whole = False
            self.pump = framing.pump(limit=backend.max_body, framing=MAX_FRAMING)
            self.silence = max(backend.read, backend.write)
            if backend.buffers and self.pump is not None:
                self.gather()
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
        self.enter(worker)

    def enter(self, worker: Worker) -> None:
        if worker.has_room:
            self.worker = worker
            worker.in_flight += 1
            attempts.begin(self, worker, None)
        else:
            self.stand_in_line(worker)

    def serve_file(self, site: Site, head: RequestHead, target: Target, backend: Backend) -> bool:
        """Whether the request is answered without the program: with a file, or because there is no program."""
        self.backend = backend
        account = self.account
        last = not (self.persistent and self.bodiless) or self.router.draining or self.is_last()
        date = self.router.clock.date()
        path = backend.site_path.path(target.path)
        try:
            found = site.answer(head.method, path, head.fields, target=target, date=date, close=last)
        except OSError as error:
            self.complain(f"503: static files: {error}")
            self.answer(503)
            return True
        if isinstance(found, Unsent):
            return self._without_file(found, backend)
        self.persistent = not last
        account.routed(backend.worker.name, backend.worker.metrics, account.request_id)
        account.status = found.status
        if found.status >= 400:
            account.because(REFUSALS[found.status])
        self.started = True
        self.phase = self.phase.asked
        self.silence = backend.write
        self.file = FileBody(self, self, found.descriptor, found.offset, found.length)
        if self.file.begin(b"%b%b\r\n\r\n" % (found.head[:-4], additions(account.request_id, self.hsts))):
            self.file = None
            account.finished()
            account.because("")
            self.go_on_or_linger()
        return True

    def _without_file(self, found: Unsent, backend: Backend) -> bool:
        """No file is sent: the program answers, if there is one; what is odd about it is said either way."""
        if backend.worker.endpoints:
            if found.odd:
                complaints, who = self.router.complaints, f"worker {backend.worker.name}: {self.account.whom()}: "
                complaints.seldom(found.why, f"{who}no file is sent: ")
            return False
        self.account.routed(backend.worker.name, backend.worker.metrics, self.account.request_id)
        self.answer(404, NO_FILE, found.why)
        return True

    def sent(self, size: int) -> None:
        self.account.sent += size

    def file_sent(self) -> None:
        self.file = None
        self.finished()

    def tunnelled(self, data: bytes) -> None:
        assert self.tunnel is not None
        self.tunnel.from_worker(data)

    def tunnel_ended(self, *, regular: bool) -> None:
        assert self.tunnel is not None
        self.tunnel.worker_ended(regular=regular)

    def _on_more(self, data: bytes) -> None:
        """Bytes while an exchange runs: of its body, or ahead of their time."""
        if self.gathered is not None:
            self.gather_more(data)
        elif self.pump is None or self.upstream is None or self.upstream.phase is CONNECTING:
            self.input += data
            if len(self.input) >= RECEIVE or self.pump is not None:
                self.pause()
        else:
            self._on_body(data)

    def _on_body(self, data: bytes) -> None:
        upstream = self.upstream
        assert upstream is not None
        out = self.pumped(data)
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
            relaying.upload(self, upstream)

    def on_turn(self) -> None:
        """Another turn has come for what is here of a body of small chunks."""
        if self.pump is None or self._is_early() or self._is_full():
            return
        self._on_more(b"")
        if self.phase is not BUSY:
            return
        if self.ended:  # which nobody will be told again
            self._end_of_body()
        elif not self._is_full() and len(self.input) < RECEIVE:
            self.resume()

    def _is_early(self) -> bool:
        """Whether nothing is done yet with what comes of the body."""
        return self.gathered is None and (self.upstream is None or self.upstream.phase is CONNECTING)

    def _is_full(self) -> bool:
        """Whether the worker has to take what it has before it gets more."""
        return self.upstream is not None and bool(self.upstream.outbox)

    def _on_end(self) -> None:
        """The client sends no more. That is no reason not to answer what it sent (RFC 9112 §9.6)."""
        self.ended = True
        self.pause()
        if self.phase is TUNNEL:
            assert self.tunnel is not None
            self.tunnel.client_ended()
        elif self.phase is BUSY:
            self._end_of_body()
            if self.phase is BUSY and not self.closed:
                self.poller.add_last(self.sock, self)
        elif self.phase is HEAD and not self.heads.empty:
            self.refuse(Malformed(400, "the head is cut short"))
        elif self.phase is HEAD and self.outbox:
            self.shut_down()  # answers are still on their way
        else:
            self.close()

    def _end_of_body(self) -> None:
        """The client sends no more: what has come of the body is all there is of it."""
        if self.pump is not None:
            if self._is_early():
                self.take_in()
            elif not self.pump.rest:  # else it is looked at in turns
                self.refuse(Malformed(400, "the body is cut short"))
        if self.waiting:
            self.lose_place()
        elif self.phase is BUSY and self.file is None and self.backend is not None and self.backend.aborts:
            self.abort()

    def on_hung_up(self) -> None:
        """It had ended its side, and now it is gone altogether."""
        self.abort()

    # The exchange with the worker.

    def begin(self, trial: Endpoint | None) -> None:
        """It is this request's turn. `trial`: an endpoint that may be back; this request finds out."""
        assert self.worker is not None
        self.waiting = False
        attempts.begin(self, self.worker, trial)

    def sendable(self, upstream: Upstream) -> None:
        """The connection stands: send the head, and what has come of the body."""
        self.touch(self.silence)
        if self.hard != NEVER:
            self.limit(self.silence)
        body = b""
        if self.pump is not None and (self.input or self.pump.rest):
            data, self.input = self.input, b""
            pumped = self.pumped(data)
            if pumped is None:
                return
            if len(pumped) < UNCOPIED:
                self.first += pumped
            else:
                body = pumped
        self.kept = self.pump is None and not body
        if not upstream.write_both(self.first, body):
            self.first += body
            upstream.abandon()
            self.failed(upstream, "closed before the request was sent", sent=False)
        elif upstream.outbox and self.pump is not None:
            self.pause()
        else:
            if self.pump is not None and len(body) >= LITTLE:
                relaying.upload(self, upstream)
            if not self.reading and not self.ended and len(self.input) < RECEIVE:
                self.resume()
        if self.pump is not None:
            self.watch_pace()

    def failed(self, upstream: Upstream, reason: str, *, sent: bool = True) -> None:
        """The worker's connection ended without a response. `sent`: the worker may have seen the request."""
        self.upstream = None
        assert self.worker is not None
        attempts.again(self, self.worker, upstream, reason, sent=sent)

    def refused(self, upstream: Upstream, reason: str) -> None:
        """No connection came to stand."""
        self.upstream = None
        assert self.worker is not None
        attempts.refused(self, self.worker, upstream, reason)

    def flushed(self) -> None:
        """The worker has taken all that waited for it: read on."""
        if self.tunnel is not None:
            self.tunnel.worker_flushed()
            return
        self.moved()
        if not self.ended and len(self.input) < RECEIVE:
            self.resume()

    # What goes to the client.

    def finished(self) -> None:
        """The response is out, or at least waits in the outbox."""
        self.upstream = None
        self.account.finished()
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
            if self.upstream.phase is BODY:
                relaying.download(self.upstream, self)
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

    def fail(self, status: int, reason: str) -> None:
        """The worker's fault, before anything of a response went out."""
        self.complain(f"{status}: {reason}")
        self.give_up(status)

    def give_up(self, status: int, detail: str = "", retry_after: int = RETRY_AFTER) -> None:
        """Answer here after all; what the client has sent behind it is read next."""
        self.drop()
        if self.is_out_of_step():
            self.persistent = False
        self.bodiless = self.pump is None
        self.answer(status, detail, retry_after=retry_after)
        if self.phase is HEAD and self.input:
            self.router.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Requests that waited behind one that was given up; from the loop, so that failures can not nest."""
        if self.phase is HEAD and self.input and not self.closed:
            data, self.input = self.input, b""
            self.take(data)
            if self.ended and self.phase is BUSY:  # which nobody will be told again
                self._end_of_body()

    def drop(self) -> None:
        self.stop_relay()
        self.gathered = None
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
        self.phase = self.phase.switched
        self.hard = NEVER
        self.started = True
        lines = additions(self.account.request_id, self.hsts, head.fields) + upgrade_lines(b"websocket")
        self.account.status = 101
        self.account.endpoint = upstream.endpoint.label
        self.account.finished()  # told when the tunnel stands: how long it does is no latency
        assert self.backend is not None
        self.silence = self.backend.stream
        interim = response_head(head, None, close=False, date=b"")
        waiting, self.input = self.input, b""
        if self.write_out(b"%b%b\r\n\r\n" % (interim[:-4], lines)):
            self.tunnel = Tunnel(self, upstream)
            self.tunnel.open(from_client=waiting, from_worker=data, client_ended=self.ended)

    # Its end.

    def expire(self) -> None:
        """Nothing moved for too long. Who is it that keeps us waiting?"""
        if self.phase is HEAD:
            self._expire_between_requests()
        elif self.phase is not BUSY or self._takes_nothing():
            if self.phase is TUNNEL and not self.outbox and self.backend is not None:
                self.complain(f"cut: an upgraded connection was silent for {stream_said(self.backend.timeouts)}")
            self.abort()
        elif self.started:
            if not self._bears_silence():
                self.cut(f"no progress for {self._limit_said()}")
        elif self.waiting:
            if self.worker is not None:
                self.worker.metrics.queue_timeouts += 1
            self.fail(504, "no endpoint took it in time (proxy.queue_timeout)")
        elif self.upstream is not None and self.upstream.phase is CONNECTING:
            upstream = self.upstream
            upstream.abandon()
            self.refused(upstream, "no connection in time")
        elif self.pump is not None and self._waits_for_client():
            self.refuse(Malformed(408, ""))
        else:
            self.fail(504, f"no answer for {self._limit_said()}")

    def _bears_silence(self) -> bool:
        """Whether it is a stream that is silent, and may be for a while yet: the deadline is for what is no stream."""
        tick, upstream, backend = self.wheel.tick, self.upstream, self.backend
        if upstream is None or backend is None or isinstance(upstream.pump, LengthPump) or tick >= self.hard:
            return False
        if self.deadline != self.borne_until:
            self.silent_since = tick - self.silence
        left = self.silent_since + backend.stream - tick
        if left <= 0:
            return False
        self.limit(min(left, self.silence))
        self.borne_until = self.deadline
        return True

    def _limit_said(self) -> str:
        """The limit that has passed, and its setting."""
        assert self.backend is not None
        timeouts, upstream = self.backend.timeouts, self.upstream
        if self.wheel.tick >= self.hard:
            return request_said(timeouts)
        if self.started and upstream is not None and not isinstance(upstream.pump, LengthPump):
            return stream_said(timeouts)
        return silence_said(timeouts, body=not self.bodiless)

    def _expire_between_requests(self) -> None:
        left = self.rests_until - self.wheel.tick
        if not self.heads.empty:
            self.method, self.modern = b"", True
            self.refuse(Malformed(408, ""))
        elif left <= 0:
            self.close_regularly()
        elif self.reading and not self.outbox:
            self._sleep(left)
        else:
            self.touch(left)

    def _sleep(self, left: int) -> None:
        """The connection goes on as little more than its socket, for so many ticks at most."""
        clients = self.router.clients
        asleep = Asleep(self.sock, self.peer, self.router, self.counted, Client)
        clients.change(self, asleep)
        self.part()
        asleep.start(left)
        clients.slept(asleep)

    def _takes_nothing(self) -> bool:
        """Whether it is the client that does not take what is there for it."""
        relay = None if self.upstream is None else self.upstream.relay
        return bool(self.outbox) or (relay is not None and relay.blocked)

    def _waits_for_client(self) -> bool:
        if self.gathered is not None:
            return True
        upstream = self.upstream
        if upstream is None or upstream.phase is CONNECTING or upstream.outbox:
            return False
        return self.relay is None or not self.relay.blocked

    def owes_body(self) -> bool:
        upstream = self.upstream
        if upstream is not None and not upstream.interim and self.account.received == 0 and self.says_continue():
            return False  # it waits to be told that it may
        return self._waits_for_client()

    def body_came(self) -> int:
        if self.secured is not None:  # a record counts only when it is whole, and may take its time
            return self.secured.received
        return self.account.received + (0 if self.relay is None else self.relay.moved)

    def wake(self, counted: bytes) -> None:
        self.counted = counted
        self.resume()

    def is_tunnel(self) -> bool:
        return self.tunnel is not None

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
            if self.pace is not None:
                self.pace.forget()
            super().close()
            self.router.clients.left(self, self.counted)
