"""The options of an accepted connection, independent of the origin of the listening socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from peers import PATIENCE

from tqunits.cli.route_options import snapshot_of
from tqunits.proxy.downstream.client import Client
from tqunits.proxy.front.listener import Listeners
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.routes.clients import Clients
from tqunits.proxy.routes.router import Router
from tqunits.routing.snapshot import Snapshot


class UnluckyClients(Clients):
    """Clients that fail for the first connection, and only for that."""

    unlucky = True

    def admit(self, address: bytes, most: int) -> bool:
        if self.unlucky:
            self.unlucky = False
            raise ZeroDivisionError
        return super().admit(address, most)


class Unlucky(Router):
    """A router with these clients."""

    def use(self, snapshot: Snapshot) -> None:
        super().use(snapshot)
        self.clients = UnluckyClients(self.wheel)


@contextmanager
def listening_on(listening: socket.socket, kind: type[Router] = Router) -> Iterator[Router]:
    """A router on the running loop that accepts from this socket."""
    listening.listen()
    listening.setblocking(False)
    routes = snapshot_of(["/=127.0.0.1:9"], strip=True)
    router = kind(asyncio.get_running_loop(), routes, complaints=Complaints(), name=b"v", seed=b"8 bytes.")
    listeners = Listeners([listening], router)
    listeners.start()
    yield router
    for client in tuple(router.clients.here):
        client.abort()
    listeners.stop()
    router.poller.close()


async def taken(router: Router) -> socket.socket:
    """The connection that comes, once it has begun a request."""
    async with asyncio.timeout(PATIENCE):
        while not any(isinstance(client, Client) for client in router.clients.here):
            await asyncio.sleep(0)
    (client,) = router.clients.here
    assert isinstance(client, Client)
    return client.sock


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX], ids=lambda family: family.name)
async def test_it_does_not_block_and_sends_at_once(folder: Path, family: socket.AddressFamily) -> None:
    """Without TCP_NODELAY the end of an answer waits for the client's acknowledgement of its
    beginning."""
    addresses: dict[int, str | tuple[str, int]] = {
        socket.AF_UNIX: str(folder / "s"),
        socket.AF_INET6: ("::1", 0),
        socket.AF_INET: ("127.0.0.1", 0),
    }

    with socket.socket(family) as listening, socket.socket(family) as client:
        listening.bind(addresses[family])
        with listening_on(listening) as router:
            client.connect(listening.getsockname())
            client.send(b"GET")
            sock = await taken(router)
            assert not sock.getblocking()
            if family != socket.AF_UNIX:
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("ending", ["closed", "reset"])
async def test_one_that_has_ended_when_it_is_accepted_leaves_nothing(ending: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        with listening_on(listening) as router:
            gone = socket.create_connection(listening.getsockname())
            if ending == "reset":
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.close()
            with socket.create_connection(listening.getsockname()) as other:
                other.send(b"GET")
                await taken(router)
            assert router.books.metrics.accepted == 2
            assert list(router.clients.per_address.values()) == [1]


async def test_one_that_can_not_be_taken_is_closed_and_said_and_the_next_is() -> None:
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        with listening_on(listening, Unlucky) as router:
            first, second = (socket.create_connection(listening.getsockname()) for _ in range(2))
            second.send(b"GET")
            sock = await taken(router)
            with first, second:
                assert first.recv(1) == b""
                assert sock.getpeername() == second.getsockname()
                assert [type(failure) for failure in failures] == [ZeroDivisionError]
