"""Limits of the number of connections, in total and per address; each connection counts until it is
closed."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bodies import get, receive
from control_peers import controlled, relayed, speak, until, write_routes
from peers import OK, PATIENCE, Behaviour, Connection, Router, TcpWorker, answering
from secure_peers import make

HELLO = bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03")
HERE, THERE = "127.0.0.1", "127.0.0.2"


@asynccontextmanager
async def limited(
    folder: Path, limits: dict[str, int], *more: str, **changes: Any
) -> AsyncIterator[tuple[Router, TcpWorker]]:
    async with relayed(folder, answering(OK), *more, limits=limits, **changes) as served:
        yield served


async def is_served(client: Connection) -> bool:
    """Whether a request is answered; else the connection is closed."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        await client.send(get("/"))
        return (await receive(client)).body == b"ok"
    client.close()
    return False


async def comes_in(router: Router, source: str) -> Connection:
    """A connection from this address, as soon as there is room."""
    async with asyncio.timeout(PATIENCE):
        while True:
            client = await router.connect(source=source)
            if await is_served(client):
                return client


async def test_one_address_has_so_many_connections_and_no_more(folder: Path) -> None:
    async with limited(folder, {"max_connections_per_client": 2}) as (router, _):
        here = [await router.connect(source=HERE) for _ in range(3)]
        assert [await is_served(client) for client in here] == [True, True, False]
        there = [await router.connect(source=THERE) for _ in range(3)]
        assert [await is_served(client) for client in there] == [True, True, False]
        here[0].close()
        here[1].reset()
        here = [await comes_in(router, HERE), await comes_in(router, HERE)]
        assert not await is_served(await router.connect(source=HERE))
        assert await is_served(there[0])


async def test_who_never_gets_past_the_greeting_counts_until_it_is_gone(folder: Path) -> None:
    make(folder, "a", "a.example")

    limits = {"max_connections_per_client": 3}
    options = [f"--certificate={folder}/a.pem", f"--key={folder}/a.key"]
    async with limited(folder, limits, *options, clients={"head_us": 100_000}) as (router, _):
        for said in (b"", HELLO, b"\x16garbage.....", b"\x80", b"GET / HTTP/1.1"):
            clients = [await router.connect(source=HERE) for _ in range(3)]
            for client in clients:
                if said:
                    await client.send(said)
            if said in (b"", HELLO):
                assert not await is_served(await router.connect(source=HERE))
            for number, client in enumerate(clients):
                client.reset() if number == 1 else client.close()
            last = [await comes_in(router, HERE) for _ in range(3)]
            assert not await is_served(await router.connect(source=HERE))
            for client in last:
                client.close()
            await until(folder, connections=0)
        slow = [await router.connect(source=HERE) for _ in range(3)]
        for client in slow:
            await client.send(HELLO)  # and the time-out ends them
        assert await is_served(await comes_in(router, HERE))


async def test_a_proxy_that_is_trusted_speaks_for_many(folder: Path) -> None:
    limits = {"max_connections_per_client": 1}
    async with limited(folder, limits, trusted=["127.0.0.1/32"]) as (router, _):
        clients = [await router.connect(source=HERE) for _ in range(5)]
        assert [await is_served(client) for client in clients] == [True] * 5
        others = [await router.connect(source=THERE) for _ in range(2)]
        assert [await is_served(client) for client in others] == [True, False]


async def test_a_limit_that_comes_later_counts_those_that_are_there(folder: Path) -> None:
    async with limited(folder, {}) as (router, worker):
        before = [await router.connect(source=HERE) for _ in range(3)]
        assert [await is_served(client) for client in before] == [True] * 3
        write_routes(folder, worker.endpoint, limits={"max_connections_per_client": 2})
        router.process.send_signal(signal.SIGHUP)
        while "reloaded" not in router.said():
            await asyncio.sleep(0)
        assert not await is_served(await router.connect(source=HERE))
        assert [await is_served(client) for client in before] == [True] * 3
        before[0].close()
        await until(folder, connections=2)
        assert not await is_served(await router.connect(source=HERE))
        before[1].close()
        await until(folder, connections=1)
        assert await is_served(await comes_in(router, HERE))


