"""Requests that wait in the router: for a worker that does not run, and for their turn."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from control_peers import ask, controlled, until
from peers import OK, Connection, Router, Worker, answering, length_of, snapshot

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"


def routes(folder: Path, *endpoints: str, connections: int = 100, **changes: Any) -> list[str]:
    """The command line of a router for one worker with these endpoints."""
    text = json.loads(snapshot(endpoints[0], endpoints=list(endpoints), **changes))
    text["limits"]["max_connections"] = connections
    (folder / "routes.json").write_text(json.dumps(text))
    return ["--listen", "127.0.0.1:0", "--routes", str(folder / "routes.json")]


async def waiting(router: Router, endpoint: str) -> None:
    """Wait until the router has found that nothing listens there."""
    while f"{endpoint} takes no connections" not in router.said():
        await asyncio.sleep(0)


async def test_requests_wait_for_a_worker_that_is_not_there_yet(folder: Path) -> None:
    worker = Worker(folder / "w")
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        asked = [asyncio.create_task(router.ask(request % n)) for n in range(20) for request in (GET, POST)]
        await waiting(router, worker.endpoint)
        await worker.start(answering(OK))
        assert [answer.endswith(b"ok") for answer in await asyncio.gather(*asked)] == [True] * 40
    seen = b"".join(worker.seen)
    assert [seen.count(b"%s /%d " % (method, n)) for n in range(20) for method in (b"GET", b"POST")] == [1] * 40
    worker.stop()


async def test_a_worker_that_starts_anew_fails_nobody(folder: Path) -> None:
    worker = await Worker(folder / "w").start(answering(OK))
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        client = await router.connect()
        for n in range(3):
            await client.send((GET % n).replace(b"Connection: close\r\n", b""))
            assert (await client.response())[1] == b"ok"
            worker.stop()
            for connection in worker.connections:
                connection.close()
            worker.path.unlink()
            asked = asyncio.create_task(router.ask(POST % n))
            worker = await Worker(folder / "w").start(answering(OK))
            assert (await asked).endswith(b"ok")
    worker.stop()


async def test_waiting_ends_with_a_504(folder: Path) -> None:
    async with Router(folder, routes(folder, f"unix:{folder}/none", queue_us=200_000)) as router:
        answers = await asyncio.gather(*(router.ask(request % 1) for request in (GET, POST)))
        assert [answer[:13] for answer in answers] == [b"HTTP/1.1 504 "] * 2


async def test_a_full_line_is_a_503_that_says_when_to_come_again(folder: Path) -> None:
    options = routes(folder, f"unix:{folder}/none", queue_us=300_000, max_inflight=2)
    async with Router(folder, options) as router:
        answers = await asyncio.gather(*(router.ask(GET % n) for n in range(5)))
        codes = sorted(answer[9:12] for answer in answers)
        assert codes == [b"503"] * 3 + [b"504"] * 2
        assert all((b"\r\nRetry-After: 1\r\n" in answer) == (answer[9:12] == b"503") for answer in answers)


class Counting:
    """A worker that counts its simultaneous requests, and answers when all of them have come."""

    def __init__(self, room: int) -> None:
        self.now = self.most = 0
        self.full = asyncio.Barrier(room)

    async def __call__(self, connection: Connection) -> None:
        while True:
            head = await connection.head()
            await connection.exactly(length_of(head))
            self.now += 1
            self.most = max(self.most, self.now)
            await self.full.wait()
            self.now -= 1
            await connection.send(OK)


async def test_no_more_requests_at_once_than_the_worker_wants(folder: Path) -> None:
    counting = Counting(3)
    worker = await Worker(folder / "w").start(counting)
    async with Router(folder, routes(folder, worker.endpoint, queue_us=10_000_000, max_inflight=3)) as router:
        first = [asyncio.create_task(router.ask(GET % n)) for n in range(3)]
        await asyncio.gather(*first)
        clients = [await router.connect() for _ in range(6)]
        for n, client in enumerate(clients):
            await client.send(GET % n)
        assert [(await client.rest())[-2:] for client in clients] == [b"ok"] * 6
    assert counting.most == 3
    worker.stop()


async def test_a_client_that_leaves_while_it_waits_is_not_served(folder: Path) -> None:
    worker = Worker(folder / "w")
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        gone = await router.connect()
        await gone.send(GET % 1)
        await waiting(router, worker.endpoint)
        gone.reset()
        stays = asyncio.create_task(router.ask(GET % 2))
        await worker.start(answering(OK))
        assert (await stays).endswith(b"ok")
        assert b"/1 " not in b"".join(worker.seen)
    worker.stop()


async def test_an_endpoint_that_is_down_is_left_alone_and_taken_back(folder: Path) -> None:
    good = await Worker(folder / "good").start(answering(OK))
    late = Worker(folder / "late")
    async with Router(folder, routes(folder, good.endpoint, late.endpoint)) as router:
        for n in range(10):
            assert (await router.ask(GET % n)).endswith(b"ok")
        assert router.said().count("takes no connections") == 1
        await late.start(answering(OK))
        while not late.connections:
            assert (await router.ask(GET % 1)).endswith(b"ok")
    good.stop()
    late.stop()


async def test_routes_that_change_under_waiting_requests(folder: Path) -> None:
    moved = await Worker(folder / "moved").start(answering(OK))
    options = routes(folder, f"unix:{folder}/none", queue_us=10_000_000)
    async with Router(folder, options) as router:
        asked = asyncio.create_task(router.ask(GET % 1))
        await waiting(router, f"unix:{folder}/none")
        routes(folder, moved.endpoint, queue_us=10_000_000)
        router.process.send_signal(signal.SIGHUP)
        assert (await asked).endswith(b"ok")  # the same worker, at another endpoint
        routes(folder, f"unix:{folder}/none", queue_us=10_000_000)
        router.process.send_signal(signal.SIGHUP)
        await router.told("RELOADING=1")
        await router.told("READY=1")
        asked = asyncio.create_task(router.ask(GET % 2))
        while router.said().count("takes no connections") < 2:
            await asyncio.sleep(0)
        routes(folder, moved.endpoint, name="other")
        router.process.send_signal(signal.SIGHUP)
        assert (await asked).startswith(b"HTTP/1.1 503 ")
    moved.stop()


RETRIES = {"idempotent": (b"ok", b"502"), "unsent": (b"502", b"502"), "never": (b"502", b"502")}


@pytest.mark.parametrize(("retry", "codes"), RETRIES.items(), ids=RETRIES)
async def test_what_may_be_sent_again(folder: Path, retry: str, codes: tuple[bytes, bytes]) -> None:
    """The worker ends its first connection without an answer."""

    async def behave(connection: Connection) -> None:
        head = await connection.head()
        await connection.exactly(length_of(head))
        if len(worker.connections) > 1 and b"GET" in head:
            await connection.send(OK)

    worker = Worker(folder / "w")

    await worker.start(behave)
    async with Router(folder, routes(folder, worker.endpoint, retry=retry)) as router:
        for request, code in zip((GET, POST), codes, strict=True):
            assert code in await router.ask(request % 1)
    worker.stop()


async def test_requests_behind_one_that_is_turned_away_are_answered_too(folder: Path) -> None:
    """The client has sent them ahead on the same connection, and they wait behind that one."""
    ahead = (GET % 1).replace(b"Connection: close\r\n", b"")

    async with Router(folder, controlled(folder, f"unix:{folder}/none")) as router:
        client = await router.connect()
        await client.send(ahead + ahead + GET % 3)
        await until(folder, waiting=1)
        assert (await ask(folder, "POST", "/maintenance", worker="w", text="later"))[0] == 200
        answers = await client.rest()
        assert answers.count(b"HTTP/1.1 503 ") == answers.count(b"later") == 3
