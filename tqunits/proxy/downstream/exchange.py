"""A request of a client, and the response to it: what is known of them, and how they go on with the
connection.

upstream/worker.py decides who may begin, attempts.py where, replying.py says what the router
answers itself, handler.py what follows from what the connections tell.
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
    """What has gone wrong for one request so far; most requests have none of it."""

    __slots__ = ("left", "patience", "sent", "suspect", "unsent")

    def __init__(self) -> None:
        self.left: Availability | None = None  # where a connection died under this request
        self.patience = NEVER  # the tick until which it waits for an endpoint, once it had to
        self.sent = 0  # times that it may have been seen
        self.suspect: Availability | None = None  # whose process ended, if it did, with this request alone under way
        self.unsent = 0


class Exchange(Asker, Waiter, Mover, Sender):
    """The exchange that runs on a connection, if one does: one object for all of them, one after
    the other."""

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
        self.method = b""  # b"" if none runs
        self.modern = True  # it speaks HTTP/1.1
        self.bodiless = True  # it has no body
        self.body = Body(self.account)
        self.pace: Pace | None = None  # of its bodies, since the first that was waited for
        self.expecting = False  # the client waits for a 100 before it sends the body
        self.trailers = False  # the client reads trailers
        self.upgrade = False
        self.first: bytes = b""  # what goes to the worker first: the head, and what was there of the body
        self.kept = False  # all that was sent of the request is in `first`, and that is all of it
        # Where it goes.
        self.backend: Backend | None = None
        self.worker: Worker | None = None  # that has the request, waiting or begun
        self.waiting = False
        self.attempts: Attempts | None = None  # what went wrong so far
        self.upstream: Upstream | None = None
        self.file: FileBody | None = None  # that is being sent in its place
        # The response.
        self.persistent = True  # the connection goes on behind it
        self.started = False  # a final response has begun to go out
        self.delimited = True  # and says itself where it ends
        self.borne_until = NEVER  # the deadline given to a silent stream; with another it has said something
        self.silent_since = 0  # tick

    @property
    def hsts(self) -> bytes:
        """The line that responses over TLS have."""
        return b"" if self.secured is None else self.router.rules.hsts

    def is_last(self) -> bool:
        """Whether the client has sent all that it wanted answered, this request at last."""
        return self.client.ended and not self.client.input

    def is_out_of_step(self) -> bool:
        """Whether what comes next from the client may not be a request: a rest of a body, or of a
        refused upgrade."""
        return self.body.pump is not None or (self.upgrade and bool(self.client.input))

    def will_close(self, framing: Framing) -> bool:
        """Whether the response that now begins is the last one on the connection (RFC 9112
        §9.3)."""
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
        """Tell the operator."""
        name = self.backend.worker.name if self.backend is not None else "-"
        self.router.complaints.warn(f"worker {name}: {text}")

    def history(self) -> Attempts:
        """What went wrong so far, to be added to."""
        if self.attempts is None:
            self.attempts = Attempts()
        return self.attempts

    def leave_worker(self) -> None:
        """The request is over, or out of the worker's count: the next may begin."""
        worker, self.worker = self.worker, None
        if worker is None:
            return
        if self.waiting:
            self.waiting = False
            worker.leave(self)
        else:
            worker.done()

    def settle_relay(self) -> None:
        """The relay of the request's body has ended: what it has moved counts."""
        relay, self.client.relay = self.client.relay, None
        assert relay is not None
        self.body.spliced(relay.moved, relay.left)

    def stop_relay(self) -> None:
        """Nobody wants the rest of what is being moved; whoever goes on reads again."""
        if self.client.relay is not None:
            self.client.relay.abort()
            self.settle_relay()
            self.client.reading = False

    def write_out(self, data: bytes) -> bool:
        """Send to the client; False when it is gone, and with it the exchange."""
        if self.client.write(data):
            return True
        self.abort()
        return False

    def forget(self) -> None:
        """Nothing of it counts for what comes next, nor for what is said of that if it is no
        request."""
        self.method = b""
        self.started = False

    def drop(self) -> None:
        """Nobody wants what it would still bring."""
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
        """An answer is out, for which no worker is to be left."""
        if self.persistent:
            self.client.await_request()
        else:
            self.linger()

    def linger(self) -> None:
        """What is still to come of the request, nobody wants."""
        self.body.pump = None
        self.client.linger()

    def end(self) -> None:
        """The last response of the connection is out. If the request's body is not, wait for it a
        while."""
        if self.body.pump is not None or self.client.input:
            self.linger()
        else:
            self.client.close_when_flushed()

    def cut(self, reason: str) -> None:
        """The response can not be finished: the client must see that it is not whole (RFC 9112
        §8)."""
        self.complain(f"cut: {reason}")
        self.drop()
        self.account.finished(End.CUT)
        if not self.delimited:  # a body that ends with the connection: only a reset tells
            self.client.reset()
        else:
            self.client.close_when_flushed()

    def abort(self) -> None:
        """The client is gone, or is to be. If it is not, a body that ends with the connection must
        not look whole."""
        self.drop()
        self.account.finished(End.GONE)
        client = self.client
        if self.started and not self.delimited and (client.phase is BUSY or client.outbox):
            client.reset()
        else:
            client.close()

    def moved(self) -> None:
        """Something moved: nobody is given up on that makes progress."""
        self.client.moved()
