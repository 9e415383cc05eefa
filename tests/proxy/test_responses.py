"""Workers whose responses are good, bad, late, incomplete or missing."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from peers import OK, Connection, Router, Worker, answering, once, routed

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
KEEP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
BIG = bytes(range(256)) * 4096 * 8

GARBAGE = {
    "no HTTP": b"hello\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "control": b"HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 2\r\n\r\nok",
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000,
    "many 1xx": b"HTTP/1.1 102 Processing\r\n\r\n" * 20,
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.parametrize("response", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_worker_that_speaks_no_http_is_a_502(folder: Path, response: bytes) -> None:
    async with routed(folder, once(response)) as (router, worker):
        answer = await router.ask(GET)
        assert b"HTTP/1.1 502 Bad Gateway\r\n" in answer
        assert len(worker.connections) == (1 if response else 2)  # without a response it may have been a restart
        assert "worker /: 502:" in router.said()


BODILESS = {
    "HEAD": (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"\r\nContent-Length: 5\r\n"),
    "HEAD, until close": (b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 204 No Content\r\n"),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"\r\nContent-Length: 5\r\n"),
}


@pytest.mark.parametrize(("method", "response", "part"), BODILESS.values(), ids=BODILESS.keys())
async def test_a_response_without_a_body_leaves_both_connections_in_step(
    folder: Path, method: bytes, response: bytes, part: bytes
) -> None:
    async with routed(folder, answering(response)) as (router, worker):
        client = await router.connect()
        for _ in range(2):
            await client.send(method + KEEP[3:])
            assert part in await client.head()
        assert len(worker.connections) == 1


async def test_a_body_until_close_becomes_chunks(folder: Path) -> None:
    async with routed(folder, once(b"HTTP/1.0 200 OK\r\n\r\nhello")) as (router, _):
        client = await router.connect()
        await client.send(KEEP)
        assert b"\r\nTransfer-Encoding: chunked\r\n" in await client.head()
        assert await client.until(b"0\r\n\r\n") == b"5\r\nhello\r\n0\r\n\r\n"


CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello",
    "garbage in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
}


@pytest.mark.parametrize("response", CUT.values(), ids=CUT.keys())
async def test_a_response_cut_short_never_looks_whole(folder: Path, response: bytes) -> None:
    async with routed(folder, once(response)) as (router, _):
        answer = await router.ask(GET)
        assert not answer.endswith(b"0\r\n\r\n")
        assert b"Content-Length: 100" in answer or b"chunked" in answer or b" 502 " in answer


async def test_a_reset_is_no_end_of_a_body_until_close(folder: Path) -> None:
    async def behave(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await asyncio.wait_for(told.wait(), 5)
        connection.reset()

    told = asyncio.Event()

    server = await asyncio.start_server(lambda r, w: behave(Connection(r, w)), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Router(folder, ["--listen", "127.0.0.1:0", "--route", f"/=127.0.0.1:{port}"]) as router:
        client = await router.connect()
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        await client.until(b"hello")
        told.set()
        with pytest.raises(ConnectionResetError):
            await client.rest()
    server.close()


async def test_an_old_connection_that_died_is_tried_again_for_get_and_not_used_for_post(folder: Path) -> None:
    async def one_each(connection: Connection) -> None:
        await connection.head()
        await connection.send(OK)
        if b"POST" in await connection.until(b"\r\n\r\n"):
            await connection.exactly(3)
        connection.close()

    async with routed(folder, one_each) as (router, worker):
        client = await router.connect()
        for _ in range(3):
            await client.send(KEEP)
            assert (await client.response())[1] == b"ok"
        assert len(worker.connections) == 3  # the second and third ended during a request, which was sent again
        await client.send(POST)  # on a connection of its own
        assert (await client.response())[1] == b"ok"
        assert b"".join(worker.seen).count(b"POST") == 1


async def test_a_request_under_which_connections_die_is_tried_again_once(folder: Path) -> None:
    async with routed(folder, once(b"")) as (router, worker):
        assert b" 502 " in await router.ask(GET)
        assert len(worker.connections) == 2
        assert b" 502 " in await router.ask(POST.replace(b"Host: a", b"Host: a\r\nConnection: close"))
        assert len(worker.connections) == 3


async def test_an_endpoint_that_refuses_is_passed_over(folder: Path) -> None:
    worker = await Worker(folder / "w").start(answering(OK))
    routes = ["--route", f"/=unix:{folder}/none", "--route", f"/={worker.endpoint}", "--route", "/dead=127.0.0.1:1"]
    routes += ["--queue-timeout", "300ms"]
    async with Router(folder, ["--listen", "127.0.0.1:0", *routes]) as router:
        for _ in range(6):
            assert (await router.ask(GET)).endswith(b"ok")
        dead = await router.ask(GET.replace(b"/ ", b"/dead ", 1))
        assert dead.startswith(b"HTTP/1.1 504 ")
        assert "worker /dead: 127.0.0.1:1 takes no connections: Connection refused" in router.said()
    worker.stop()


async def test_surplus_bytes_end_the_worker_s_connection(folder: Path) -> None:
    async with routed(folder, answering(OK + b"HTTP/1.1 200 OK\r\n")) as (router, worker):
        client = await router.connect()
        for _ in range(2):
            await client.send(KEEP)
            assert (await client.response())[1] == b"ok"
        assert len(worker.connections) == 2


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_big_bodies_pass_whole_both_ways_past_slow_readers(folder: Path, *, chunked: bool) -> None:
    async def echo(connection: Connection) -> None:
        await connection.head()
        body = await connection.exactly(len(BIG))
        if chunked:
            await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(body), 50_000):
                piece = body[start : start + 50_000]
                await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await connection.send(b"0\r\n\r\n")
        else:
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with routed(folder, echo) as (router, _):
        client = await router.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG)
        await client.head()
        if chunked:
            body = b""
            while size := int(await client.until(b"\r\n"), 16):
                body += (await client.exactly(size + 2))[:-2]
        else:
            body = await client.exactly(len(BIG))
        assert hashlib.sha256(body).digest() == hashlib.sha256(BIG).digest()


async def test_a_slow_client_holds_the_worker_up_instead_of_filling_memory(folder: Path) -> None:
    sent = 0
    stalled = asyncio.Event()

    async def flood(connection: Connection) -> None:
        nonlocal sent
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                connection.writer.write(b"x" * 65536)
                await asyncio.wait_for(connection.writer.drain(), 0.5)
                sent += 65536
        except TimeoutError:
            stalled.set()

    async with routed(folder, flood) as (router, _):
        client = await router.connect()
        await client.send(KEEP)
        await asyncio.wait_for(stalled.wait(), 10)
        resident = (Path(f"/proc/{router.process.pid}/statm")).read_text().split()[1]
        assert int(resident) * 4096 < 80 << 20
        assert sent < 32 << 20


async def test_server_sent_events_pass_at_once(folder: Path) -> None:
    heard = asyncio.Event()

    async def tell(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await asyncio.wait_for(heard.wait(), 5)
        await connection.send(b"data: 2\n\n")

    async with routed(folder, tell) as (router, _):
        client = await router.connect()
        await client.send(KEEP)
        await client.until(b"data: 1\n\n")
        heard.set()
        await client.until(b"data: 2\n\n")


async def test_a_client_that_is_gone_takes_its_request_along(folder: Path) -> None:
    gone = asyncio.Event()

    async def wait(connection: Connection) -> None:
        await connection.head()
        asked.set()
        await connection.rest()
        gone.set()

    asked = asyncio.Event()

    async with routed(folder, wait) as (router, _):
        client = await router.connect()
        await client.send(KEEP)
        await asyncio.wait_for(asked.wait(), 5)
        client.reset()
        await asyncio.wait_for(gone.wait(), 5)
