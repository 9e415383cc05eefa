"""What all connections of one router process share: the table, the clock, the limits, the clients themselves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Iterable

from mypy_extensions import mypyc_attr

from tqunits.http.redirect import hsts_line
from tqunits.http.trust import Networks
from tqunits.metrics.counters import RouterMetrics
from tqunits.proxy.certificates import Certificates
from tqunits.proxy.downstream.answering import REMEMBERED, Peer
from tqunits.proxy.downstream.asleep import Asleep
from tqunits.proxy.downstream.client import Client
from tqunits.proxy.front.arrival import Arrival
from tqunits.proxy.log.account import Books
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.log.sinks import AccessLog
from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Clock, Wheel, ticks_of
from tqunits.proxy.transport.relay import Pipes
from tqunits.proxy.upstream.pool import Backend, Endpoint, Endpoints
from tqunits.proxy.upstream.worker import Worker
from tqunits.routing.endpoint import Address
from tqunits.routing.snapshot import RoutedWorker, Snapshot
from tqunits.routing.table import Table


def _nothing() -> None:
    """Nobody waits for room."""


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Router:
    """The shared state; everything runs on one loop, so nothing here is locked."""

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
        """`name`: of this host's routers in requests (passes.py); `seed`: 8 random bytes, for the request identifiers.

        `certificates`: every address speaks TLS too; `ports`: those that it listens on.
        """
        self.loop = loop
        self.complaints = complaints
        self.name = name
        self.poller = Poller(loop)
        self.wheel = Wheel(loop)
        self.clock = Clock()
        self.clients: set[Client | Asleep] = set()
        self.draining = False
        self.on_left: Callable[[], None] = _nothing  # a client has gone: there is room for another
        self.books = Books(RouterMetrics(), log)
        self.certificates = certificates
        self.ports = ports
        self.arriving: set[Arrival] = set()  # connections that have not shown yet how they speak
        self.idle: dict[Asleep | Arrival, int] = {}  # since which tick those are that may be; the longest first
        self.per_client: dict[bytes, int] = {}  # connections by address; also without a limit: one may come
        self.pipes = Pipes()
        self.workers: dict[str, Worker] = {}
        self._endpoints = Endpoints(self.poller, self.wheel)
        self._seed = seed.hex().encode("ascii")
        self.requests = 0
        self.use(snapshot)

    def use(self, snapshot: Snapshot) -> None:
        """Route by another snapshot from now on; exchanges that run keep their endpoint. Raises TqunitsError."""
        workers = {
            routed.name: self.workers.get(routed.name) or self._new_worker(routed.name) for routed in snapshot.workers
        }
        self.table = Table(
            [
                (host, prefix, Backend(routed, prefix, workers[routed.name], self.name))
                for host, prefix, routed in snapshot.routes()
            ]
        )
        gone, self.workers = [w for name, w in self.workers.items() if name not in workers], workers
        self._endpoints.forget_workers()
        for routed in snapshot.workers:
            endpoints = tuple(self._endpoint(address, routed) for address in routed.endpoints)
            workers[routed.name].configure(routed, endpoints)
        self.snapshot = snapshot
        self.networks = Networks(snapshot.trusted_proxies)
        self.redirect = snapshot.redirect and self.certificates is not None
        self.hsts = hsts_line(snapshot.hsts_s)
        self.head_ticks = ticks_of(snapshot.timeouts.head_us)
        self.heads = snapshot.heads
        self.idle_ticks = ticks_of(snapshot.timeouts.idle_us)
        self.remembered_ticks = min(self.idle_ticks, REMEMBERED)
        self._endpoints.keep_only({address for worker in snapshot.workers for address in worker.endpoints})
        for worker in gone:
            worker.disband()

    @property
    def endpoints(self) -> Iterable[Endpoint]:
        """All that are in a route."""
        return self._endpoints.all()

    def _new_worker(self, name: str) -> Worker:
        return Worker(name, self.loop, self.books.metrics.worker(name))

    def _endpoint(self, address: Address, worker: RoutedWorker) -> Endpoint:
        return self._endpoints.of(address, worker.timeouts.idle_us)

    def request_id(self) -> bytes:
        """An identifier that no other request has: 64 random bits of this process and a count."""
        self.requests += 1
        return b"%b%016x" % (self._seed, self.requests)

    def close_idle(self) -> None:
        """Close connections that nobody uses."""
        for client in tuple(self.clients):
            client.drain()
        for arrival in tuple(self.arriving):
            arrival.drain()

    @property
    def tunnels(self) -> list[Client]:
        """Connections that have become tunnels, and stand."""
        return [client for client in self.clients if isinstance(client, Client) and client.tunnel is not None]

    def admit(self, address: bytes) -> bool:
        """Count a connection from that address; False when it has as many as it may."""
        if not address:
            return True
        limit = self.snapshot.max_connections_per_client
        count = self.per_client.get(address, 0)
        if limit and count >= limit:
            return False
        self.per_client[address] = count + 1
        return True

    def may_make_room(self) -> bool:
        """Whether one has been idle for a second: who has just connected, or asked, is about to ask."""
        return bool(self.idle) and self.idle[next(iter(self.idle))] + REMEMBERED <= self.wheel.tick

    def make_room(self) -> None:
        """Close the connection that has been idle for longest, if one is. A request that has just come is served."""
        before = len(self.clients) + len(self.arriving)
        while self.idle and len(self.clients) + len(self.arriving) >= before:
            longest = next(iter(self.idle))
            del self.idle[longest]
            longest.drain()

    def release(self, address: bytes) -> None:
        """A connection from that address has gone."""
        count = self.per_client.get(address, 0)
        if count > 1:
            self.per_client[address] = count - 1
        elif count:
            del self.per_client[address]
        self.on_left()

    def joined(self, client: Client, counted: bytes) -> None:
        """A client has connected; `counted`: the address that its connection counts for. Raises what resume() does."""
        client.resume()
        client.counted = counted
        self.clients.add(client)
        client.rest()

    def joined_silent(self, sock: socket.socket, peer: Peer, counted: bytes) -> None:
        """A client has connected and says nothing yet. Raises what the poller does."""
        asleep = Asleep(sock, peer, self, counted)
        asleep.start(self.idle_ticks)
        self.clients.add(asleep)
        self.idle[asleep] = self.wheel.tick

    def sleep(self, client: Client, ticks: int) -> None:
        """An idle client's connection goes on as little more than its socket, for so long at most."""
        asleep = Asleep(client.sock, client.peer, self, client.counted)
        self.change(client, asleep)
        client.part()
        asleep.start(ticks)
        self.idle[asleep] = self.wheel.tick - REMEMBERED
        self.on_left()  # it may make room for another

    def change(self, before: Client | Asleep, after: Client | Asleep) -> None:
        """It is the same connection."""
        self.clients.discard(before)
        self.clients.add(after)
        if isinstance(before, Asleep):
            self.idle.pop(before, None)

    def left(self, client: Client | Asleep) -> None:
        """A client's connection is closed."""
        self.clients.discard(client)
        if isinstance(client, Asleep):
            self.idle.pop(client, None)
        self.release(client.counted)

    def awaits(self, arrival: Arrival) -> None:
        """A connection says how it speaks, or nothing yet."""
        self.arriving.add(arrival)
        self.idle[arrival] = self.wheel.tick

    def arrived(self, arrival: Arrival) -> None:
        """It has said so, or is closed."""
        self.arriving.discard(arrival)
        self.idle.pop(arrival, None)
