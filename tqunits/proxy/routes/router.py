"""The state that all connections of one router process share: the rules, the clock, the workers,
the clients."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from mypy_extensions import mypyc_attr

from tqunits.metrics.counters import RouterMetrics
from tqunits.proxy.log.account import Books
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.log.sinks import AccessLog
from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Clock, Wheel
from tqunits.proxy.routes.clients import Clients
from tqunits.proxy.routes.recent import Recent
from tqunits.proxy.routes.rules import Rules
from tqunits.proxy.transport.relay import Pipes
from tqunits.proxy.upstream.pool import Endpoint, Endpoints
from tqunits.proxy.upstream.worker import Worker
from tqunits.routing.snapshot import RoutedWorker, Snapshot
from tqunits.system.certificates import Certificates


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Router:
    """The shared state. Everything runs on one loop, so there are no locks."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        snapshot: Snapshot,
        *,
        complaints: Complaints,
        name: bytes,
        seed: bytes,
        log: AccessLog | None = None,
        certificates: Certificates | None = None,
        ports: Collection[int] = (),
    ) -> None:
        """`name`: the name of this host's routers in requests (passes.py). `seed`: 8 random bytes
        for the request IDs.

        `certificates`: with them every address accepts TLS too. `ports`: those that it listens on.
        """
        self.loop = loop
        self.complaints = complaints
        self.name = name
        self.poller = Poller(loop)
        self.wheel = Wheel(loop)
        self.clock = Clock()
        self.clients = Clients(self.wheel)
        self.recent = Recent()
        self.draining = False
        self.books = Books(RouterMetrics(), log)
        self.certificates = certificates
        self.ports = ports
        self.pipes = Pipes()
        self.workers: dict[str, Worker] = {}
        self._endpoints = Endpoints(self.poller, self.wheel)
        self._seed = seed.hex().encode("ascii")
        self.requests = 0
        self.use(snapshot)

    def use(self, snapshot: Snapshot) -> None:
        """Use another snapshot from now on; running exchanges keep their endpoints. Raises
        TqunitsError."""
        workers = {
            routed.name: self.workers.get(routed.name) or self._new_worker(routed.name) for routed in snapshot.workers
        }
        self.rules = Rules(snapshot, workers, self.name, has_tls=self.certificates is not None)
        gone, self.workers = [w for name, w in self.workers.items() if name not in workers], workers
        self._endpoints.forget_workers()
        for routed in snapshot.workers:
            workers[routed.name].configure(routed, self._endpoints_of(routed))
        self._endpoints.keep_only({address for worker in snapshot.workers for address in worker.endpoints})
        for worker in gone:
            worker.disband()

    @property
    def endpoints(self) -> Iterable[Endpoint]:
        """All endpoints that are in a route."""
        return self._endpoints.all()

    def _new_worker(self, name: str) -> Worker:
        return Worker(name, self.loop, self.books.metrics.worker(name))

    def _endpoints_of(self, worker: RoutedWorker) -> tuple[Endpoint, ...]:
        """In the order of the instances. A surge that nobody has looked at takes no requests."""
        last = len(worker.endpoints) - 1 if worker.surge else -1
        return tuple(
            self._endpoints.of(address, worker.timeouts.idle_us, closed=index == last)
            for index, address in enumerate(worker.endpoints)
        )

    def request_id(self) -> bytes:
        """A unique request ID: 64 random bits of this process, and a counter."""
        self.requests += 1
        return b"%b%016x" % (self._seed, self.requests)
