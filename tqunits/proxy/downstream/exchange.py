"""A request of a client and its response: the state of both, and how the connection goes on
afterwards.

upstream/worker.py decides which requests may begin, attempts.py on which connection, replying.py
writes the router's own answers, handler.py reacts to the events of the connections.
"""

from __future__ import annotations

from tqunits.http.framing import Framing
from tqunits.metrics.access_formats import End
from tqunits.model import HeadLimits
from tqunits.proxy.downstream.body import Body
from tqunits.proxy.downstream.pace import Pace, Sender
from tqunits.proxy.downstream.parting import BUSY, Parting
from tqunits.proxy.log.account import Account
from tqunits.proxy.reactor.timers import NEVER
from tqunits.proxy.routes.backend import Backend
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.transport.roles import Mover
from tqunits.proxy.transport.sendfile import FileBody
from tqunits.proxy.upstream.availability import Availability
from tqunits.proxy.upstream.connection import Asker, Upstream
from tqunits.proxy.upstream.worker import Waiter, Worker


class Attempts:
    """The failures of one request so far; most requests have none."""

    __slots__ = ("left", "patience", "sent", "suspect", "unsent")

    def __init__(self) -> None:
        self.left: Availability | None = None  # the endpoint whose connection died under this request
        self.patience = NEVER  # the last tick until which it waits for an endpoint, once it waits
        self.sent = 0  # how often the worker may have seen it
        self.suspect: Availability | None = None  # its process may have ended with only this request under way
        self.unsent = 0


class Exchange(Asker, Waiter, Mover, Sender):
    """The exchange of a connection. One object serves all its requests, one after the other."""

    __slots__ = (
        "account",
        "attempts",
        "backend",
        "bodiless",
        "body",
        "borne_until",
        "client",
        "delimited",
        "expecting",
        "file",
        "first",
        "kept",
        "method",
        "modern",
        "pace",
        "persistent",
        "router",
        "secured",
        "silent_since",
        "started",
        "trailers",
        "upgrade",
        "upstream",
        "waiting",
        "worker",
    )

    def __init__(self, client: Parting, peer: Peer, router: Router) -> None:
        self.client = client
        self.router = router
        self.secured = peer.secured
        self.account = Account(router.books, peer.address, b"http" if peer.secured is None else b"https")
        # The request.
        self.method = b""  # b"": no request
        self.modern = True  # the client uses HTTP/1.1
        self.bodiless = True  # it has no body
        self.body = Body(self.account)
        self.pace: Pace | None = None  # of its bodies, since the first body that came in parts
        self.expecting = False  # the client waits for a 100 before it sends the body
        self.trailers = False  # the client reads trailers
        self.upgrade = False
        self.first: bytes = b""  # the first bytes for the worker: the head, and what had come of the body
        self.kept = False  # `first` is the whole request
        # Where it goes.
        self.backend: Backend | None = None
        self.worker: Worker | None = None  # the worker of the request, which waits or has begun
        self.waiting = False
        self.attempts: Attempts | None = None  # the failures so far
        self.upstream: Upstream | None = None
        self.file: FileBody | None = None  # the file that is sent instead
        # The response.
        self.persistent = True  # the connection stays open after the response
        self.started = False  # a part of a final response was sent
        self.delimited = True  # the response itself shows where it ends
        self.borne_until = NEVER  # the deadline of a silent stream; if `deadline` differs, something has come
        self.silent_since = 0  # tick

    @property
    def hsts(self) -> bytes:
        """The HSTS field of responses over TLS; b"" without TLS."""
        return b"" if self.secured is None else self.router.rules.hsts

    def is_last(self) -> bool:
        """Whether this request is the last one of a client that has ended its side."""
        return self.client.ended and not self.client.input

    def is_out_of_step(self) -> bool:
        """Whether the client's next bytes may not be a request: the rest of a body, or of a refused
        upgrade."""
        return self.body.pump is not None or (self.upgrade and bool(self.client.input))

    def will_close(self, framing: Framing) -> bool:
        """Whether the connection closes after the response that now begins (RFC 9112 §9.3)."""
        draining = self.router.draining
        if self.client.ended or self.body.pump is not None or self.upgrade or draining or framing.closes:
            self.persistent = (
                self.persistent
                and not draining
                and not framing.closes
                and not self.is_last()
                and not self.is_out_of_step()
            )
        return not self.persistent

    def response_limits(self) -> HeadLimits:
        assert self.backend is not None
        return self.backend.response_heads

    def complain(self, text: str) -> None:
        """Write a message for the operator."""
        name = self.backend.worker.name if self.backend is not None else "-"
        self.router.complaints.warn(f"worker {name}: {text}")

    def history(self) -> Attempts:
        """The failures so far, as an object to add to."""
        if self.attempts is None:
            self.attempts = Attempts()
        return self.attempts

    def leave_worker(self) -> None:
        """The request is over, or no longer counts as in flight: the next may begin."""
        worker, self.worker = self.worker, None
        if worker is None:
            return
        if self.waiting:
            self.waiting = False
            worker.leave(self)
        else:
            worker.done()

    def settle_relay(self) -> None:
        """The relay of the request's body has ended: count what it has moved."""
        relay, self.client.relay = self.client.relay, None
        assert relay is not None
        if relay.was_blocked and self.upstream is not None:
            self.upstream.was_full = True  # the second in which it was is not over (patience.was_held_up)
        self.body.spliced(relay.moved, relay.left)

    def stop_relay(self) -> None:
        """Stop the relay, because the rest is not wanted. The connection reads again itself."""
        if self.client.relay is not None:
            self.client.relay.abort()
            self.settle_relay()
            self.client.reading = False

    def write_out(self, data: bytes) -> bool:
        """Send to the client. False when the client is gone, and the exchange with it."""
        if self.client.write(data):
            return True
        self.abort()
        return False

    def forget(self) -> None:
        """Reset the state of the request, so that it does not count for the next one."""
        self.method = b""
        self.started = False

    def drop(self) -> None:
        """Discard what the exchange would still bring."""
        self.stop_relay()
        self.body.gathered = None
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abandon()
        file, self.file = self.file, None
        if file is not None:
            file.close()
        self.leave_worker()

    def go_on_or_linger(self) -> None:
        """An answer of the router itself was sent; no worker has to be released."""
        if self.persistent:
            self.client.await_request()
        else:
            self.linger()

    def linger(self) -> None:
        """The rest of the request is not wanted."""
        self.body.pump = None
        self.client.linger()

    def end(self) -> None:
        """The last response of the connection was sent. If the request's body has not come yet,
        wait for it a while."""
        if self.body.pump is not None or self.client.input:
            self.linger()
        else:
            self.client.close_when_flushed()

    def cut(self, reason: str) -> None:
        """The response can not be completed; the client must see that it is incomplete (RFC 9112
        §8)."""
        self.complain(f"cut: {reason}")
        self.drop()
        self.account.finished(End.CUT)
        if not self.delimited:  # the body ends with the connection: only a reset shows the error
            self.client.reset()
        else:
            self.client.close_when_flushed()

    def abort(self) -> None:
        """The client is gone, or is to be cut off. In the second case a body that ends with the
        connection must not look complete."""
        self.drop()
        self.account.finished(End.GONE)
        client = self.client
        if self.started and not self.delimited and (client.phase is BUSY or client.outbox):
            client.reset()
        else:
            client.close()

    def moved(self) -> None:
        """Something moved: start the deadline again."""
        self.client.moved()
