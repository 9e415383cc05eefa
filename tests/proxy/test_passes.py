"""Requests that reach the router again: a worker that sends requests to the site, two routers in a
row, and a real loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from peers import OK, Behaviour, Connection, Router, TcpWorker, answering, snapshot

from tqunits.http.passes import MAX_PASSES

END = b"Host: a\r\nConnection: close\r\n\r\n"
HOP = (b"connection", b"keep-alive", b"content-length", b"transfer-encoding")


class Gateway:
    """A worker that sends a request to another address with the fields that it got, as
    http-proxy-middleware and ReverseProxy do."""

    def __init__(self, path: bytes = b"") -> None:
        self.port = 0
        self.path = path  # b"": its own path
        self.asked = 0

    async def __call__(self, connection: Connection) -> None:
        line, *lines = (await connection.head()).removesuffix(b"\r\n\r\n").split(b"\r\n")
        self.asked += 1
        kept = [one for one in lines if one.partition(b":")[0].lower() not in HOP]
        method, path, version = line.split(b" ")
        head = b"\r\n".join((b" ".join((method, self.path or path, version)), *kept, b"Connection: close", b"", b""))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head)
        answer = await reader.read()
        writer.close()
        status, _, _ = answer.partition(b"\r\n")
        body = answer.partition(b"\r\n\r\n")[2]
        await connection.send(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


@contextlib.asynccontextmanager
async def site(folder: Path, *workers: tuple[str, str, Behaviour, dict[str, Any]]) -> AsyncIterator[Router]:
    """A router with these workers: name, route, behaviour, differences in the routes."""
    folder.mkdir(exist_ok=True)
    document: dict[str, Any] = {}
    running: list[TcpWorker] = []
    for name, route, behaviour, changes in workers:
        worker = await TcpWorker().start(behaviour)
        running.append(worker)
        one = json.loads(snapshot(worker.endpoint, name=name, routes=[route], **changes))
        document.setdefault("workers", []).extend(one.pop("workers"))
        document |= one
    document["limits"]["max_connections"] = 100
    (folder / "routes.json").write_text(json.dumps(document))
    arguments = ["--listen=127.0.0.1:0", f"--routes={folder}/routes.json", f"--access-log=combined:{folder}/said"]
    async with Router(folder, arguments) as router:
        yield router
    for worker in running:
        worker.stop()


BOTH_WAYS = pytest.mark.parametrize("changes", [{}, {"via": True}], ids=["as it is", "with Via"])


@BOTH_WAYS
async def test_a_worker_may_ask_the_site_with_the_fields_it_got(folder: Path, changes: dict[str, Any]) -> None:
    gateway = Gateway(b"/api/x")

    workers = (("front", "/", gateway, changes), ("api", "/api", answering(OK), changes))
    async with site(folder, *workers) as router:
        gateway.port = router.port
        for _ in range(3):
            assert (await router.ask(b"GET / HTTP/1.1\r\n" + END)).endswith(b"ok")


@BOTH_WAYS
async def test_two_routers_may_stand_in_a_row(folder: Path, changes: dict[str, Any]) -> None:
    async with site(folder / "inner", ("w", "/", answering(OK), changes)) as inner:
        onward = {**changes, "endpoints": [f"127.0.0.1:{inner.port}"]}
        async with site(folder / "outer", ("w", "/", answering(OK), onward)) as outer:
            assert (await outer.ask(b"GET /x HTTP/1.1\r\n" + END)).endswith(b"ok")
        assert b"GET /x" in (folder / "inner/said").read_bytes()


@BOTH_WAYS
async def test_a_loop_ends_soon_and_is_said(folder: Path, changes: dict[str, Any]) -> None:
    gateway = Gateway()

    async with site(folder, ("w", "/", gateway, changes)) as router:
        gateway.port = router.port
        assert (await router.ask(b"GET / HTTP/1.1\r\n" + END)).startswith(b"HTTP/1.1 508 ")
        assert gateway.asked == MAX_PASSES
        assert f"came through here {MAX_PASSES} times" in router.said()


async def test_a_client_that_says_via_is_no_loop(folder: Path) -> None:
    """A client that knows the router's old name, or any other name, can not take anything away with
    it."""

    async with site(folder, ("w", "/", answering(OK), {})) as router:
        names = b"Via: 1.1 tqunits-host, 1.1 tqunits\r\nCDN-Loop: cloudflare; loops=1\r\n"
        assert (await router.ask(b"GET / HTTP/1.1\r\n" + names * 20 + END)).endswith(b"ok")


async def test_via_is_for_workers_that_want_it(folder: Path) -> None:
    """An nginx without gzip_proxied compresses no answer to a request with a Via."""
    seen: list[bytes] = []

    async def note(connection: Connection) -> None:
        seen.append(await connection.head())
        await connection.send(OK)

    async with site(folder, ("w", "/", note, {}), ("v", "/v", note, {"via": True})) as router:
        for path in (b"/", b"/v"):
            assert (await router.ask(b"GET %b HTTP/1.1\r\nVia: 1.0 other\r\n" % path + END)).endswith(b"ok")
    names = [[line.partition(b":")[0] for line in head.split(b"\r\n")] for head in seen]
    assert [(one.count(b"Via"), one.count(b"CDN-Loop")) for one in names] == [(1, 1), (2, 0)]
    said = [line.split(b" ")[-1] for head in seen for line in head.split(b"\r\n") if b" tqunits-" in line]
    assert said[0] == said[1]  # one name, whichever field it is in
