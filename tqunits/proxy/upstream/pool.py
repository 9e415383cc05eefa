"""The endpoints of workers: how many requests each has in flight, whether it takes more, its idle connections.

An idle connection stays on the loop's watch: when the worker ends it, it leaves the pool within one turn of the loop.
The newest idle connection is taken first, so that a pool shrinks to what is needed and the rest can time out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from mypy_extensions import trait

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Wheel, ticks_of
from tqunits.proxy.upstream.connection import Home, Upstream
from tqunits.proxy.upstream.standing import LASTED
from tqunits.routing.endpoint import Address

MAX_IDLE: Final = 256
"""Idle connections per endpoint and process: bounds descriptors; a burst beyond it closes its own."""

POOL_IDLE_US: Final = 1_500_000
"""How long an idle connection is kept at most: less than the shortest keep-alive time-out that servers ship with
(gunicorn 2 s; Node and uvicorn 5 s), because a connection that both ends give up at once costs a request a 502."""

FIRST_PAUSE: Final = 0.005
PAUSE_GROWTH: Final = 1.5
LONGEST_PAUSE: Final = 0.25
"""Seconds between attempts at an endpoint that takes no connections: a compiled worker is back in milliseconds, and one
that is gone for good costs four attempts a second while somebody waits for it."""

MAX_FAILURES: Final = 20
"""Counted no further: the pause is at its longest by then."""

TOGETHER: Final = 0.1
"""Seconds within which connections end that end with one process; a process that is started anew takes longer."""

TRIAL: Final = 2.5
"""Seconds an attempt may take before another request tries: longer than a connection may take to stand."""


@trait
class Watcher:
    """Who sends requests to an endpoint."""

    def refresh(self) -> None:
        """Something has changed that decides whether a request may go there the short way."""
        raise AssertionError

    def release(self) -> None:
        """It may take requests again: let begin who waits."""
        raise AssertionError


class Endpoint(Home):
    """One address that a worker listens on."""

    __slots__ = (
        "_waiting",
        "died_at",
        "down_until",
        "idle",
        "idle_ticks",
        "retired",
        "trying",
        "watchers",
    )

    def __init__(self, address: Address, poller: Poller, wheel: Wheel) -> None:
        super().__init__(address, poller, wheel)
        self.idle: list[Upstream] = []
        self.idle_ticks = ticks_of(POOL_IDLE_US)
        self.retired = False
        self.watchers: set[Watcher] = set()  # the workers whose endpoint it is
        self.trying = False  # one request finds out whether it is back
        self.down_until = 0.0  # loop time; until then it is left alone
        self.died_at = -TOGETHER  # loop time: when a connection last ended under a request
        self._waiting: list[asyncio.Future[None]] = []  # for its last request to end

    @property
    def takes_requests(self) -> bool:
        """Whether a request may be sent here now."""
        return not self.draining and (not self.failures or self.poller.loop.time() >= self.down_until)

    def on_trial(self) -> None:
        """One request finds out whether it is back; until then nobody else is sent here."""
        self.down_until = self.poller.loop.time() + TRIAL
        self.trying = True

    def untried(self) -> None:
        """The trial found an idle connection, which says nothing of new ones: it is the next one's turn."""
        self.down_until = 0.0
        self.trying = False
        for watcher in self.watchers:
            watcher.release()

    def failed(self) -> None:
        """It took no connection: leave it alone for a while that grows. Those that fail together count once."""
        if self.failures and not self.trying and self.poller.loop.time() < self.down_until:
            return
        self.trying = False
        pause = min(FIRST_PAUSE * PAUSE_GROWTH**self.failures, LONGEST_PAUSE)
        self.failures = min(self.failures + 1, MAX_FAILURES)
        self.down_until = self.poller.loop.time() + pause
        for watcher in self.watchers:
            watcher.refresh()

    @property
    def is_gone(self) -> bool:
        """Whether it is known that no process serves it: it takes no connections, or has left."""
        return self.draining or bool(self.failures)

    def died_under_one(self) -> bool:
        """A connection has ended under a request: whether no other was under way, and nobody had asked it to leave."""
        now = self.poller.loop.time()
        alone = not self.in_flight and now - self.died_at >= TOGETHER
        self.died_at = now
        return alone and not self.draining

    def came_up(self) -> None:
        """It took a connection again."""
        self.failures = 0
        self.trying = False
        self.down_until = 0.0
        for watcher in self.watchers:
            watcher.release()

    def drain(self) -> None:
        """Send nothing new here; what runs is finished."""
        self.draining = True
        for watcher in self.watchers:
            watcher.refresh()
        self._close_idle()

    def undrain(self) -> None:
        """Send requests here again."""
        self.draining = False
        self.came_up()

    async def drained(self) -> None:
        """Wait until no request is in flight here."""
        if self.in_flight:
            self._waiting.append(last := self.poller.loop.create_future())
            await last

    def settle(self) -> None:
        """A request has ended while the endpoint drains."""
        if not self.in_flight:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def take(self) -> Upstream | None:
        """An idle connection, if there is one."""
        return self.idle.pop() if self.idle else None

    def connect(self) -> Upstream:
        """A new connection, on its way. Raises OSError when the kernel refuses at once."""
        return Upstream.connect(self)

    def keep(self, upstream: Upstream) -> None:
        """Take back a connection whose exchange ended cleanly."""
        if self.retired or self.draining or len(self.idle) >= MAX_IDLE:
            upstream.close()
        else:
            self.idle.append(upstream)
            upstream.touch(self.idle_ticks)

    def lose(self, upstream: Upstream) -> None:
        """An idle connection is done with."""
        if upstream in self.idle:
            self.idle.remove(upstream)
        upstream.close()

    def lose_ended(self, upstream: Upstream) -> None:
        """The worker has ended an idle connection."""
        self.standing.ended(upstream.number, self.wheel.tick)
        self.lose(upstream)

    def lose_aged(self, upstream: Upstream) -> None:
        """An idle connection has been kept for as long as any is."""
        if upstream in self.idle:
            self.standing.lasted(self.wheel.tick)
        self.lose(upstream)

    def take_standing(self) -> Upstream | None:
        """An idle connection that is open, for what can not be sent twice; None where they are not relied on.

        There one is closed for the new one that takes its place: some programs serve one connection at a time.
        """
        standing = self.standing
        while self.idle:
            upstream = self.idle.pop()
            if upstream.is_alive():
                if standing.relied_on or self._has_lasted(upstream) or standing.found(upstream.uses, self.wheel.tick):
                    return upstream
                upstream.close()
                return None
            standing.ended(upstream.number, self.wheel.tick)
            upstream.close()
        return None

    def _has_lasted(self, upstream: Upstream) -> bool:
        """Whether that one has been idle for long enough to be relied on, and with it the others."""
        tick = self.wheel.tick
        return upstream.deadline - self.idle_ticks + LASTED <= tick and self.standing.lasted(tick)

    def retire(self) -> None:
        """It is in no route any more: requests in flight go on, nothing is kept."""
        self.retired = True
        self._close_idle()

    def _close_idle(self) -> None:
        while self.idle:
            self.idle.pop().close()


class Endpoints:
    """All endpoints by address; they outlive a reload that keeps them, with their connections and counts."""

    def __init__(self, poller: Poller, wheel: Wheel) -> None:
        self._poller = poller
        self._wheel = wheel
        self._known: dict[Address, Endpoint] = {}

    def of(self, address: Address, idle_us: int) -> Endpoint:
        """The endpoint at that address."""
        endpoint = self._known.get(address)
        if endpoint is None:
            endpoint = self._known[address] = Endpoint(address, self._poller, self._wheel)
        endpoint.idle_ticks = ticks_of(min(idle_us or POOL_IDLE_US, POOL_IDLE_US))
        return endpoint

    def all(self) -> Iterable[Endpoint]:
        """Every endpoint that is in a route."""
        return self._known.values()

    def forget_workers(self) -> None:
        """New routes say anew whose endpoints these are."""
        for endpoint in self._known.values():
            endpoint.watchers.clear()

    def keep_only(self, addresses: set[Address]) -> None:
        """Retire all others."""
        for address in set(self._known) - addresses:
            self._known.pop(address).retire()
