"""An unexpected error of the router in one connection ends that connection with all its resources,
even without a deadline, and is logged."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from peers import PATIENCE, Connection, TcpWorker, answering
from secure_peers import make

from tqunits.cli.route_options import snapshot_of
from tqunits.proxy.front.listener import Listeners
from tqunits.proxy.front.welcome import welcome
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.reactor.timers import Clock, Wheel
from tqunits.proxy.routes.clients import Clients
from tqunits.proxy.routes.roles import Guest
from tqunits.proxy.routes.router import Router
from tqunits.proxy.transport.relay import Pipe, Pipes
from tqunits.routing.snapshot import Snapshot
from tqunits.system.certificates import Certificates

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 20) + bytes(1 << 20)


class Faults:
    """The call that fails now."""

    def __init__(self) -> None:
        self.where = ""
        self.seen: list[object] = []
        self.asleep = asyncio.Event()

    def at(self, where: str) -> None:
        if self.where == where:
            raise ZeroDivisionError


class FaultyClock(Clock):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def date(self) -> bytes:
        self._faults.at("in a response")
        return super().date()


class FaultyPipes(Pipes):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def take(self) -> Pipe | None:
        self._faults.at("in a body")
        return super().take()


class FaultyClients(Clients):
    def __init__(self, wheel: Wheel, faults: Faults) -> None:
        super().__init__(wheel)
        self._faults = faults

    def joined(self, client: Guest) -> None:
        self._faults.at("in joining")
        super().joined(client)

    def change(self, before: Guest, after: Guest) -> None:
        self._faults.at("at waking" if before.is_asleep() else "at a deadline")
        super().change(before, after)

    def slept(self, asleep: Guest) -> None:
        super().slept(asleep)
        self._faults.asleep.set()


class FaultyRouter(Router):
    def __init__(self, loop: asyncio.AbstractEventLoop, routes: Snapshot, faults: Faults) -> None:
        super().__init__(loop, routes, complaints=Complaints(), name=b"v", seed=b"8 bytes.")
        self._faults = faults
        self.clients = FaultyClients(self.wheel, faults)
        self.clock = FaultyClock(faults)
        self.pipes = FaultyPipes(faults)

    def request_id(self) -> bytes:
        self._faults.at("in a request")
        return super().request_id()


class Scene:
    """A router without any time-out, its worker, and one client."""

    def __init__(self, router: Router, faults: Faults, address: tuple[str, int], client: Connection) -> None:
        self.router = router
        self.faults = faults
        self.address = address
        self.client = client

    async def over(self) -> None:
        """The client's connection has ended, and nothing of it is left."""
        with contextlib.suppress(ConnectionResetError):
            await self.client.rest()
        router = self.router
        assert not len(router.clients) and not router.clients.per_address
        assert [worker.in_flight for worker in router.workers.values()] == [0]
        assert [endpoint.in_flight for endpoint in router.endpoints] == [0]
        assert {type(fault) for fault in self.faults.seen} == {ZeroDivisionError}


@contextlib.asynccontextmanager
async def faulty(response: bytes) -> AsyncIterator[Scene]:
    """A client of a router that is about to fail; afterwards the router serves the next client."""
    loop = asyncio.get_running_loop()
    faults = Faults()
    loop.set_exception_handler(lambda _, context: faults.seen.append(context["exception"]))
    worker = await TcpWorker().start(answering(response))
    routes = snapshot_of([f"/={worker.endpoint}"], strip=True)
    routes = replace(routes, timeouts=replace(routes.timeouts, head_us=0, idle_us=0))
    router = FaultyRouter(loop, routes, faults)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        listeners = Listeners([listening], router)
        listeners.start()
        address = listening.getsockname()
        async with asyncio.timeout(PATIENCE):
            client = Connection(*await asyncio.open_connection(*address))
            yield Scene(router, faults, address, client)
            faults.where = ""
            client = Connection(*await asyncio.open_connection(*address))
            await client.send(GET)
            assert (await client.response())[0].startswith(b"HTTP/1.1 200 ")
        for left in tuple(router.clients.here):
            left.abort()
        listeners.stop()
    router.poller.close()
    worker.stop()


@pytest.mark.parametrize(
    ("where", "response"), [("in a request", PLAIN), ("in a response", PLAIN), ("in a body", LARGE)]
)
async def test_in_an_exchange(where: str, response: bytes) -> None:
    """Also if the error is in the handler of the worker's connection: the client's connection ends
    with it."""

    async with faulty(response) as scene:
        scene.faults.where = where
        await scene.client.send(GET)
        await scene.over()


@pytest.mark.parametrize("where", ["in joining", "in a request"])
async def test_with_a_connection_whose_request_is_there_when_it_is_accepted(where: str) -> None:
    async with faulty(PLAIN) as scene:
        await scene.client.send(GET)
        await scene.client.response()
        scene.client.close()
        scene.faults.where = where
        sock = socket.create_connection(scene.address)
        sock.send(GET)  # nothing is accepted before this function waits
        scene.client = Connection(*await asyncio.open_connection(sock=sock))
        await scene.over()


@pytest.mark.parametrize("where", ["at a deadline", "at waking"])
async def test_between_requests(where: str) -> None:
    async with faulty(PLAIN) as scene:
        await scene.client.send(GET)
        await scene.client.response()
        scene.faults.where = where
        if where == "at waking":
            await scene.faults.asleep.wait()
            await scene.client.send(GET)
        await scene.over()


async def test_in_accepting() -> None:
    """The error is in the listening socket, which is no connection: the router listens again after
    a moment."""

    async with faulty(PLAIN) as scene:
        while not scene.router.clients.here:
            await asyncio.sleep(0)
        empty = Snapshot.__new__(Snapshot)  # no attribute is set, so every lookup fails
        routes, scene.router.rules.snapshot = scene.router.rules.snapshot, empty
        other = Connection(*await asyncio.open_connection(*scene.client.writer.get_extra_info("peername")))
        while not scene.faults.seen:
            await asyncio.sleep(0)
        scene.router.rules.snapshot = routes
        await other.send(GET)
        await other.response()


WELCOMES = {
    "silent": ((), False, b""),
    "with its request": ((), False, GET),
    "before a handshake": ((), True, b""),
    "before a PROXY header": (("127.0.0.1",), False, b""),
}


@pytest.mark.parametrize(("trusted", "tls", "sent"), WELCOMES.values(), ids=WELCOMES)
async def test_of_a_connection_that_can_not_be_watched_nothing_is_left(
    tmp_path: Path, trusted: tuple[str, ...], sent: bytes, *, tls: bool
) -> None:
    """This is an error, for example, if the user watches as many descriptors as epoll(7) allows
    (max_user_watches)."""

    routes = snapshot_of(["/=127.0.0.1:9"], strip=True)
    routes = replace(routes, trusted_proxies=tuple(map(ip_network, trusted)))
    certificates = Certificates.load(*make(tmp_path, "a", "a.example")) if tls else None
    router = Router(
        asyncio.get_running_loop(), routes, complaints=Complaints(), name=b"v", seed=b"8 bytes.",
        certificates=certificates,
    )  # fmt: skip
    router.poller.close()
    here, there = socket.socketpair()
    there.send(sent)
    with pytest.raises(ValueError, match="closed epoll"):
        welcome(here, ("127.0.0.1", 1), router)
    assert not len(router.clients) and not router.clients.per_address
    here.close()
    there.close()
