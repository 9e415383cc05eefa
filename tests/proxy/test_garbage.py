"""A connection that has ended leaves no cyclic garbage, however it ended."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest
from peers import PATIENCE, SWITCHED, UPGRADE, Behaviour, Connection, TcpWorker, answering

from tqunits.cli.route_options import snapshot_of
from tqunits.proxy.front.welcome import welcome
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.routes.router import Router

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SIZE = 4 << 20
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + bytes(SIZE)

Scene = Callable[[Connection], Awaitable[None]]


async def asks_twice(client: Connection) -> None:
    for _ in range(2):
        await client.send(GET)
        await client.response()
    client.close()


async def asks_no_more(client: Connection) -> None:
    await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    await client.rest()


async def says_nonsense(client: Connection) -> None:
    await client.send(b"nonsense\r\n\r\n")
    await client.rest()


async def leaves_while_it_waits(client: Connection) -> None:
    await client.send(GET)
    await client.taken()
    client.reset()


async def leaves_within_its_body(client: Connection) -> None:
    await client.send(POST % SIZE + bytes(SIZE // 2))
    await client.taken()
    client.reset()


async def leaves_within_the_answer(client: Connection) -> None:
    await client.send(GET)
    await client.exactly(SIZE // 2)
    client.reset()


async def sends_a_body(client: Connection) -> None:
    await client.send(POST % SIZE + bytes(SIZE))
    await client.response()
    client.close()


async def upgrades(client: Connection) -> None:
    await client.send(UPGRADE)
    await client.head()
    await client.send(b"bye")
    assert await client.exactly(3) == b"bye"
    client.close()
    await client.rest()


async def switching(connection: Connection) -> None:
    await connection.head()
    await connection.send(SWITCHED)
    await connection.send(await connection.exactly(3))
    await connection.rest()


async def silent(connection: Connection) -> None:
    await connection.rest()


SCENES: dict[str, tuple[Behaviour, Scene]] = {
    "after two requests": (answering(PLAIN), asks_twice),
    "after its last request": (answering(PLAIN), asks_no_more),
    "after nonsense": (answering(PLAIN), says_nonsense),
    "while it waits": (silent, leaves_while_it_waits),
    "after a body": (answering(PLAIN), sends_a_body),
    "within its body": (silent, leaves_within_its_body),
    "within the answer": (answering(LARGE), leaves_within_the_answer),
    "after a large answer": (answering(LARGE), asks_twice),
    "as a tunnel": (switching, upgrades),
}


@pytest.fixture
def uncollected() -> Iterator[Callable[[], list[str]]]:
    """Our objects that only the collector can free, by the names of their classes."""
    gc.collect()
    gc.disable()

    def found() -> list[str]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds = {type(one) for one in gc.garbage}
        return sorted(kind.__name__ for kind in kinds if kind.__module__.startswith("tqunits."))

    yield found
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.short("after nonsense", "after a body", "within its body", "while it waits", "as a tunnel")
@pytest.mark.loops("uvloop")
@pytest.mark.parametrize(("behaviour", "scene"), SCENES.values(), ids=SCENES)
async def test_nothing_is_left(behaviour: Behaviour, scene: Scene, uncollected: Callable[[], list[str]]) -> None:
    worker = await TcpWorker().start(behaviour)
    routes = snapshot_of([f"/={worker.endpoint}"], strip=True)
    router = Router(asyncio.get_running_loop(), routes, complaints=Complaints(), name=b"v", seed=b"8 bytes.")
    left = asyncio.Event()
    router.clients.on_left = left.set
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = Connection(*await asyncio.open_connection(*listening.getsockname()))
        welcome(*listening.accept(), router)
    await scene(client)
    await asyncio.wait_for(left.wait(), PATIENCE)
    await asyncio.sleep(0)  # the call in which it ended has returned
    assert uncollected() == []
    worker.stop()
    router.poller.close()
