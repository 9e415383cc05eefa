"""Which peers the router trusts: trusted proxies, the PROXY protocol, encoded slashes; and the
format of errors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from peers import OK, Connection, Router, Worker, answering, snapshot

LOOPBACK = ["127.0.0.1/32"]
V4 = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes((203, 0, 113, 7, 127, 0, 0, 1)) + b"\x12\x34\x00\x50"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n"
CLAIMS = b"X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-Proto: https\r\nX-Request-ID: mine\r\n"


@contextlib.asynccontextmanager
async def trusting(folder: Path, networks: list[str], **changes: Any) -> AsyncIterator[tuple[Router, Worker]]:
    """A router that trusts these networks, with one worker."""
    worker = await Worker(folder / "worker.sock").start(answering(OK))
    document = json.loads(snapshot(worker.endpoint, **changes))
    document["trusted_proxies"] = networks
    document["limits"]["max_connections"] = 100
    routes = folder / "routes.json"
    routes.write_text(json.dumps(document))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(routes)]) as router:
        yield router, worker
    worker.stop()


def fields(seen: bytes) -> dict[str, str]:
    """The last request of the worker."""
    lines = seen.decode().split("GET ")[-1].split("\r\n")[1:-2]
    return dict(line.split(": ", 1) for line in lines)


async def told(router: Router, worker: Worker, request: bytes) -> dict[str, str]:
    client = await router.connect()
    await client.send(request)
    assert (await client.response())[1] == b"ok"
    client.close()
    return fields(worker.connections[-1].seen)


async def test_a_trusted_peer_is_believed(folder: Path) -> None:
    async with trusting(folder, LOOPBACK) as (router, worker):
        said = await told(router, worker, GET % CLAIMS)
        assert said["X-Forwarded-For"] == "198.51.100.9, 127.0.0.1"
        assert (said["X-Real-IP"], said["X-Forwarded-Proto"]) == ("198.51.100.9", "https")
        assert said["X-Request-ID"] == "mine"


async def test_nobody_else_is(folder: Path) -> None:
    async with trusting(folder, ["10.0.0.0/8"]) as (router, worker):
        said = await told(router, worker, GET % CLAIMS)
        assert (said["X-Forwarded-For"], said["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
        assert said["X-Request-ID"] != "mine"
        assert (await router.ask(V4 + GET % b"")).startswith(b"HTTP/1.1 400 ")
        assert (await router.ask(V2 + GET % b"")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("header", [V4, V2], ids=["version 1", "version 2"])
async def test_a_header_says_who_the_client_is_and_the_client_is_not_believed(folder: Path, header: bytes) -> None:
    async with trusting(folder, LOOPBACK) as (router, worker):
        said = await told(router, worker, header + GET % CLAIMS)
        assert (said["X-Forwarded-For"], said["X-Forwarded-Proto"]) == ("203.0.113.7", "http")
        client = await router.connect()
        for byte in header + GET % b"":
            await client.send(bytes((byte,)))
        await client.response()
        await client.send(GET % CLAIMS)
        await client.response()
        assert fields(worker.connections[-1].seen)["X-Real-IP"] == "203.0.113.7"


async def test_a_header_of_nobody_leaves_the_peer(folder: Path) -> None:
    async with trusting(folder, LOOPBACK) as (router, worker):
        for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
            assert (await told(router, worker, header + GET % CLAIMS))["X-Forwarded-For"] == "127.0.0.1"


async def test_a_header_of_a_trusted_proxy_passes_the_trust_on(folder: Path) -> None:
    async with trusting(folder, ["127.0.0.1/32", "203.0.113.0/24"]) as (router, worker):
        said = await told(router, worker, V4 + GET % CLAIMS)
        assert said["X-Forwarded-For"] == "198.51.100.9, 203.0.113.7"


async def test_what_is_no_header_ends_the_connection(folder: Path) -> None:
    async with trusting(folder, LOOPBACK, is_hasty=True) as (router, worker):
        for bad in (b"PROXY TCP4 x y 1 2\r\n", b"PROXY " + b"x" * 200, V2[:12] + b"\x31" + V2[13:], V4 + V4):
            assert b" 200 " not in await refused(router, bad + GET % b"")
        for cut in (V4[:3], V2[:20]):
            assert await refused(router, cut) == b""
        assert worker.connections == []


async def refused(router: Router, data: bytes) -> bytes:
    """All bytes until the router closes, which may be before it has read everything."""
    client: Connection = await router.connect()
    said = b""
    with contextlib.suppress(ConnectionError):
        await client.send(data)
        said = await client.rest()
    client.close()
    return said


async def test_an_encoded_slash_is_for_workers_that_want_it(folder: Path) -> None:
    request = b"GET /a%2fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    async with trusting(folder, []) as (router, worker):
        assert (await router.ask(request)).startswith(b"HTTP/1.1 400 ")
        assert worker.seen == []


async def test_and_it_reaches_them_as_it_was_routed(folder: Path) -> None:
    async with trusting(folder, [], encoded_slash=True, routes=["/api"]) as (router, worker):
        await told(router, worker, b"GET /api/a%2fb?c%2fd HTTP/1.1\r\nHost: a\r\n\r\n")
        assert worker.seen[0].startswith(b"GET /a%2Fb?c%2fd HTTP/1.1\r\n")
        for path in (b"/api%2fa", b"/api/..%2fb", b"/api/a%2f..%2f..%2fb"):
            said = await router.ask(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
            assert said[:11] == b"HTTP/1.1 40"
        assert len(worker.seen) == 1


async def test_an_error_is_told_in_the_clients_format_with_the_workers_identifier(folder: Path) -> None:
    async with trusting(folder, LOOPBACK, routes=["/api"]) as (router, _):
        request = b"GET /x HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        head, body = (await router.ask(request)).split(b"\r\n\r\n")
        answer = json.loads(body)
        assert (answer["status"], answer["error"]) == (404, "Not Found")
        assert f"\r\nX-Request-ID: {answer['request_id']}\r\n".encode() in head
        page = await router.ask(request.replace(b"application/json", b"text/html"))
        assert b"<h1>404 Not Found</h1>" in page
