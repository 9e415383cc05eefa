"""The endpoints of workers, each with its idle connections.

The loop watches idle connections: when the worker ends one, it leaves the pool within one turn of
the loop. The newest idle connection is used first, so that the others can reach their time limit
and a pool shrinks to what is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Wheel, ticks_of
from tqunits.proxy.upstream.connection import Home, Upstream
from tqunits.proxy.upstream.standing import LASTED
from tqunits.routing.endpoint import Address

MAX_IDLE: Final = 256
"""Idle connections per endpoint and process. This bounds descriptors; after a burst the rest is
closed."""

POOL_IDLE_US: Final = 1_500_000
"""The time limit of an idle connection: less than the shortest keep-alive time-out of common
servers (gunicorn 2 s; Node and uvicorn 5 s). If both ends close at the same moment, a request is
lost to a 502."""


class Endpoint(Home):
    """One address that a worker listens on."""

    __slots__ = ("idle", "idle_ticks", "retired")

    def __init__(self, address: Address, poller: Poller, wheel: Wheel) -> None:
        super().__init__(address, poller, wheel)
        self.idle: list[Upstream] = []
        self.idle_ticks = ticks_of(POOL_IDLE_US)
        self.retired = False

    def drain(self) -> None:
        super().drain()
        self._close_idle()

    def take(self) -> Upstream | None:
        """An idle connection, if there is one."""
        return self.idle.pop() if self.idle else None

    def keep(self, upstream: Upstream) -> None:
        """Take back a connection whose exchange ended cleanly."""
        if self.retired or self.draining or len(self.idle) >= MAX_IDLE:
            upstream.close()
        else:
            self.idle.append(upstream)
            upstream.touch(self.idle_ticks)

    def lose(self, upstream: Upstream) -> None:
        """Forget an idle connection."""
        if upstream in self.idle:
            self.idle.remove(upstream)
        upstream.close()

    def lose_ended(self, upstream: Upstream) -> None:
        """The worker has ended an idle connection."""
        self.standing.ended(upstream.number, self.wheel.tick)
        self.lose(upstream)

    def lose_aged(self, upstream: Upstream) -> None:
        """An idle connection has reached its time limit."""
        if upstream in self.idle:
            self.standing.lasted(self.wheel.tick)
        self.lose(upstream)

    def take_standing(self) -> Upstream | None:
        """An idle connection that is open, for a request that can not be sent twice. None if idle
        connections of this endpoint are not reliable.

        In that case one idle connection is closed to make room for the new one: some programs serve
        one connection at a time.
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
        """Whether this connection has been idle for long enough to be reliable; then the others
        count as reliable too."""
        tick = self.wheel.tick
        return upstream.deadline - self.idle_ticks + LASTED <= tick and self.standing.lasted(tick)

    def retire(self) -> None:
        """It is in no route any more: running requests go on, and no connection is kept."""
        self.retired = True
        self._close_idle()

    def _close_idle(self) -> None:
        while self.idle:
            self.idle.pop().close()


class Endpoints:
    """All endpoints by address. A reload that keeps an endpoint keeps its connections and
    counts."""

    def __init__(self, poller: Poller, wheel: Wheel) -> None:
        self._poller = poller
        self._wheel = wheel
        self._known: dict[Address, Endpoint] = {}

    def of(self, address: Address, idle_us: int, *, closed: bool = False) -> Endpoint:
        """The endpoint at that address. `closed`: a new one takes no requests yet."""
        endpoint = self._known.get(address)
        if endpoint is None:
            endpoint = self._known[address] = Endpoint(address, self._poller, self._wheel)
            endpoint.draining = closed
        endpoint.idle_ticks = ticks_of(min(idle_us or POOL_IDLE_US, POOL_IDLE_US))
        return endpoint

    def all(self) -> Iterable[Endpoint]:
        """Every endpoint that is in a route."""
        return self._known.values()

    def forget_workers(self) -> None:
        """Forget which workers have which endpoints; the new routes set it again."""
        for endpoint in self._known.values():
            endpoint.watchers.clear()

    def keep_only(self, addresses: set[Address]) -> None:
        """Retire all others."""
        for address in set(self._known) - addresses:
            self._known.pop(address).retire()
