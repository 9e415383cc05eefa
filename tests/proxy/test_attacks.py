"""Hostile clients and hostile workers, byte by byte, against the real router.

The tables of tests/http have what each parser refuses. The tests here check the result: how many
answers come back, which requests a worker has received, and that the router serves the next client
as before.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from peers import OK, Connection, Router, Worker, answering, once, routed

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
LAST = b"0\r\n\r\n"


def post(lines: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n" + body + NEXT


SMUGGLING = {
    "length and chunked": post(b"Content-Length: 5\r\n" + CHUNKED, LAST),
    "chunked and length": post(CHUNKED + b"Content-Length: 5\r\n", LAST),
    "two lengths": post(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello"),
    "a length twice": post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "a list of lengths": post(b"Content-Length: 5, 5\r\n", b"hello"),
    "a length with a sign": post(b"Content-Length: +5\r\n", b"hello"),
    "a length with an underscore": post(b"Content-Length: 1_0\r\n", b"hello"),
    "a length in other digits": post(b"Content-Length: \xd9\xa5\r\n", b"hello"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551621\r\n", b"hello"),
    "another coding": post(b"Transfer-Encoding: xchunked\r\n", LAST),
    "a list of codings": post(b"Transfer-Encoding: identity, chunked\r\n", LAST),
    "two lines of codings": post(CHUNKED + b"Transfer-Encoding: identity\r\n", LAST),
    "a coding with a parameter": post(b"Transfer-Encoding: chunked;a\r\n", LAST),
    "a space before the colon": post(b"Transfer-Encoding : chunked\r\n", LAST),
    "a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", LAST),
    "a folded line": post(b"Transfer-Encoding:\r\n chunked\r\n", LAST),
    "a bare LF": post(b"X: a\nTransfer-Encoding: chunked\r\n", LAST),
    "a bare CR": post(b"X: a\rTransfer-Encoding: chunked\r\n", LAST),
    "a NUL": post(b"X: a\0\r\n"),
    "no name": post(b": a\r\n"),
    "a space before the first name": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n" + NEXT,
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n" + LAST + NEXT,
    "lines that end with LF": b"GET / HTTP/1.1\nHost: a\n\n" + NEXT,
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + NEXT,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NEXT,
}

BODIES = {
    "a space in a size": b"5 \r\nhello\r\n" + LAST,
    "a prefix of a size": b"0x5\r\nhello\r\n" + LAST,
    "a size that ends with LF": b"5\nhello\r\n" + LAST,
    "an extension with LF": b"5;a\nb\r\nhello\r\n" + LAST,
    "a size beyond 64 bits": b"10000000000000005\r\nhello\r\n" + LAST,
    "a negative size": b"-5\r\nhello\r\n" + LAST,
    "a chunk that is longer than it says": b"3\r\nhello\r\n" + LAST,
    "a flood of extensions": b"1;%b\r\nx\r\n" % (b"a" * 900) * 10 + LAST,
    "a flood of trailers": b"0\r\n" + b"a: b\r\n" * 2000 + b"\r\n",
}


async def answers(router: Router, request: bytes) -> list[bytes]:
    """The status of every answer to these bytes, until the router closes."""
    said = b""
    client = await router.connect()
    with contextlib.suppress(ConnectionError):
        await client.send(request)
        client.half_close()
        said = await client.rest()
    client.close()
    return _STATUS.findall(said)


async def test_no_spelling_of_a_head_smuggles_a_second_request(folder: Path) -> None:
    async with routed(folder, answering(OK)) as (router, worker):
        found = {name: await answers(router, request) for name, request in SMUGGLING.items()}
        assert {name: said for name, said in found.items() if said not in ([b"400"], [b"505"])} == {}
        assert worker.connections == []
        assert await answers(router, NEXT) == [b"200"]


async def test_no_spelling_of_a_chunk_smuggles_a_second_request(folder: Path) -> None:
    async with routed(folder, answering(OK)) as (router, worker):
        found = {name: await answers(router, post(CHUNKED, body)) for name, body in BODIES.items()}
        assert {name: said for name, said in found.items() if said not in ([b"400"], [b"431"])} == {}
        assert not any(b"smuggled" in seen for seen in worker.seen)
        assert await answers(router, NEXT) == [b"200"]


PATHS = {
    b"/api/../admin": b"",
    b"/api/%2e%2e/admin": b"",
    b"/api/%2E./admin": b"",
    b"/api/..;a=b/admin": b"",
    b"/api/..%2fadmin": b"",
    b"/api%2fadmin": b"",
    b"/api\\admin": b"",
    b"/api/..%5cadmin": b"",
    b"/api/%00": b"",
    b"/api/%zz": b"",
    b"/api/x#/admin": b"",
    b"http://a@b/api/": b"",
    b"http:///api/": b"",
    b"ftp://a/api/": b"",
    b"/%61pi/x": b"/x",
    b"/api/%252e%252e/admin": b"/%252e%252e/admin",
    b"/api//evil.example/x": b"/evil.example/x",
    b"/api////evil.example/x": b"/evil.example/x",
    b"//api/x": b"/x",
    b"///api//x": b"/x",
    b"http://a//api/x": b"/x",
    b"/api/a//b": b"/a//b",
    b"/api?//b": b"/?//b",
}
"""The target of a client's request -> the path that the worker of /api receives; nothing: the
router refuses it before any worker."""


async def test_no_spelling_of_a_path_leaves_its_prefix_or_becomes_a_host(folder: Path) -> None:
    async with routed(folder, once(OK), prefix="/api") as (router, worker):
        seen = {}
        for path in PATHS:
            before = len(worker.connections)
            said = await answers(router, b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            assert said in ([b"200"], [b"400"]), path
            seen[path] = worker.seen[-1].split(b" ")[1] if len(worker.connections) > before else b""
        assert seen == PATHS


async def test_a_client_can_not_speak_for_the_router(folder: Path) -> None:
    names = (
        b"X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Scheme X-Forwarded-Prefix X-Forwarded-Uri "
        b"X_Forwarded_For X-Forwarded_For X-Real-IP X-Client-IP X-Request-ID Forwarded X-Original-URL X-Rewrite-URL "
        b"X_Original_URL Proxy"
    )
    lies = b"".join(b"%b: a lie\r\n" % name for name in names.split(b" "))
    nominated = b"Connection: X-Forwarded-For, X-Real-IP, Host, Cookie, Content-Length\r\nCookie: kept\r\n"

    async with routed(folder, answering(OK)) as (router, worker):
        request = b"GET / HTTP/1.1\r\nHost: a.example\r\n" + lies + nominated + b"\r\n"
        assert await answers(router, request) == [b"200"]
        (seen,) = worker.seen
        assert b"a lie" not in seen
        for line in (b"X-Forwarded-For: 127.0.0.1", b"X-Real-IP: 127.0.0.1", b"Host: a.example", b"Cookie: kept"):
            assert b"\r\n" + line + b"\r\n" in seen


RESPONSES = {
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + CHUNKED + b"\r\n" + LAST,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a list of codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + LAST,
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n" + LAST,
    "a 101 that nobody asked for": b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a flood of 1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + OK,
    "an LF in the reason": b"HTTP/1.1 200 OK\nSet-Cookie: a\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a field": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "a fold of nothing": b"HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
    "nothing": b"",
}


async def test_a_hostile_worker_gets_a_502_for_its_client_and_nothing_more(folder: Path) -> None:
    """Each worker has a route of its own, behind one router, which afterwards still serves an
    honest worker."""

    workers = [
        await Worker(folder / f"{index}.sock").start(once(said)) for index, said in enumerate(RESPONSES.values())
    ]
    honest = await Worker(folder / "honest.sock").start(answering(OK))
    routes = [f"--route=/{index}=unix:{folder}/{index}.sock" for index in range(len(workers))]
    async with Router(folder, ["--listen", "127.0.0.1:0", f"--route=/={honest.endpoint}", *routes]) as router:
        found = {
            name: (await answers(router, b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % index))[-1]
            for index, name in enumerate(RESPONSES)
        }
        assert found == dict.fromkeys(RESPONSES, b"502")
        assert await answers(router, NEXT) == [b"200"]
    for worker in (*workers, honest):
        worker.stop()


async def test_a_client_that_ends_after_its_requests_gets_every_answer_and_then_the_end(folder: Path) -> None:
    """The router must not keep a connection until it is old if nobody reads from it: a few thousand
    of them would use up all connections."""
    good, down, lost = (b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"/api/", b"/down/", b"/lost"))

    down_route = f"--route=/down=unix:{folder}/nobody.sock"
    options = (down_route, "--queue-timeout=100ms")
    async with routed(folder, answering(OK), *options, prefix="/api") as (router, _):
        assert await answers(router, down) == [b"503"]
        assert await answers(router, good + lost) == [b"200", b"404"]
        assert await answers(router, good + down) == [b"200", b"503"]
        assert await answers(router, down + good + good) == [b"503", b"200", b"200"]
        assert await answers(router, good + good[:-2]) == [b"200", b"400"]
        assert await answers(router, good + b"GET / HTTP/1.1\n") == [b"200", b"400"]


async def test_a_worker_can_not_lead_its_clients_to_another_workers_socket(folder: Path) -> None:
    victim = await Worker(folder / "victim.sock").start(answering(OK))
    options = (f"--route=/victim={victim.endpoint}", "--queue-timeout=100ms")
    async with routed(folder, once(OK), *options, prefix="/api") as (router, worker):
        request = b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n"
        assert await answers(router, request) == [b"200"]
        worker.path.unlink()
        worker.path.symlink_to(victim.path)
        assert await answers(router, request) == [b"503"]
        assert victim.connections == []
        assert await answers(router, b"GET /victim HTTP/1.1\r\nHost: a\r\n\r\n") == [b"200"]
    victim.stop()


async def test_an_answer_behind_the_answer_reaches_nobody(folder: Path) -> None:
    """Response splitting: the surplus bytes of a worker are never the answer to another client's
    request."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    async with routed(folder, answering(OK + forged)) as (router, worker):
        client = await router.connect()
        for _ in range(3):
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response())[1] == b"ok"
        assert len(worker.connections) == 3


async def test_clients_that_never_end_their_heads_hold_up_nobody(folder: Path) -> None:
    async with routed(folder, answering(OK)) as (router, _):
        clients: list[Connection] = [await router.connect() for _ in range(200)]
        for client in clients:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 30_000)
        assert await answers(router, NEXT) == [b"200"]
        memory = Path(f"/proc/{router.process.pid}/statm").read_text(encoding="ascii").split()[1]
        assert int(memory) * 4096 < 200 << 20
        for client in clients:
            client.close()
