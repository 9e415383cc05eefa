"""Clients that close their sending side before they have the answer: they are gone, or only send no
more; a FIN does not tell which."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from peers import OK, Connection, Router, Worker, snapshot

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


class Slow:
    """A worker that answers when the test tells it to, and notices when its connection has
    ended."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.told = asyncio.Event()
        self.silent = False  # it ends the connection instead of an answer

    async def __call__(self, connection: Connection) -> None:
        while True:
            head = await connection.head()
            await connection.exactly(2 if head.startswith(b"POST") else 0)
            self.asked.set()
            answer = asyncio.create_task(self.answer.wait())
            end = asyncio.create_task(connection.reader.read(1))
            await asyncio.wait({answer, end}, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                self.told.set()
            answer.cancel()
            end.cancel()
            if end.done() or self.silent:
                return
            await connection.send(OK)


@asynccontextmanager
async def slow(folder: Path, *listen: str, **changes: Any) -> AsyncIterator[tuple[Router, Slow, Worker]]:
    """A router with such a worker, without time-outs."""
    behaviour = Slow()
    worker = await Worker(folder / "w").start(behaviour)
    times = {"request_us": 0, "read_us": 0, "write_us": 0, "idle_us": 0}
    text = json.loads(snapshot(worker.endpoint, timeouts=times, **changes))
    text["limits"]["max_connections"] = 9
    (folder / "routes.json").write_text(json.dumps(text))
    arguments = ["--listen", "127.0.0.1:0", *listen, "--routes", str(folder / "routes.json"), "--access-log", "json"]
    async with Router(folder, arguments) as router:
        yield router, behaviour, worker
    worker.stop()


async def half_closed(router: Router, behaviour: Slow, request: bytes) -> Connection:
    """A client that has sent a request and closed its sending side; the router has noticed."""
    client = await router.connect()
    await client.send(request)
    await asyncio.wait_for(behaviour.asked.wait(), 9)
    client.half_close()
    await client.taken()
    return client


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_who_only_sends_no_more_gets_the_answer(folder: Path, request_: bytes) -> None:
    async with slow(folder) as (router, behaviour, _):
        client = await half_closed(router, behaviour, request_)
        assert not behaviour.told.is_set()
        behaviour.answer.set()
        assert (await client.rest()).endswith(b"ok")


async def test_with_abort_the_worker_is_told_of_who_sends_no_more(folder: Path) -> None:
    async with slow(folder, on_client_gone="abort") as (router, behaviour, worker):
        client = await half_closed(router, behaviour, GET)
        await asyncio.wait_for(behaviour.told.wait(), 9)
        assert await client.rest() == b""
        assert len(worker.connections) == 1


@pytest.mark.parametrize("mode", ["finish", "abort"])
async def test_a_reset_is_told_at_once(folder: Path, mode: str) -> None:
    async with slow(folder, on_client_gone=mode) as (router, behaviour, worker):
        client = await router.connect()
        await client.send(GET)
        await asyncio.wait_for(behaviour.asked.wait(), 9)
        client.reset()
        await asyncio.wait_for(behaviour.told.wait(), 9)
        assert len(worker.connections) == 1


async def test_a_reset_after_the_end_is_told_at_once(folder: Path) -> None:
    async with slow(folder) as (router, behaviour, worker):
        client = await half_closed(router, behaviour, GET)
        client.reset()
        await asyncio.wait_for(behaviour.told.wait(), 9)
        assert len(worker.connections) == 1


async def test_on_a_unix_socket_who_is_gone_is_no_riddle(folder: Path) -> None:
    """On a Unix socket the kernel distinguishes a closed socket from one that only sends no
    more."""

    async with slow(folder, "--listen", f"unix:{folder}/r") as (_, behaviour, worker):
        ended = Connection(*await asyncio.open_unix_connection(folder / "r"))
        await ended.send(GET)
        await asyncio.wait_for(behaviour.asked.wait(), 9)
        ended.half_close()
        await ended.taken()
        behaviour.asked.clear()
        gone = Connection(*await asyncio.open_unix_connection(folder / "r"))
        await gone.send(GET)
        await asyncio.wait_for(behaviour.asked.wait(), 9)
        gone.close()
        await asyncio.wait_for(behaviour.told.wait(), 9)
        behaviour.answer.set()
        assert (await ended.rest()).endswith(b"ok")
        assert len(worker.connections) == 2


async def test_nothing_is_asked_again_for_who_may_be_gone(folder: Path) -> None:
    async with slow(folder) as (router, behaviour, worker):
        client = await half_closed(router, behaviour, GET)
        behaviour.silent = True
        behaviour.answer.set()
        assert (await client.rest()).startswith(b"HTTP/1.1 502 ")
        assert len(worker.connections) == 1
        assert "its client has ended its side of the connection, so it is not asked again" in router.said()


async def test_a_connection_that_had_died_of_age_is_no_reason_to_answer_nothing(folder: Path) -> None:
    """A client that sends its request and the end together is served as any other."""

    async def two(connection: Connection) -> None:
        await connection.head()
        await connection.send(OK)
        if len(worker.connections) > 1:
            await connection.head()
            await connection.send(OK)
        await connection.head()

    worker = Worker(folder / "w")

    await worker.start(two)
    (folder / "routes.json").write_text(snapshot(worker.endpoint))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", f"{folder}/routes.json"]) as router:
        assert (await router.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).endswith(b"ok")
        client = await router.connect()
        client.writer.write(GET)
        client.half_close()
        assert (await client.rest()).endswith(b"ok")
        assert len(worker.connections) == 2
    worker.stop()
