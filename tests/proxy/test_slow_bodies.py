"""Bodies that come too slowly are ended (`proxy.min_body_rate`, `timeouts.body`); time that the
client does not cause is not counted.

The clock of these tests is another client with a body that is too slow: when it gets its 408, a
body that began earlier would have got one too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bodies import MIB, SMALL, chunked, payload
from control_peers import PATIENT, relayed, until
from peers import OK, PATIENCE, Behaviour, Connection, Router, TcpWorker, answering, length_of
from secure_peers import client_context, make

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LENGTH = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECES = {"length": (LENGTH, b"x"), "chunked": (CHUNKED, b"1\r\nx\r\n")}
LARGE = 8 * MIB
SIP = 16 * 1024
"""Bytes that a slow worker reads at a time: a quarter of what `EASY` asks for in a second."""

EASY = 4 * SIP
"""Bytes a second that the slowest machine sends, once the worker reads."""

EVERY = 0.05
"""Seconds between two pieces of a slow client: 20 or 120 bytes a second."""

RATE = 1000
TIMEOUTS = {"request_us": 0, "read_us": PATIENT, "write_us": PATIENT, "idle_us": PATIENT, "body_us": 500_000}


@contextlib.asynccontextmanager
async def watched(
    folder: Path, behaviour: Behaviour, *more: str, rate: int = RATE, **changes: Any
) -> AsyncIterator[tuple[Router, TcpWorker]]:
    """A router that requires so many bytes a second, after half a second."""
    changes = {"timeouts": TIMEOUTS, "min_body_rate": rate, **changes}
    async with relayed(folder, behaviour, *more, **changes) as (router, worker):
        yield router, worker


async def trickle(client: Connection, piece: bytes) -> None:
    """Send piece by piece, as long as the other end takes them."""
    with contextlib.suppress(ConnectionError):
        while not client.reader.at_eof():
            client.writer.write(piece)
            await client.writer.drain()
            await asyncio.sleep(EVERY)


async def too_slow(router: Router, framing: str = "length") -> bytes:
    """The head of the answer to a body that never ends and comes too slowly."""
    head, piece = PIECES[framing]
    client = await router.connect()
    await client.send(head)
    trickling = asyncio.create_task(trickle(client, piece))
    try:
        return await client.head()
    finally:
        trickling.cancel()
        client.close()


async def taking(connection: Connection) -> None:
    """A worker that reads what comes, and answers a whole request."""
    head = await connection.head()
    if b"/slow" in head:
        await connection.rest()
    else:
        await connection.exactly(length_of(head))
        await connection.send(OK)


@pytest.mark.parametrize("framing", PIECES)
async def test_a_body_that_trickles_is_a_408(folder: Path, framing: str) -> None:
    async with watched(folder, taking) as (router, worker):
        head = await too_slow(router, framing)
        assert (head[:13], b"\r\nConnection: close\r\n" in head) == (b"HTTP/1.1 408 ", True)
        await until(folder, in_flight=0)
        assert "worker w: 408: a body slower than 1000 bytes a second (proxy.min_body_rate, timeouts.body)" in (
            router.said()
        )
        async with asyncio.timeout(PATIENCE):  # and the worker's connection is ended
            while not worker.connections[0].writer.is_closing():
                await asyncio.sleep(0)


async def test_three_hundred_slow_bodies_give_their_places_back(folder: Path) -> None:
    limits = {"max_connections": 1000}
    async with watched(folder, taking, max_inflight=300, limits=limits) as (router, _):
        slow = [asyncio.create_task(too_slow(router, framing)) for framing in PIECES for _ in range(150)]
        await until(folder, in_flight=300)
        other = await router.connect()
        await other.send(GET)
        assert (await other.response())[1] == b"ok"
        for client in slow:
            client.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_body_that_is_slow_but_fast_enough_passes(folder: Path) -> None:
    async def steady(router: Router, head: bytes, piece: bytes, last: bytes) -> bytes:
        client = await router.connect()
        await client.send(head)
        for _ in range(50):  # 2.5 s
            await client.send(piece)
            await asyncio.sleep(EVERY)
        await client.send(last)
        return (await client.response())[1]

    async with watched(folder, answering(OK)) as (router, _):
        length = LENGTH.replace(b"100000", b"25000")
        answers = await asyncio.gather(
            steady(router, length, b"x" * 500, b""),
            steady(router, CHUNKED, b"1f4\r\n%b\r\n" % (b"x" * 500), b"0\r\n\r\n"),
        )
        assert list(answers) == [b"ok", b"ok"]


FRAMINGS = {
    "length": (b"Content-Length: %d" % LARGE, payload(LARGE)),
    "chunked": (b"Transfer-Encoding: chunked", chunked(payload(LARGE))),
}


class Reluctant:
    """A worker that reads a little of a body each time the test tells it to, and then the rest."""

    def __init__(self) -> None:
        self.turns: asyncio.Queue[int] = asyncio.Queue()

    async def __call__(self, connection: Connection) -> None:
        head = await connection.head()
        if b"/slow" in head:
            await connection.rest()
            return
        while turn := await self.turns.get():
            await connection.exactly(turn)
        tail, left = b"", length_of(head) - len(connection.seen) + len(head)
        while tail != b"0\r\n\r\n" if b"chunked" in head else left:
            data = await connection.reader.read(MIB)
            if not data:
                return
            tail, left = (tail + data)[-5:], left - len(data)
        await connection.send(OK)


@pytest.mark.short("plain-length", "tls-chunked")
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
async def test_a_large_body_is_never_cut_because_the_worker_is_slow(
    folder: Path, framing: str, *, secured: bool
) -> None:
    worker = Reluctant()
    certificate, key = make(folder, "a", "a.example")
    more = [f"--certificate={certificate}", f"--key={key}"] if secured else []
    async with watched(folder, worker, *more, rate=EASY, receive=SMALL) as (router, _):
        field, body = FRAMINGS[framing]
        client = await router.connect(tls=client_context() if secured else None)
        client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n%b" % (field, body))
        for _ in range(3):
            assert (await too_slow(router))[:13] == b"HTTP/1.1 408 "
            worker.turns.put_nowait(SIP)
        worker.turns.put_nowait(0)
        assert (await client.response())[1] == b"ok"


@pytest.mark.parametrize("framing", PIECES)
async def test_a_worker_that_takes_little_at_a_time_is_the_slow_one_at_any_rate(folder: Path, framing: str) -> None:
    enough = asyncio.Event()

    async def sipping(connection: Connection) -> None:
        if b"/slow" in await connection.head():
            await connection.rest()
            return
        while not enough.is_set():
            await connection.reader.read(SMALL)
            await asyncio.sleep(0)
        await connection.send(OK)

    async def pour(client: Connection) -> None:
        piece = chunked(bytes(MIB)).removesuffix(b"0\r\n\r\n") if framing == "chunked" else bytes(MIB)
        with contextlib.suppress(ConnectionError):
            while True:
                client.writer.write(piece)
                await client.writer.drain()

    async with watched(folder, sipping, rate=1024 * MIB, receive=SMALL) as (router, _):
        client = await router.connect()
        await client.send(PIECES[framing][0].replace(b"/slow", b"/").replace(b"100000", b"%d" % 2**40))
        pouring = asyncio.create_task(pour(client))
        for _ in range(2):
            assert (await too_slow(router))[:13] == b"HTTP/1.1 408 "
        enough.set()
        assert (await client.head())[:13] == b"HTTP/1.1 200 "
        pouring.cancel()


async def test_who_waits_to_be_told_to_go_on_is_not_slow(folder: Path) -> None:
    go = asyncio.Event()

    async def hesitant(connection: Connection) -> None:
        head = await connection.head()
        if b"/slow" in head:
            await connection.rest()
            return
        await go.wait()
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await connection.exactly(5)
        await connection.send(OK)

    async with watched(folder, hesitant) as (router, _):
        client = await router.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert (await too_slow(router))[:13] == b"HTTP/1.1 408 "
        go.set()
        assert (await client.head())[:13] == b"HTTP/1.1 100 "
        await client.send(b"hello")
        assert (await client.response())[1] == b"ok"


async def test_who_waits_in_line_is_not_slow(folder: Path) -> None:
    (folder / "clock").mkdir()
    first = asyncio.Event()

    async def one_by_one(connection: Connection) -> None:
        while True:
            head = await connection.head()
            if b"/first" in head:
                await first.wait()
            await connection.exactly(length_of(head))
            await connection.send(OK)

    async with watched(folder, one_by_one, max_inflight=1) as (router, _):
        busy, client = await router.connect(), await router.connect()
        await busy.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(folder, in_flight=1)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
        await until(folder, waiting=1)
        async with watched(folder / "clock", taking) as (clock, _):
            assert (await too_slow(clock))[:13] == b"HTTP/1.1 408 "
        first.set()
        await client.send(b"x" * 100_000)
        assert (await client.response())[1] == b"ok"


async def test_an_answer_that_has_begun_makes_it_a_conversation(folder: Path) -> None:
    async def echo(connection: Connection) -> None:
        if b"/slow" in await connection.head():
            await connection.rest()
            return
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            await connection.send(await connection.exactly(1))

    async with watched(folder, echo) as (router, _):
        client = await router.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        assert (await client.head())[:13] == b"HTTP/1.1 200 "
        for letter in b"hello":
            assert (await too_slow(router))[:13] == b"HTTP/1.1 408 "
            await client.send(bytes((letter,)))
            assert await client.exactly(1) == bytes((letter,))


async def test_a_body_that_waits_in_the_router_is_ended_as_well(folder: Path) -> None:
    async with watched(folder, answering(OK), buffer_requests=True) as (router, worker):
        assert [(await too_slow(router, framing))[:13] for framing in PIECES] == [b"HTTP/1.1 408 "] * 2
        assert not worker.connections


async def test_a_fast_beginning_does_not_pay_for_hours(folder: Path) -> None:
    async with watched(folder, taking) as (router, worker):
        client = await router.connect()
        await client.send(LENGTH)
        while not b"".join(worker.seen):
            await asyncio.sleep(0)
        await client.send(b"x" * 90_000)  # a minute and a half at this rate
        trickling = asyncio.create_task(trickle(client, b"x"))
        assert (await client.head())[:13] == b"HTTP/1.1 408 "
        trickling.cancel()


async def test_a_record_of_tls_need_not_be_whole_to_count(folder: Path) -> None:
    certificate, key = make(folder, "a", "a.example")
    async with watched(folder, answering(OK), f"--certificate={certificate}", f"--key={key}") as (router, _):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", router.port))
            tls = client_context().wrap_bio(incoming, outgoing, server_hostname="a.example")
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await loop.sock_sendall(sock, outgoing.read())
                    incoming.write(await asyncio.wait_for(loop.sock_recv(sock, MIB), PATIENCE))
            tls.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000\r\n\r\n")
            await loop.sock_sendall(sock, outgoing.read())
            tls.write(b"x" * 16_000)
            record = outgoing.read()
            assert len(record) < 16_100  # this request is one of them
            for at in range(0, len(record), 400):  # 8 KB a second
                await loop.sock_sendall(sock, record[at : at + 400])
                await asyncio.sleep(EVERY)
            answer = b""
            while not answer.endswith(b"ok"):
                incoming.write(await asyncio.wait_for(loop.sock_recv(sock, MIB), PATIENCE))
                with contextlib.suppress(ssl.SSLWantReadError):
                    answer += tls.read(MIB)
            assert answer.startswith(b"HTTP/1.1 200 ")


async def test_zero_is_no_rate(folder: Path) -> None:
    timeouts = TIMEOUTS | {"read_us": 2_500_000, "write_us": 2_500_000}

    async def behave(connection: Connection) -> None:
        await connection.rest()

    async with watched(folder, behave, rate=0, timeouts=timeouts) as (router, worker):
        client = await router.connect()
        await client.send(LENGTH)
        trickling = asyncio.create_task(trickle(client, b"x"))
        assert (await router.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))[:13] == b"HTTP/1.1 504 "
        assert not client.reader.at_eof()
        assert not worker.connections[0].reader.at_eof()
        trickling.cancel()
