"""`proxy.buffer_requests`: a worker gets a request when the router has the whole body, or as much
of it as may wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bodies import dechunked
from peers import OK, PATIENCE, Behaviour, Connection, Router, Worker, answering, length_of, snapshot

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def gathering(folder: Path, behaviour: Behaviour, **changes: Any) -> AsyncIterator[tuple[Router, Worker]]:
    """A router that buffers requests for its only worker."""
    worker = await Worker(folder / "w").start(behaviour)
    (folder / "r").write_text(snapshot(worker.endpoint, buffer_requests=True, **{"max_body": 0, **changes}))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(folder / "r")]) as router:
        yield router, worker
    worker.stop()


async def test_a_slow_body_takes_no_place_of_the_worker(folder: Path) -> None:
    async with gathering(folder, answering(OK), max_inflight=1) as (router, worker):
        slow, other = await router.connect(), await router.connect()
        await slow.send(POST + b"abc")
        await other.send(GET)
        assert (await other.response())[1] == b"ok"
        await slow.send(b"def")
        assert (await slow.response())[1] == b"ok"
        seen = b"".join(worker.seen)  # the other client's request first
        assert seen.startswith(b"GET ") and seen.endswith(b"\r\n\r\nabcdef")


async def test_a_chunked_body_is_whole_as_well(folder: Path) -> None:
    async with gathering(folder, answering(OK), max_inflight=1) as (router, worker):
        slow, other = await router.connect(), await router.connect()
        await slow.send(CHUNKED)
        for piece in (b"3\r", b"\nabc\r\n", b"3;x\r\nde", b"f\r\n0\r\n"):
            await slow.send(piece)
            await other.send(GET)
            await other.response()
        await slow.send(b"\r\n" + GET)  # and the next request behind it
        for _ in range(2):
            assert (await slow.response())[1] == b"ok"
        assert b"".join(worker.seen).count(b"GET ") == 5
        seen = b"".join(worker.seen)
        assert b"\r\nContent-Length: 6\r\n\r\nabcdef" in seen  # as other servers read it
        assert b"Transfer-Encoding" not in seen


@pytest.mark.parametrize("body", [b"", b"hello", b"x" * 70_000], ids=["empty", "short", "as much as may wait"])
async def test_a_whole_body_has_a_length_in_each_of_many_requests(folder: Path, body: bytes) -> None:
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"

    async with gathering(folder, answering(OK)) as (router, worker):
        client = await router.connect()
        for _ in range(4):  # the later ones are read by their difference to the first
            await client.send(CHUNKED + sent)
            assert (await client.response())[1] == b"ok"
        seen = b"".join(worker.seen)
        assert seen.count(b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)) == 4
        assert b"Transfer-Encoding" not in seen


async def test_trailers_stay_and_with_them_the_chunks(folder: Path) -> None:
    async with gathering(folder, answering(OK)) as (router, worker):
        client = await router.connect()
        asked = CHUNKED.replace(b"\r\n\r\n", b"\r\nTrailer: X-Sum\r\n\r\n")
        await client.send(asked + b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n")
        assert (await client.response())[1] == b"ok"
        (seen,) = worker.seen
        assert seen.endswith(b"\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: 1\r\n\r\n")
        assert b"Content-Length" not in seen


async def test_chunks_that_are_too_many_to_wait_go_on_as_chunks(folder: Path) -> None:
    """The rest is sent when the worker has the head. Otherwise the router could read the body with
    its end in one read, and it would be complete."""
    *pieces, last = [b"%d" % n * 10_000 for n in range(10)]
    came = asyncio.Event()

    async def take(connection: Connection) -> None:
        assert b"\r\nTransfer-Encoding: chunked\r\n\r\n" in await connection.head()
        came.set()
        body, _ = await dechunked(connection)
        assert body == b"".join((*pieces, last))
        await connection.send(OK)

    async with gathering(folder, take) as (router, _):
        client = await router.connect()
        await client.send(CHUNKED)
        for piece in pieces:
            await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await asyncio.wait_for(came.wait(), PATIENCE)
        await client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))
        assert (await client.response())[1] == b"ok"


async def test_a_body_that_is_too_long_to_wait_goes_on_as_it_comes(folder: Path) -> None:
    size = 1 << 20

    came = asyncio.Event()

    async def echo(connection: Connection) -> None:
        head = await connection.head()
        came.set()
        body = await connection.exactly(length_of(head))
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with gathering(folder, echo) as (router, _):
        client = await router.connect()
        body = bytes(n % 251 for n in range(size))
        await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body[: size // 2])
        await asyncio.wait_for(came.wait(), PATIENCE)
        await client.send(body[size // 2 :])
        assert (await client.response())[1] == body


@pytest.mark.parametrize("expects", [b"Expect: 100-continue\r\n", b""], ids=["asks", "does not ask"])
async def test_the_router_says_continue(folder: Path, expects: bytes) -> None:
    async with gathering(folder, answering(OK)) as (router, worker):
        client = await router.connect()
        await client.send(POST.replace(b"\r\n\r\n", b"\r\n" + expects + b"\r\n"))
        if expects:
            assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not worker.connections
        await client.send(b"abcdef")
        head, body = await client.response()
        assert (head.startswith(b"HTTP/1.1 200 "), body) == (True, b"ok")
        assert b"expect" not in worker.seen[0].lower()


async def test_nobody_is_told_to_go_on_who_has_sent_all(folder: Path) -> None:
    async with gathering(folder, answering(OK)) as (router, worker):
        client = await router.connect()
        await client.send(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") + b"abcdef")
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert b"expect" not in worker.seen[0].lower()


REFUSED = {
    "chunks that are none": (400, CHUNKED + b"3\r\nabc\r\n", b"x\r\n"),
    "too much": (413, CHUNKED + b"3\r\nabc\r\n", b"ff\r\n" + b"x" * 255),
    "nothing more in time": (408, POST + b"abc", b""),
}


@pytest.mark.parametrize(("status", "first", "then"), REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_never_reaches_the_worker(folder: Path, status: int, first: bytes, then: bytes) -> None:
    is_late = not then  # the refusal is the time-out
    async with gathering(folder, answering(OK), max_body=10, is_hasty=is_late) as (router, worker):
        client = await router.connect()
        await client.send(first)
        await client.send(then)
        assert (await client.rest()).startswith(b"HTTP/1.1 %d " % status)
        assert not worker.connections


async def test_an_end_within_the_body_is_told(folder: Path) -> None:
    async with gathering(folder, answering(OK)) as (router, worker):
        client = await router.connect()
        await client.send(POST + b"abc")
        client.half_close()
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
        assert not worker.connections


@pytest.mark.parametrize(("method", "status"), [(b"PUT", 200), (b"POST", 502)], ids=["PUT", "POST"])
async def test_what_is_here_whole_can_be_sent_twice_if_it_is_idempotent(
    folder: Path, method: bytes, status: int
) -> None:
    tries = []

    async def fail_once(connection: Connection) -> None:
        head = await connection.head()
        tries.append(head[:4] + await connection.exactly(6))
        if len(tries) > 1:
            await connection.send(OK)

    async with gathering(folder, fail_once) as (router, _):
        client = await router.connect()
        await client.send(POST.replace(b"POST", method) + b"abcdef")
        assert (await client.head()).startswith(b"HTTP/1.1 %d " % status)
        assert tries == [method[:4].ljust(4) + b"abcdef"] * (2 if status == 200 else 1)
