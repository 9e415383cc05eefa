"""Large bodies, which the kernel moves, through the real router: exact to the byte; with slow,
broken and silent peers."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import pytest
from bodies import MIB, SIZES, SMALL, answer_to, digest, get, give_and_take, payload, post, receive, rely
from control_peers import relayed, status, until
from peers import PATIENCE, SWITCHED, UPGRADE, Connection, Router

FRAMINGS = {"length": "length", "chunked": "chunked", "close": "chunked"}
"""The framing by the worker, and the framing for a client that knows chunks."""


@pytest.mark.parametrize(("framing", "passed_on"), FRAMINGS.items(), ids=FRAMINGS)
async def test_downloads_one_after_the_other_on_the_same_connections(
    folder: Path, framing: str, passed_on: str
) -> None:
    async with relayed(folder, give_and_take) as (router, worker):
        client = await router.connect()
        for size in (*SIZES, *reversed(SIZES)):
            await client.send(get(f"/{framing}/{size}"))
            response = await receive(client)
            assert (response.framing, response.digest) == (passed_on, digest(payload(size)))
        assert len(worker.connections) == (2 * len(SIZES) if framing == "close" else 1)
        await until(folder, in_flight=0, connections=1)


async def test_downloads_to_a_client_that_knows_no_chunks(folder: Path) -> None:
    async with relayed(folder, give_and_take) as (router, _):
        for framing, size in product(FRAMINGS, SIZES):
            client = await router.connect()
            await client.send(get(f"/{framing}/{size}", minor=0))
            response = await receive(client)
            assert response.framing == ("length" if framing == "length" else "close")
            assert response.digest == digest(payload(size))
            assert await client.rest() == b""
            client.close()
        await until(folder, in_flight=0, connections=0)


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_uploads_one_after_the_other_on_the_same_connections(folder: Path, framing: str) -> None:
    async with relayed(folder, give_and_take) as (router, worker):
        client = await router.connect()
        await rely(client)
        for size in (*SIZES, *reversed(SIZES)):
            await client.send(post(payload(size), framing))
            assert (await receive(client)).body.decode() == digest(payload(size))
        assert len(worker.connections) == 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_what_is_sent_behind_a_large_upload_is_answered_after_it(folder: Path, framing: str) -> None:
    async with relayed(folder, give_and_take) as (router, worker):
        client = await router.connect()
        await rely(client)
        behind = get("/length/3") + post(payload(MIB), framing) + get("/chunked/200000")
        sending = asyncio.create_task(client.send(post(payload(3 * MIB), framing) + behind))
        answers = [await receive(client) for _ in range(4)]
        await sending
        bodies = [answer.body if len(answer.body) < 100 else answer.digest.encode() for answer in answers]
        uploads = [digest(payload(size)).encode() for size in (3 * MIB, MIB)]
        assert bodies == [uploads[0], payload(3), uploads[1], digest(payload(200_000)).encode()]
        assert len(worker.connections) == 1


async def test_a_client_with_small_buffers_gets_all_of_it_and_more(folder: Path) -> None:
    async with relayed(folder, give_and_take) as (router, _):
        client = await router.connect(receive=SMALL)
        for framing, minor in (*product(FRAMINGS, (1,)), ("chunked", 0)):
            await client.send(get(f"/{framing}/{2 * MIB}", minor))
            assert (await receive(client)).digest == digest(payload(2 * MIB))


async def test_a_worker_with_small_buffers_gets_all_of_it_and_more(folder: Path) -> None:
    async with relayed(folder, give_and_take, receive=SMALL) as (router, worker):
        client = await router.connect()
        await rely(client)
        for framing in ("length", "chunked", "length"):
            await client.send(post(payload(2 * MIB), framing))
            assert (await receive(client)).body.decode() == digest(payload(2 * MIB))
        assert len(worker.connections) == 1


@pytest.mark.parametrize("reads_on", [True, False], ids=["and reads on", "and closes"])
async def test_a_worker_may_answer_before_the_upload_is_over(folder: Path, reads_on: bool) -> None:  # noqa: FBT001
    async def full(connection: Connection) -> None:
        await connection.head()
        await connection.exactly(MIB)
        await connection.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull")
        if reads_on:
            await connection.rest()

    async with relayed(folder, full) as (router, _):
        said = await answer_to(router, post(payload(32 * MIB)))
        assert said.startswith(b"HTTP/1.1 413 ")
        assert b"\r\nConnection: close\r\n" in said
        assert said.endswith(b"\r\n\r\nfull")
        await until(folder, in_flight=0, connections=0)


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_the_limit_of_a_body_is_exact(folder: Path, framing: str) -> None:
    async with relayed(folder, give_and_take, max_body=2 * MIB) as (router, worker):
        client = await router.connect()
        await client.send(post(payload(2 * MIB), framing))
        assert (await receive(client)).body.decode() == digest(payload(2 * MIB))
        client.close()

        async def begun() -> None:
            """A body that is too long is passed on until the limit is exceeded: here, when the
            worker has a part of it."""
            while posts() < 2:
                await status(folder)

        def posts() -> int:
            return b"".join(worker.seen).count(b"POST /")

        over = post(payload(2 * MIB + 1), framing) + payload(32 * MIB)
        said = await answer_to(router, over, begun if framing == "chunked" else None)
        assert said.startswith(b"HTTP/1.1 413 ")
        assert b"\r\nConnection: close\r\n" in said
        assert posts() == (1 if framing == "length" else 2)
        await until(folder, in_flight=0)


async def switching(connection: Connection) -> None:
    """A tunnel: sends much, then closes its sending side; reads all into `seen`."""
    await connection.head()
    await connection.send(SWITCHED)
    sending = asyncio.create_task(connection.send(payload(8 * MIB)))
    await connection.rest()
    await sending
    connection.half_close()


async def test_a_tunnel_carries_much_both_ways_at_once_and_each_ends_by_itself(folder: Path) -> None:
    async with relayed(folder, switching) as (router, worker):
        client = await router.connect()
        await client.send(UPGRADE)
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        there = payload(8 * MIB - 1)
        sending = asyncio.create_task(client.send(there))
        back = await client.exactly(8 * MIB)
        await sending
        client.half_close()
        assert await client.rest() == b""
        assert digest(back) == digest(payload(8 * MIB))
        assert digest(worker.seen[0].partition(b"\r\n\r\n")[2]) == digest(there)
        await until(folder, in_flight=0, connections=0)


async def test_it_is_the_kernel_that_moves_them(folder: Path) -> None:
    """splice(2) moves each byte twice, into a pipe and out of it."""

    async with relayed(folder, give_and_take) as (router, _):
        client = await router.connect()
        for request in (get(f"/length/{8 * MIB}"), get(f"/close/{8 * MIB}"), post(payload(8 * MIB))):
            async with traced(router, folder / "trace") as trace:
                await client.send(request)
                await receive(client)
            moved = sum(int(count) for count in re.findall(r"\) = (\d+)$", trace.read_text(), re.MULTILINE))
            assert 2 * 7 * MIB < moved <= 2 * 8 * MIB
        async with traced(router, folder / "trace") as trace:
            await client.send(get(f"/chunked/{MIB}"))
            await receive(client)
        assert "splice" not in trace.read_text()


@asynccontextmanager
async def traced(router: Router, file: Path) -> AsyncIterator[Path]:
    """Meanwhile strace(1) records the router's calls of splice(2)."""
    command = ["strace", "-e", "trace=splice", "-o", str(file), "-p", str(router.process.pid)]
    strace = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert strace.stderr is not None
    assert b"attached" in await asyncio.wait_for(strace.stderr.readline(), PATIENCE)
    yield file
    strace.send_signal(signal.SIGINT)
    await strace.communicate()
