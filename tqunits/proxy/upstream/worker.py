"""One worker as the router serves it: who may begin now, who waits, and for what.

A request begins when the worker has fewer than `max_inflight` of them and an endpoint that takes
connections. Else it waits here, in order, for `queue_ticks` at most, and not a byte of it has gone
anywhere: so a worker that restarts fails nobody, and a flood is held at the door. The first in line
is what finds out that an endpoint is back: its attempt is the trial, repeated after pauses that
grow; the others follow when it has got through.

A worker outlives a reload of the routes that keeps its name.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from typing import Final

from mypy_extensions import trait

from tqunits.metrics.counters import WorkerMetrics
from tqunits.model import Retry
from tqunits.proxy.reactor.timers import NEVER, ticks_of
from tqunits.proxy.upstream.availability import Availability, Watcher
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.routing.select import choose
from tqunits.routing.snapshot import RoutedWorker
from tqunits.routing.traffic import DRAIN, MAINTENANCE, PAUSE

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
"""RFC 9110 §9.2.2 (TRACE is not served)."""

_NOTHING: Final[frozenset[bytes]] = frozenset()

RETRY_AFTER: Final = 1
"""Seconds that a client is asked to wait when the queue is full: a worker that restarts is back by
then."""

AWAY_RETRY_AFTER: Final = 30
"""The same where somebody has to do something first."""

DISABLED: Final = "The worker is disabled."
DRAINED: Final = "The worker is taken out of service for a while."


@trait
class Waiter:
    """A request that stands in line for a worker."""

    def is_for(self, worker: Worker) -> bool:
        """Whether it still wants to go there."""
        raise AssertionError

    def begin(self, trial: Endpoint | None) -> None:
        """It is this request's turn. `trial`: an endpoint that may be back; this request finds
        out."""
        raise AssertionError

    def fail(self, status: int, reason: str) -> None:
        """The worker's fault, before anything of a response went out."""
        raise AssertionError

    def give_up(self, status: int, detail: str = "", retry_after: int = RETRY_AFTER) -> None:
        """Answer here after all; what the client has sent behind it is read next."""
        raise AssertionError


