"""A request that may have killed its worker's process is not sent to the next process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from peers import OK, Connection, Router, TcpWorker, Worker, snapshot

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def routes(folder: Path, endpoint: str) -> list[str]:
    text = json.loads(snapshot(endpoint))
    text["limits"]["max_connections"] = 9
    (folder / "routes.json").write_text(json.dumps(text))
    return ["--listen", "127.0.0.1:0", "--routes", str(folder / "routes.json")]


class Mortal:
    """A process of a worker that ends when it has read so many requests: it closes its listening
    socket first, then all connections."""

    def __init__(self, worker: Worker, dies_at: int) -> None:
        self.seen: list[bytes] = []
        self._worker = worker
        self._dies_at = dies_at
        self._dead = asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        self.seen.append((await connection.head()).split()[1])
        if len(self.seen) == self._dies_at:
            self._worker.stop()
            self._worker.path.unlink(missing_ok=True) if self._worker.path.name else None
            self._dead.set()
        if self._dies_at:
            await self._dead.wait()
        else:
            await connection.send(OK)


@pytest.mark.parametrize("family", ["tcp", "unix"])
async def test_what_was_alone_when_the_process_ended_is_not_asked_again(folder: Path, family: str) -> None:
    worker = TcpWorker() if family == "tcp" else Worker(folder / "w")
    mortal = Mortal(worker, 1)
    await worker.start(mortal)
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        assert (await router.ask(GET % 1)).startswith(b"HTTP/1.1 502 ")
        assert "its process ended with this request alone under way" in router.said()
        if family == "unix":
            waits = asyncio.create_task(router.ask(GET % 2))
            await worker.start(Mortal(worker, 0))
            assert (await waits).endswith(b"ok")
    assert mortal.seen == [b"/1"]
    worker.stop()


async def test_of_several_each_is_asked_again_once_and_not_after_two_ends(folder: Path) -> None:
    worker = Worker(folder / "w")
    first, second = Mortal(worker, 3), Mortal(worker, 3)
    await worker.start(first)
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        asked = [asyncio.create_task(router.ask(GET % n)) for n in range(3)]
        await asyncio.wait_for(first._dead.wait(), 9)
        await worker.start(second)
        await asyncio.wait_for(second._dead.wait(), 9)
        await worker.start(Mortal(worker, 0))
        assert [(await answer)[:13] for answer in asked] == [b"HTTP/1.1 502 "] * 3
        assert (await router.ask(GET % 9)).endswith(b"ok")
    assert sorted(first.seen) == sorted(second.seen) == [b"/0", b"/1", b"/2"]
    worker.stop()


async def test_of_several_each_is_answered_by_the_next_process(folder: Path) -> None:
    worker = Worker(folder / "w")
    first = Mortal(worker, 3)
    await worker.start(first)
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        asked = [asyncio.create_task(router.ask(GET % n)) for n in range(3)]
        await asyncio.wait_for(first._dead.wait(), 9)
        await worker.start(Mortal(worker, 0))
        assert [(await answer)[-2:] for answer in asked] == [b"ok"] * 3
    worker.stop()


async def test_a_process_that_lives_on_is_asked_again(folder: Path) -> None:
    """The process closed one connection, because of its age or for another reason."""

    async def behave(connection: Connection) -> None:
        await connection.head()
        if len(worker.connections) > 1:
            await connection.send(OK)

    worker = Worker(folder / "w")

    await worker.start(behave)
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        assert (await router.ask(GET % 1)).endswith(b"ok")
    worker.stop()
