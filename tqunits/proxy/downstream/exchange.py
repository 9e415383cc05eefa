"""A client's request as far as its worker goes: it waits for its turn or for an endpoint, begins, and leaves.

upstream/worker.py decides who may begin, attempts.py where; this is what they ask of the request.
"""

from __future__ import annotations

import socket

from tqunits.http.pump import LengthPump
from tqunits.proxy.downstream.answering import Answering
from tqunits.proxy.reactor.timers import NEVER
from tqunits.proxy.routes.backend import Backend
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
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


class Waiting(Answering, Asker, Waiter):
    """A client's connection, as far as it has a worker."""

    __slots__ = ("attempts", "backend", "upstream", "waiting", "whole", "worker")

    def __init__(self, sock: socket.socket, peer: Peer, router: Router) -> None:
        super().__init__(sock, peer, router)
        self.backend: Backend | None = None
        self.worker: Worker | None = None  # that has the request, waiting or begun
        self.waiting = False
        self.attempts: Attempts | None = None  # what went wrong so far
        self.upstream: Upstream | None = None
        self.whole = False  # all of the request's body is in what is sent first

    def is_for(self, worker: Worker) -> bool:
        return self.worker is worker and not self.closed

    def moved(self) -> None:
        """Something moved: nobody is given up on that makes progress."""
        self.limit(self.silence)

    def settle_relay(self) -> None:
        """The relay has ended: what it has moved counts."""
        relay, self.relay = self.relay, None
        assert relay is not None
        self.account.received += relay.moved
        if isinstance(self.pump, LengthPump):
            self.pump.left = relay.left

    def stop_relay(self) -> None:
        """Nobody wants the rest of what is being moved; whoever goes on reads again."""
        if self.relay is not None:
            self.relay.abort()
            self.settle_relay()
            self.reading = False

    def limit(self, ticks: int) -> None:
        """So long from now on, and never longer than the whole exchange may take."""
        self.touch(ticks)
        if self.deadline > self.hard:  # timeouts.request is for all of it
            self.touch(max(0, self.hard - self.wheel.tick))

    def complain(self, text: str) -> None:
        name = self.backend.worker.name if self.backend is not None else "-"
        self.router.complaints.warn(f"worker {name}: {text}")

    def stand_in_line(self, worker: Worker) -> None:
        """The worker has no room now."""
        refusal = worker.refusal
        if refusal is not None:
            self.give_up(503, *refusal)
        elif worker.join(self):
            self.worker = worker
            self._wait(worker)
        else:
            worker.metrics.queue_full += 1
            self.fail(503, f"{worker.max_inflight} requests run and as many wait")

    def hold(self) -> None:
        """No endpoint takes it now: wait for one."""
        assert self.worker is not None
        refusal = self.worker.refusal
        if refusal is not None:
            self.give_up(503, *refusal)
            return
        self.worker.join_again(self)
        self._wait(self.worker)

    def _wait(self, worker: Worker) -> None:
        self.waiting = True
        past = self.history()
        if past.patience == NEVER:
            past.patience = self.wheel.tick + worker.queue_ticks
            worker.metrics.held += 1
        self.limit(max(0, past.patience - self.wheel.tick))
        if self.ended:  # known before; and that its body is cut short is said first
            self.router.loop.call_soon(self.lose_place)

    def lose_place(self) -> None:
        """The client has ended its side, as everybody does that leaves: whoever stays does not wait for it.

        To one that only sends no more, which looks the same (RFC 9112 §9.6), it is said.
        """
        if self.waiting and not self.closed:
            self.fail(503, "the client ended its side of the connection while it waited")

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
