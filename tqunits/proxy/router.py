"""What all connections of one router process share: the table, the clock, the limits, the clients themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tqunits.proxy.complaints import Complaints
from tqunits.proxy.downstream import Client
from tqunits.proxy.pool import Backend, Endpoint, Endpoints
from tqunits.proxy.timers import Clock, Wheel, ticks_of
from tqunits.routing.endpoint import Address
from tqunits.routing.snapshot import RoutedWorker, Snapshot
from tqunits.routing.table import Table


def _nothing() -> None:
    """Nobody waits for room."""


class Router:
    """The shared state; everything runs on one loop, so nothing here is locked."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        snapshot: Snapshot,
        *,
        complaints: Complaints,
        via: bytes,
        seed: bytes,
    ) -> None:
        """`via`: this router's pseudonym in Via; `seed`: 8 random bytes, for the request identifiers."""
        self.loop = loop
        self.complaints = complaints
        self.via = via
        self.wheel = Wheel(loop)
        self.clock = Clock()
        self.clients: set[Client] = set()
        self.draining = False
        self.on_left: Callable[[], None] = _nothing  # a client has gone: there is room for another
        self._endpoints = Endpoints(loop, self.wheel)
        self._seed = seed.hex().encode("ascii")
        self._requests = 0
        self.use(snapshot)

    def use(self, snapshot: Snapshot) -> None:
        """Route by another snapshot from now on; exchanges that run keep their endpoint. Raises TqunitsError."""
        self.table = Table(
            (host, prefix, Backend(worker, prefix, tuple(self._endpoint(a, worker) for a in worker.endpoints)))
            for host, prefix, worker in snapshot.routes()
        )
        self.snapshot = snapshot
        self.head_ticks = ticks_of(snapshot.timeouts.head_us)
        self.idle_ticks = ticks_of(snapshot.timeouts.idle_us)
        self._endpoints.keep_only({address for worker in snapshot.workers for address in worker.endpoints})

    def _endpoint(self, address: Address, worker: RoutedWorker) -> Endpoint:
        return self._endpoints.of(address, worker.timeouts.idle_us)

    def request_id(self) -> bytes:
        """An identifier that no other request has: 64 random bits of this process and a count."""
        self._requests += 1
        return b"%b%016x" % (self._seed, self._requests)

    def joined(self, client: Client) -> None:
        """A client has connected."""
        self.clients.add(client)
        client.touch(self.idle_ticks)
        client.resume()

    def left(self, client: Client) -> None:
        """A client's connection is closed."""
        self.clients.discard(client)
        self.on_left()
