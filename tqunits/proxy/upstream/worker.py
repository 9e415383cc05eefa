"""One worker in the router: which of its requests may begin now, which wait, and for what.

A request begins when the worker has fewer than `max_inflight` of them and an endpoint that takes
connections. Otherwise it waits here, in order, for `queue_ticks` at most, and no byte of it is
sent: so the restart of a worker fails no request, and a flood does not reach the worker. The first
request in the queue tries whether an endpoint is back, again and again after growing pauses; the
others follow when it has succeeded.

The last endpoint may be a surge's: an instance that runs during a roll only (model.Worker.surge).
While that does not serve, it drains; and endpoints that drain are left out of all choices, as if
the worker did not have them. They are sorted out when one begins or ends to drain, and no request
pays for it.

A reload of the routes that keeps a worker's name keeps this object.
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
"""Seconds in Retry-After when the queue is full: a worker that restarts is back by then."""

AWAY_RETRY_AFTER: Final = 30
"""The same when an administrator has to act first."""

DISABLED: Final = "The worker is disabled."
DRAINED: Final = "The worker is taken out of service for a while."


@trait
class Waiter:
    """A request in a worker's queue."""

    def is_for(self, worker: Worker) -> bool:
        """Whether it still has this worker."""
        raise AssertionError

    def begin(self, trial: Endpoint | None) -> None:
        """It is this request's turn. `trial`: an endpoint that may be back, which this request
        tries."""
        raise AssertionError

    def fail(self, status: int, reason: str) -> None:
        """Answer for a failure of the worker, before any of a response was sent."""
        raise AssertionError

    def give_up(self, status: int, detail: str = "", retry_after: int = RETRY_AFTER) -> None:
        """Answer the request; what the client has sent after it is parsed next."""
        raise AssertionError