async def test_the_limit_in_all_counts_those_that_have_not_said_yet_how_they_speak(folder: Path) -> None:
    make(folder, "a", "a.example")

    options = [f"--certificate={folder}/a.pem", f"--key={folder}/a.key"]
    limits = {"max_connections": 3}
    async with limited(folder, limits, *options, trusted=[f"{THERE}/32"]) as (router, _):
        served = await router.connect()
        assert await is_served(served)
        silent = await router.connect(source=THERE)  # a PROXY header may come
        await silent.send(b"PROX")
        shaking = await router.connect()
        await shaking.send(HELLO)
        waiting = await router.connect()
        answer = asyncio.create_task(is_served(waiting))
        for _ in range(10):
            assert await is_served(served)
        assert not answer.done()
        shaking.close()
        assert await answer
        waits_too = asyncio.create_task(is_served(await router.connect()))
        for _ in range(10):
            assert await is_served(served)
        assert not waits_too.done()
        silent.reset()
        assert await waits_too


async def test_the_one_that_is_idle_for_longest_makes_room(folder: Path) -> None:
    """This holds for connections that have sent a request before and for those that have sent
    nothing yet. A connection that is being served stays."""
    make(folder, "a", "a.example")

    options = [f"--certificate={folder}/a.pem", f"--key={folder}/a.key"]
    held = asyncio.Event()
    worker = await TcpWorker().start(answering_when(held))
    limits = {"max_connections": 4}
    async with Router(folder, controlled(folder, worker.endpoint, *options, limits=limits)) as router:
        busy, shaking = await router.connect(), await router.connect()
        await busy.send(get("/held"))
        await shaking.send(HELLO)
        await until(folder, in_flight=1)
        silent, first = await router.connect(), await router.connect()
        await first.send(get("/"))
        assert (await receive(first)).body == b"ok"
        await until(folder, asleep=1)
        second = await router.connect()
        assert await is_served(second)
        assert await silent.rest() == b""
        await until(folder, asleep=2)
        third = await router.connect()
        assert await is_served(third)
        assert await first.rest() == b""
        assert await is_served(second)
        held.set()
        assert (await receive(busy)).body == b"ok"
        assert "proxy.max_connections is 4" in router.said()
        _, told = (await speak(folder, b"GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n")).split(b"\r\n\r\n", 1)
        assert re.search(rb"tqunits_idle_closed_total{[^}]*} 2\n", told)
        worker.stop()


def answering_when(held: asyncio.Event) -> Behaviour:
    """Answer `/held` only when the event is set, and everything else at once."""

    async def behave(connection: Connection) -> None:
        while True:
            if (await receive(connection)).head.startswith(b"GET /held "):
                await asyncio.wait_for(held.wait(), PATIENCE)
            await connection.send(OK)

    return behave


async def test_a_crowd_that_is_idle_keeps_nobody_out(folder: Path) -> None:
    async with limited(folder, {"max_connections": 20}) as (router, _):
        idle = [await router.connect() for _ in range(20)]
        await until(folder, asleep=20)
        for _ in range(30):
            assert await is_served(await router.connect())
        assert [await client.rest() for client in idle] == [b""] * 20


async def status_of(router: Router, request: bytes) -> bytes:
    """The status of one request; its answer ends the connection or does not."""
    client = await router.connect()
    try:
        await client.send(request)
        return (await client.head())[9:12]
    finally:
        client.close()


def a_line(size: int) -> bytes:
    """A request whose first line has so many bytes, without its end."""
    return b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * (size - len("GET / HTTP/1.1")))


def a_head(size: int) -> bytes:
    """A request whose head has so many bytes, with the empty line."""
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


def fields(count: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (count - 1) + b"\r\n"


async def test_heads_are_as_large_as_the_routes_say(folder: Path) -> None:
    """Exact to the byte, in one piece and in several. A reload applies to the connections that come
    after it."""
    cases = [(a_line, b"414", "max_request_line"), (a_head, b"431", "max_head"), (fields, b"431", "max_fields")]
    small = {"max_request_line": 2000, "max_head": 5000, "max_fields": 20}
    large = {"max_request_line": 20_000, "max_head": 50_000, "max_fields": 500}

    async with limited(folder, small) as (router, worker):
        for limits in (small, large):
            for make_request, refused, name in cases:
                assert await status_of(router, make_request(limits[name])) == b"200"
                assert await status_of(router, make_request(limits[name] + 1)) == refused
                slow = await router.connect()
                for byte in make_request(limits[name] + 1)[:3000]:
                    await slow.send(bytes((byte,)))
                slow.close()
            write_routes(folder, worker.endpoint, limits=large)
            router.process.send_signal(signal.SIGHUP)
            await router.told("READY=1")
