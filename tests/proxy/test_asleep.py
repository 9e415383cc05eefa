"""Connections that have been idle so long that the router keeps only their client's address."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bodies import give_and_take
from control_peers import relayed, until
from peers import OK, Connection, answering
from secure_peers import client_context, make

from tqunits.proxy.reactor.timers import RESOLUTION

GET = b"GET /a HTTP/1.1\r\nHost: a.example\r\nAccept: text/plain\r\n\r\n"
V4 = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n"


async def ok(client: Connection, request: bytes = GET) -> None:
    await client.send(request)
    assert (await client.response())[1] == b"ok"


def without_id(request: bytes) -> bytes:
    before, _, after = request.partition(b"\r\nX-Request-ID: ")
    return before + after.partition(b"\r\n")[1] + after.partition(b"\r\n")[2]


def tls(folder: Path) -> list[str]:
    make(folder, "a", "a.example")
    return [f"--certificate={folder}/a.pem", f"--key={folder}/a.key"]


KINDS = {
    "plain": (b"", False, [], b"X-Forwarded-For: 127.0.0.1\r\n"),
    "TLS": (b"", True, [], b"X-Forwarded-Proto: https\r\n"),
    "a trusted proxy": (b"", False, ["127.0.0.1/32"], b"X-Forwarded-For: 127.0.0.1\r\n"),
    "a trusted proxy that says for whom": (V4, False, ["127.0.0.1/32"], b"X-Forwarded-For: 203.0.113.7\r\n"),
}


@pytest.mark.short("TLS", "a trusted proxy that says for whom")
@pytest.mark.parametrize(("first", "secure", "trusted", "line"), KINDS.values(), ids=KINDS)
async def test_the_worker_is_told_the_same_as_before(
    folder: Path,
    first: bytes,
    secure: bool,  # noqa: FBT001
    trusted: list[str],
    line: bytes,
) -> None:
    options = tls(folder) if secure else []
    async with relayed(folder, answering(OK), *options, trusted=trusted) as (router, worker):
        client = await router.connect(tls=client_context() if secure else None)
        if first:
            await client.send(first)
        await ok(client)
        await until(folder, asleep=1, connections=1)
        await ok(client)
        await ok(client)
        await until(folder, asleep=1, connections=1, requests=3)
        client.close()
        await until(folder, asleep=0, connections=0)
        *requests, rest = b"".join(worker.seen).split(b"\r\n\r\n")
        assert (len(requests), rest) == (3, b"")
        assert {without_id(request) for request in requests} == {without_id(requests[0])}
        assert line in requests[0] + b"\r\n"


async def test_what_wakes_it_may_come_in_pieces_or_be_large_or_none(folder: Path) -> None:
    async with relayed(folder, give_and_take) as (router, _):
        clients = [await router.connect() for _ in range(5)]  # that have not sent a request yet
        await until(folder, asleep=5, connections=5)
        slow, large, bad, gone, half = clients
        await slow.send(b"GE")
        await until(folder, asleep=4)
        await slow.send(b"T /length/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len((await slow.response())[1]) == 2
        await large.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
        assert (await large.response())[1].startswith(b"1000000 ")
        await bad.send(b"\x16\x03\r\n\r\n")
        assert (await bad.rest()).startswith(b"HTTP/1.1 400 ")
        bad.close()
        gone.reset()
        half.half_close()
        assert await half.rest() == b""
        await until(folder, asleep=2, connections=2)


async def test_it_counts_for_its_address_until_it_is_gone(folder: Path) -> None:
    async with relayed(folder, answering(OK), limits={"max_connections_per_client": 1}) as (router, _):
        first = await router.connect()
        await ok(first)
        await until(folder, asleep=1)
        assert await (await router.connect()).rest() == b""
        await ok(first)
        await until(folder, asleep=1)
        first.close()
        await until(folder, connections=0)
        await ok(await router.connect())


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_its_time_is_that_of_any_idle_connection(folder: Path, secure: bool) -> None:  # noqa: FBT001
    idle = 2.0

    options = tls(folder) if secure else []
    async with relayed(folder, answering(OK), *options, clients={"idle_us": int(idle * 1e6)}) as (router, _):
        client = await router.connect(tls=client_context() if secure else None)
        await ok(client)
        begin = asyncio.get_running_loop().time()
        await until(folder, asleep=1)
        assert await client.rest() == b""  # TLS requires a close_notify here
        span = asyncio.get_running_loop().time() - begin
        assert idle - 0.1 < span < idle + 6 * RESOLUTION + 1


async def test_a_router_that_stops_closes_it(folder: Path) -> None:
    async with relayed(folder, answering(OK), *tls(folder)) as (router, _):
        clients = [await router.connect(), await router.connect(tls=client_context())]
        for client in clients:
            await ok(client)
        await until(folder, asleep=2)
        assert await router.stop() == 0
        assert [await client.rest() for client in clients] == [b"", b""]


async def test_it_may_end_without_a_word(folder: Path) -> None:
    async with relayed(folder, answering(OK), *tls(folder)) as (router, _):
        client = await router.connect(tls=client_context())
        await ok(client)
        await until(folder, asleep=1)
        client.writer.transport.abort()
        await until(folder, asleep=0, connections=0)