class Worker(Watcher):
    """The endpoints, limits and queue of a worker."""

    __slots__ = (
        "_loop",
        "_open",
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
        "surge",
    )

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, metrics: WorkerMetrics) -> None:
        self.name = name
        self.metrics = metrics
        self.endpoints: tuple[Endpoint, ...] = ()  # of all its instances, in the order of their numbers
        self.surge: Endpoint | None = None  # the last of them, if it is a surge's
        self._open: tuple[Endpoint, ...] = ()  # those that do not drain
        self.max_inflight = 1
        self.queue_ticks = NEVER
        self.retry = Retry.IDEMPOTENT
        self.repeated = IDEMPOTENT  # methods of requests that may be sent twice
        self.start_s = 0.0  # the longest time of a start; 0: no limit
        self.ready: Endpoint | None = None  # the only open endpoint, while requests may go there at once
        self.in_flight = 0  # requests that have begun
        self.queue: deque[Waiter] = deque()
        self.paused = False  # every request waits
        self.notice: str | None = None  # the text of the maintenance page, which every request gets
        self.order = ""  # the order in effect (routing/traffic.py)
        self.away: str | None = None  # why no request is to wait, as a sentence for the page
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def configure(self, routed: RoutedWorker, endpoints: tuple[Endpoint, ...]) -> None:
        """Take the settings of the snapshot."""
        self.max_inflight = routed.max_inflight
        self.queue_ticks = ticks_of(routed.queue_us)
        self.retry = routed.retry
        self.repeated = IDEMPOTENT if routed.retry is Retry.IDEMPOTENT else _NOTHING
        self.start_s = routed.start_us / 1e6
        self.endpoints = endpoints
        self.surge = endpoints[-1] if routed.surge else None
        if routed.disabled or self.away == DISABLED:
            self.go_away(DISABLED if routed.disabled else None)
        for endpoint in endpoints:
            endpoint.watchers.add(self)
        self.sort_out()
        self.release()

    def is_surge(self, number: int) -> bool:
        """Whether the instance of this number is the worker's surge."""
        return self.surge is not None and number == len(self.endpoints)

    @property
    def has_room(self) -> bool:
        """Whether a request may begin at once without overtaking another."""
        return self.in_flight < self.max_inflight and not self.queue and not self.paused and self.refusal is None

    @property
    def refusal(self) -> tuple[str, int] | None:
        """The reason for which every request gets 503, and the seconds for Retry-After; None:
        requests are accepted."""
        if self.notice is not None:
            return self.notice, RETRY_AFTER
        away = DRAINED if self.away is None and self.order == DRAIN else self.away
        return (away, AWAY_RETRY_AFTER) if away is not None else None

    def sort_out(self) -> None:
        """Find the endpoints that do not drain."""
        self._open = tuple([endpoint for endpoint in self.endpoints if not endpoint.draining])
        self.refresh()

    def refresh(self) -> None:
        """Something has changed that decides whether a request may go the short way, to `ready`."""
        endpoints = self._open
        waits = self.queue or self.paused or self.refusal is not None
        self.ready = endpoints[0] if len(endpoints) == 1 and not endpoints[0].failures and not waits else None

    def pick(self, tried: Iterable[Availability]) -> Endpoint | None:
        """The endpoint for the next attempt: one that takes requests and is not in `tried`."""
        endpoints = self._open
        if len(endpoints) == 1 and not tried:
            return endpoints[0] if endpoints[0].takes_requests else None
        left = [endpoint for endpoint in endpoints if endpoint not in tried and endpoint.takes_requests]
        if not left:
            return None
        return left[choose([endpoint.in_flight for endpoint in left], random.randrange)]

    def join(self, waiter: Waiter) -> bool:
        """Join the queue; False when it is full."""
        if len(self.queue) >= self.max_inflight:
            return False
        self.queue.append(waiter)
        self._come_back()
        return True

    def join_again(self, waiter: Waiter) -> None:
        """A request that had begun found no endpoint: put it at the head of the queue."""
        self.in_flight -= 1
        self.queue.appendleft(waiter)
        if self._timer is not None:  # it was set for the end of the trial, which has ended earlier
            self._timer.cancel()
            self._timer = None
        self._come_back()

    def leave(self, waiter: Waiter) -> None:
        """Remove a waiting request."""
        if waiter in self.queue:
            self.queue.remove(waiter)
            self.refresh()

    def done(self) -> None:
        """A request that had begun has ended: the next may begin."""
        self.in_flight -= 1
        if self.queue:
            self.release()

    def release(self) -> None:
        """Let waiting requests begin, each in its own turn of the loop, so that failures can not
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
        """Let no request begin; running ones go on."""
        self.paused = True
        self.refresh()

    def turn_away(self, text: str) -> None:
        """Answer every request with the maintenance page, the waiting ones too."""
        self.notice = text
        self._empty()

    def go_away(self, reason: str | None) -> None:
        """No request is to wait, because the worker will not be back soon; waiting ones are
        answered. None: they wait again."""
        self.away = reason
        self._empty()

    def obey(self, order: str, text: str) -> None:
        """Replace one order by another, without a request passing in between. `text` is that of the
        page, for MAINTENANCE."""
        self.order, self.paused, self.notice = order, order == PAUSE, text if order == MAINTENANCE else None
        self._empty()

    def resume(self) -> None:
        """The end of a pause and of a maintenance page."""
        self.paused = False
        self.notice = None
        self.release()

    def disband(self) -> None:
        """It is in no route any more: no request waits any longer; running ones go on."""
        for waiter in tuple(self.queue):
            waiter.fail(503, "it is in no route any more")

    def _empty(self) -> None:
        """Answer all waiting requests with the present refusal."""
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
        """Set a timer for the next try of an endpoint. Free places and returning endpoints need
        none."""
        self.refresh()
        if self._timer is not None or not self.queue or self.paused or self.in_flight >= self.max_inflight:
            return
        times = [endpoint.down_until for endpoint in self._open]
        if times:
            self._timer = self._loop.call_at(min(times), self._after_pause)

    def _after_pause(self) -> None:
        self._timer = None
        self.release()
