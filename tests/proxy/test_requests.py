"""Requests through the real router: what workers receive, what clients get, and which requests are
refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from peers import OK, Connection, answering, once, routed

GET = b"GET /api/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n"
CLOSE = b"GET /api/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"


async def test_a_request_reaches_the_worker_rewritten(folder: Path) -> None:
    async with routed(folder, answering(OK), prefix="/api") as (router, worker):
        client = await router.connect()
        await client.send(GET)
        head, body = await client.response()
        status, named, dated, *_ = head.split(b"\r\n")
        assert (status, dated[:6]) == (b"HTTP/1.1 200 OK", b"Date: ")
        assert named.startswith(b"X-Request-ID: ") and named in worker.seen[0]  # the worker's log has it as well
        assert body == b"ok"
        (seen,) = worker.seen
        assert seen.startswith(b"GET /x?y HTTP/1.1\r\nHost: a.example\r\n")
        for line in (
            b"X-Forwarded-For: 127.0.0.1",
            b"CDN-Loop: tqunits-",
            b"X-Forwarded-Prefix: /api",
            b"X-Request-ID: ",
        ):
            assert b"\r\n" + line in seen


async def test_connections_are_kept_on_both_sides(folder: Path) -> None:
    async with routed(folder, answering(OK)) as (router, worker):
        client = await router.connect()
        for _ in range(3):
            await client.send(GET)
            assert (await client.response())[1] == b"ok"
        assert len(worker.connections) == 1
        assert worker.seen[0].count(b"GET ") == 3


async def test_pipelined_requests_are_answered_in_order(folder: Path) -> None:
    async def echo(connection: Connection) -> None:
        while True:
            path = (await connection.head()).split(b" ")[1]
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with routed(folder, echo, prefix="/api") as (router, _):
        requests = [b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"/api/1", b"/no", b"/api/2") * 200]
        client = await router.connect()
        await client.send(b"".join(requests))
        bodies = [(await client.response())[1] for _ in requests]
        assert bodies[0::3] == [b"/1"] * 200
        assert {body[:3] for body in bodies[1::3]} == {b"404"}
        assert bodies[2::3] == [b"/2"] * 200


@pytest.mark.parametrize("size", [1, 13, 100_000], ids=["byte by byte", "in thirteens", "whole"])
async def test_a_chunked_body_arrives_whole(folder: Path, size: int) -> None:
    body = b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\nHost: b\r\n\r\n"
    request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body

    async with routed(folder, answering(OK)) as (router, worker):
        client = await router.connect()
        for start in range(0, len(request), size):
            await client.send(request[start : start + size])
        assert (await client.response())[1] == b"ok"
        seen = worker.seen[0]
        assert b"\r\nTransfer-Encoding: chunked\r\n\r\n" in seen
        assert b"a=b" not in seen
        assert seen.endswith(b"0\r\nX-Sum: 1\r\n\r\n")


REFUSED = {
    "CL and TE": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "CL twice": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n"),
    "TE gzip": (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
    "TE in 1.0": (400, b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "bare LF": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "fold": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
    "space before the colon": (400, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n"),
    "no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "dot-dot": (400, b"GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "long line": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "long head": (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000),
    "CONNECT": (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    "TRACE": (405, b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "expectation": (417, b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n"),
    "chunk size": (400, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk end": (400, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n"),
}


async def test_what_is_ambiguous_is_refused_and_nothing_behind_it_is_parsed(folder: Path) -> None:
    async with routed(folder, answering(OK)) as (router, worker):
        for name, (status, request) in REFUSED.items():
            answer = await router.ask(request + CLOSE)
            assert answer.startswith(b"HTTP/1.1 %d " % status), name
            assert answer.count(b"HTTP/1.1 ") == 1 + (status == 505), name
            assert b"\r\nConnection: close\r\n" in answer, name
        assert not [seen for seen in worker.seen if b"GET" in seen]


async def test_paths_match_on_segment_borders(folder: Path) -> None:
    async with routed(folder, answering(OK), prefix="/api") as (router, worker):
        for path, status in ((b"/apix", 404), (b"/", 404), (b"/api", 200), (b"/%61pi/", 200)):
            answer = await router.ask(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
            assert answer.startswith(b"HTTP/1.1 %d " % status), path
        assert b"".join(worker.seen).count(b"GET / HTTP/1.1") == 2


async def test_keep_prefix_leaves_the_path(folder: Path) -> None:
    async with routed(folder, answering(OK), "--keep-prefix", prefix="/api") as (router, worker):
        await router.ask(CLOSE)
        assert worker.seen[0].startswith(b"GET /api/x HTTP/1.1\r\n")
        assert b"X-Forwarded-Prefix" not in worker.seen[0]


async def test_expect_continue_goes_to_the_worker_and_its_100_back(folder: Path) -> None:
    async def hesitate(connection: Connection) -> None:
        assert b"\r\nExpect: 100-continue\r\n" in await connection.head()
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        assert await connection.exactly(3) == b"abc"
        await connection.send(OK)

    async with routed(folder, hesitate) as (router, _):
        client = await router.connect()
        await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        await client.send(b"abc")
        assert (await client.response())[1] == b"ok"


async def test_an_early_response_closes_instead_of_losing_step(folder: Path) -> None:
    async def impatient(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await connection.rest()

    async with routed(folder, impatient) as (router, worker):
        answer = await router.ask(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nGET /smuggled HTTP/1.1\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"\r\nConnection: close\r\n" in answer
        assert len(worker.connections) == 1


@pytest.mark.parametrize("whole", [True, False], ids=["all of it", "not all of it"])
async def test_a_worker_that_answers_while_it_reads_keeps_its_connection_if_it_reads_all(
    folder: Path, *, whole: bool
) -> None:
    async def conversing(connection: Connection) -> None:
        while True:
            if b"POST " not in await connection.head():
                await connection.send(OK)
                continue
            await connection.exactly(2)
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            await connection.exactly(2 if whole else 1)
            await connection.send(b"!!")

    async with routed(folder, conversing) as (router, worker):
        client = await router.connect()
        await client.send(b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        await client.head()
        assert await client.exactly(2) == b"ab"
        await client.send(b"cd" if whole else b"c")
        assert await client.exactly(2) == b"!!"
        client.close()
        assert (await router.ask(CLOSE)).endswith(b"ok")
        assert len(worker.connections) == (1 if whole else 2)


async def test_a_body_cut_short_never_looks_whole_to_the_worker(folder: Path) -> None:
    ended = asyncio.Event()

    async def wait(connection: Connection) -> None:
        await connection.head()
        await connection.rest()
        ended.set()

    async with routed(folder, wait) as (router, worker):
        client = await router.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        client.half_close()
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
        await asyncio.wait_for(ended.wait(), 5)
        assert not worker.seen[0].endswith(b"0\r\n\r\n")


async def test_a_client_that_half_closes_still_gets_its_answer(folder: Path) -> None:
    async with routed(folder, answering(OK)) as (router, _):
        client = await router.connect()
        await client.send(GET)
        client.half_close()
        assert (await client.rest()).endswith(b"ok")


async def test_http_1_0_gets_no_chunks_and_a_close(folder: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"

    async with routed(folder, answering(chunked)) as (router, worker):
        answer = await router.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert answer.endswith(b"\r\nConnection: close\r\n\r\nok")
        assert b"Transfer-Encoding" not in answer
        assert worker.seen[0].startswith(b"GET / HTTP/1.1\r\nHost:")


async def test_options_without_hops_left_is_answered_here(folder: Path) -> None:
    async with routed(folder, answering(OK)) as (router, worker):
        request = b"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n"
        assert (await router.ask(request)).startswith(b"HTTP/1.1 200 ")
        assert worker.seen == []


UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_a_websocket_is_a_tunnel_both_ways_with_half_close(folder: Path) -> None:
    async def echo(connection: Connection) -> None:
        await connection.head()
        await connection.send(SWITCH + b"hi ")
        await connection.send(b"heard " + await connection.rest())

    async with routed(folder, echo) as (router, _):
        client = await router.connect()
        await client.send(UPGRADE + b"early ")
        status, named, *lines = (await client.head()).split(b"\r\n")
        assert named.startswith(b"X-Request-ID: ")
        assert b"\r\n".join((status, *lines)) == SWITCH
        await client.send(b"late")
        client.half_close()
        assert await client.rest() == b"hi heard early late"


async def test_no_tunnel_without_a_valid_101(folder: Path) -> None:
    async with routed(folder, once(SWITCH.replace(b"websocket", b"h2c"))) as (router, _):
        client = await router.connect()
        await client.send(UPGRADE)
        assert (await client.response())[0].startswith(b"HTTP/1.1 502 ")
        assert (await router.ask(UPGRADE + b"early")).count(b"HTTP/1.1 ") == 1
        assert (await router.ask(CLOSE)).startswith(b"HTTP/1.1 502 ")
