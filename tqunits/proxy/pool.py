"""The endpoints of workers: how many requests each has in flight, and its idle connections.

An idle connection stays on the loop's watch: when the worker ends it, it leaves the pool within one turn of the loop.
The newest idle connection is taken first, so that a pool shrinks to what is needed and the rest can time out.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Final

from tqunits.http.forward import Rewrite
from tqunits.proxy.timers import Wheel, ticks_of
from tqunits.proxy.upstream import Upstream
from tqunits.routing.endpoint import Address
from tqunits.routing.select import choose
from tqunits.routing.snapshot import RoutedWorker

MAX_IDLE: Final = 256
"""Idle connections per endpoint and process: bounds descriptors; a burst beyond it closes its own."""

POOL_IDLE_US: Final = 1_500_000
"""How long an idle connection is kept at most: less than the shortest keep-alive time-out that servers ship with
(gunicorn 2 s; Node and uvicorn 5 s), because a connection that both ends give up at once costs a request a 502."""


class Endpoint:
    """One address that a worker listens on."""

    __slots__ = ("address", "idle", "idle_ticks", "in_flight", "loop", "retired", "wheel")

    def __init__(self, address: Address, loop: asyncio.AbstractEventLoop, wheel: Wheel) -> None:
        self.address = address
        self.loop = loop
        self.wheel = wheel
        self.idle: list[Upstream] = []
        self.idle_ticks = ticks_of(POOL_IDLE_US)
        self.in_flight = 0
        self.retired = False

    def take(self) -> Upstream | None:
        """An idle connection, if there is one."""
        return self.idle.pop() if self.idle else None

    def connect(self) -> Upstream:
        """A new connection, on its way. Raises OSError when the kernel refuses at once."""
        return Upstream.connect(self)

    def keep(self, upstream: Upstream) -> None:
        """Take back a connection whose exchange ended cleanly."""
        if self.retired or len(self.idle) >= MAX_IDLE:
            upstream.close()
        else:
            self.idle.append(upstream)
            upstream.touch(self.idle_ticks)

    def lose(self, upstream: Upstream) -> None:
        """An idle connection has ended."""
        if upstream in self.idle:
            self.idle.remove(upstream)
        upstream.close()

    def retire(self) -> None:
        """It is in no route any more: requests in flight go on, nothing is kept."""
        self.retired = True
        while self.idle:
            self.idle.pop().close()


class Backend:
    """What one route leads to, ready for use: the same worker under two routes is two of these."""

    __slots__ = ("endpoints", "max_body", "name", "read", "request", "rewrite", "write")

    def __init__(self, worker: RoutedWorker, prefix: str, endpoints: tuple[Endpoint, ...]) -> None:
        self.name = worker.name
        self.endpoints = endpoints
        self.rewrite = Rewrite(prefix.encode("ascii"), strip=worker.strip_prefix)
        self.max_body = worker.max_body
        self.request = ticks_of(worker.timeouts.request_us)
        self.read = ticks_of(worker.timeouts.read_us)
        self.write = ticks_of(worker.timeouts.write_us)

    def pick(self, tried: Iterable[Endpoint]) -> Endpoint | None:
        """The endpoint for the next attempt: one that was not tried yet."""
        endpoints = self.endpoints
        if len(endpoints) == 1 and not tried:
            return endpoints[0]
        left = [endpoint for endpoint in endpoints if endpoint not in tried]
        if not left:
            return None
        return left[choose([endpoint.in_flight for endpoint in left], random.randrange)]


class Endpoints:
    """All endpoints by address; they outlive a reload that keeps them, with their connections and counts."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wheel: Wheel) -> None:
        self._loop = loop
        self._wheel = wheel
        self._known: dict[Address, Endpoint] = {}

    def of(self, address: Address, idle_us: int) -> Endpoint:
        """The endpoint at that address."""
        endpoint = self._known.get(address)
        if endpoint is None:
            endpoint = self._known[address] = Endpoint(address, self._loop, self._wheel)
        endpoint.idle_ticks = ticks_of(min(idle_us or POOL_IDLE_US, POOL_IDLE_US))
        return endpoint

    def keep_only(self, addresses: set[Address]) -> None:
        """Retire all others."""
        for address in set(self._known) - addresses:
            self._known.pop(address).retire()