class Worker(Watcher):
    """Its endpoints, its limits, its queue."""

    __slots__ = (
        "_loop",
        "_timer",
        "away",
        "endpoints",
        "in_flight",
        "max_inflight",
        "metrics",
        "name",
        "notice",
        "order",
        "paused",
        "queue",
        "queue_ticks",
        "ready",
        "repeated",
        "retry",
        "start_s",
    )

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, metrics: WorkerMetrics) -> None:
        self.name = name
        self.metrics = metrics
        self.endpoints: tuple[Endpoint, ...] = ()
        self.max_inflight = 1
        self.queue_ticks = NEVER
        self.retry = Retry.IDEMPOTENT
        self.repeated = IDEMPOTENT  # methods of what may be sent twice
        self.start_s = 0.0  # 0: a start takes as long as it takes
        self.ready: Endpoint | None = None  # the only endpoint, while nothing stands between a request and it
        self.in_flight = 0  # requests that have begun
        self.queue: deque[Waiter] = deque()
        self.paused = False  # everybody waits
        self.notice: str | None = None  # the text of the maintenance page: all are turned away
        self.order = ""  # what an administrator has ordered of it (routing/traffic.py), as it is carried out
        self.away: str | None = None  # why nobody is to wait for it, in a sentence for the page
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def configure(self, routed: RoutedWorker, endpoints: tuple[Endpoint, ...]) -> None:
        """Take what the snapshot says of it."""
        self.max_inflight = routed.max_inflight
        self.queue_ticks = ticks_of(routed.queue_us)
        self.retry = routed.retry
        self.repeated = IDEMPOTENT if routed.retry is Retry.IDEMPOTENT else _NOTHING
        self.start_s = routed.start_us / 1e6
        self.endpoints = endpoints
        if routed.disabled or self.away == DISABLED:
            self.go_away(DISABLED if routed.disabled else None)
        for endpoint in endpoints:
            endpoint.watchers.add(self)
        self.release()

    @property
    def has_room(self) -> bool:
        """Whether a request may begin at once, and passes nobody by."""
        return self.in_flight < self.max_inflight and not self.queue and not self.paused and self.refusal is None

    @property
    def refusal(self) -> tuple[str, int] | None:
        """What every request is answered with 503, and after how many seconds to come again; None:
        they are taken."""
        if self.notice is not None:
            return self.notice, RETRY_AFTER
        away = DRAINED if self.away is None and self.order == DRAIN else self.away
        return (away, AWAY_RETRY_AFTER) if away is not None else None

    def refresh(self) -> None:
        """Something has changed that decides whether a request may go the short way, to `ready`."""
        endpoints = self.endpoints
        open_ = len(endpoints) == 1 and not endpoints[0].failures and not endpoints[0].draining
        waits = self.queue or self.paused or self.refusal is not None
        self.ready = endpoints[0] if open_ and not waits else None

    def pick(self, tried: Iterable[Availability]) -> Endpoint | None:
        """The endpoint for the next attempt: one that takes requests and was not tried for this
        one."""
        endpoints = self.endpoints
        if len(endpoints) == 1 and not tried:
            return endpoints[0] if endpoints[0].takes_requests else None
        left = [endpoint for endpoint in endpoints if endpoint not in tried and endpoint.takes_requests]
        if not left:
            return None
        return left[choose([endpoint.in_flight for endpoint in left], random.randrange)]

    def join(self, waiter: Waiter) -> bool:
        """Stand in line; False when the line is full."""
        if len(self.queue) >= self.max_inflight:
            return False
        self.queue.append(waiter)
        self._come_back()
        return True

    def join_again(self, waiter: Waiter) -> None:
        """A request that had begun found no endpoint: to the head of the line."""
        self.in_flight -= 1
        self.queue.appendleft(waiter)
        if self._timer is not None:  # set for the end of the trial, which has ended sooner
            self._timer.cancel()
            self._timer = None
        self._come_back()

    def leave(self, waiter: Waiter) -> None:
        """A request that waits is given up."""
        if waiter in self.queue:
            self.queue.remove(waiter)
            self.refresh()

    def done(self) -> None:
        """A request that had begun has ended: the next may begin."""
        self.in_flight -= 1
        if self.queue:
            self.release()

    def release(self) -> None:
        """Let begin who can, each in a turn of the loop of its own, so that failures can not
        nest."""
        while self.queue and self.in_flight < self.max_inflight and not self.paused:
            endpoint = self.pick(())
            if endpoint is None:
                break
            self.in_flight += 1
            if endpoint.failures:
                endpoint.on_trial()
                self._loop.call_soon(self._begin, self.queue.popleft(), endpoint)
            else:
                self._loop.call_soon(self._begin, self.queue.popleft(), None)
        self._come_back()

    def pause(self) -> None:
        """Let nobody begin; what runs goes on."""
        self.paused = True
        self.refresh()

    def turn_away(self, text: str) -> None:
        """Answer every request with the maintenance page, those that wait too."""
        self.notice = text
        self._empty()

    def go_away(self, reason: str | None) -> None:
        """Nobody is to wait for it, those that wait neither: it will not be back soon. None: it may
        be."""
        self.away = reason
        self._empty()

    def obey(self, order: str, text: str) -> None:
        """One order follows another, and nobody gets through in between; `text` is the page's, of
        MAINTENANCE."""
        self.order, self.paused, self.notice = order, order == PAUSE, text if order == MAINTENANCE else None
        self._empty()

    def resume(self) -> None:
        """The end of a pause and of a maintenance page."""
        self.paused = False
        self.notice = None
        self.release()

    def disband(self) -> None:
        """It is in no route any more: nobody waits for it any longer; what runs goes on."""
        for waiter in tuple(self.queue):
            waiter.fail(503, "it is in no route any more")

    def _empty(self) -> None:
        """Who waits hears what everybody hears from now on."""
        self.refresh()
        refusal = self.refusal
        if refusal is not None:
            for waiter in tuple(self.queue):
                waiter.give_up(503, *refusal)

    def _begin(self, waiter: Waiter, trial: Endpoint | None) -> None:
        if waiter.is_for(self):
            waiter.begin(trial)
            return
        if trial is not None:
            trial.down_until = 0.0
            trial.trying = False
        self.done()

    def _come_back(self) -> None:
        """See again when the first endpoint may be tried again; room, and an endpoint's return,
        come by themselves."""
        self.refresh()
        if self._timer is not None or not self.queue or self.paused or self.in_flight >= self.max_inflight:
            return
        times = [endpoint.down_until for endpoint in self.endpoints if not endpoint.draining]
        if times:
            self._timer = self._loop.call_at(min(times), self._after_pause)

    def _after_pause(self) -> None:
        self._timer = None
        self.release()
