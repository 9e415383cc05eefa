"""Files through the real router: with and without a program, in order, slow, cut off, and without
open descriptors at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bodies import MIB, SMALL, Message, digest, payload, receive
from control_peers import controlled, open_below, relayed, until, write_routes
from peers import OK, PATIENCE, Connection, Router, TcpWorker, answering

PAGE = b"<!doctype html><title>page</title>\n" * 10
SCRIPT = b"console.log('a');\n" * 100


@asynccontextmanager
async def serving(folder: Path, *more: str, **changes: Any) -> AsyncIterator[tuple[Router, TcpWorker]]:
    """A router with a program at /app, and a folder of files below that path."""
    public = folder / "public"
    (public / "docs").mkdir(parents=True)
    for name, content in {
        "index.html": PAGE,
        "app.js": SCRIPT,
        "app.js.gz": b"gzip of it",
        "large.bin": payload(8 * MIB),
        "docs/index.html": b"docs",
    }.items():
        (public / name).write_bytes(content)
    static = {"directory": str(public), "prefix": changes.pop("prefix", "/")}
    async with relayed(folder, answering(OK), *more, **{"routes": ["/app"], "static": static, **changes}) as served:
        yield served


def request(path: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: a", *lines, "", "")).encode()


async def ask(client: Connection, path: str, *lines: str, method: str = "GET") -> Message:
    await client.send(request(path, *lines, method=method))
    if method == "HEAD":
        return Message(await client.head(), "none", b"")
    return await receive(client)


def status(answer: Message) -> int:
    return int(answer.head[9:12])


def field(answer: Message, name: str) -> str | None:
    for line in answer.head.decode().split("\r\n")[1:]:
        if line.lower().startswith(f"{name}: "):
            return line.partition(": ")[2]
    return None


async def test_files_are_served_below_the_route_on_one_connection_and_the_program_has_the_rest(folder: Path) -> None:
    async with serving(folder) as (router, worker):
        client = await router.connect()
        index = await ask(client, "/app/")
        assert (status(index), index.body, field(index, "content-type")) == (200, PAGE, "text/html; charset=utf-8")
        head = await ask(client, "/app/", method="HEAD")
        assert [line for line in head.head.splitlines()[3:] if b"X-Request-ID" not in line] == [
            line for line in index.head.splitlines()[3:] if b"X-Request-ID" not in line
        ]
        fresh = await ask(client, "/app/", f"If-None-Match: {field(index, 'etag')}")
        assert (status(fresh), fresh.framing) == (304, "none")
        part = await ask(client, "/app/", "Range: bytes=-7")
        assert (status(part), part.body) == (206, PAGE[-7:])
        assert status(await ask(client, "/app/", "Range: bytes=9999-")) == 416
        packed = await ask(client, "/app/app.js", "Accept-Encoding: gzip, br")
        assert (packed.body, field(packed, "content-encoding")) == (b"gzip of it", "gzip")
        assert (await ask(client, "/app/app.js")).body == SCRIPT
        for path, where in {"/app": "/app/", "/app/docs?a=b": "/app/docs/?a=b"}.items():
            moved = await ask(client, path)
            assert (status(moved), field(moved, "location")) == (301, where)
        assert (await ask(client, "/app/docs/")).body == b"docs"
        assert worker.connections == []
        for path, method in {"/app/none": "GET", "/app/index.html": "POST", "/app/app.js": "OPTIONS"}.items():
            assert (await ask(client, path, method=method)).body == b"ok"
        await client.send(request("/app/", "Content-Length: 5", method="POST") + b"hello" + request("/app/docs/"))
        assert [(await receive(client)).body for _ in range(2)] == [b"ok", b"docs"]
        assert [seen.split(b" HTTP")[0] for seen in b"".join(worker.seen).split(b"\r\n\r\n")[:4]] == [
            b"GET /none",
            b"POST /index.html",
            b"OPTIONS /app.js",
            b"POST /",
        ]


async def test_a_prefix_of_their_own(folder: Path) -> None:
    async with serving(folder, prefix="/assets", strip_prefix=False) as (router, worker):
        client = await router.connect()
        assert (await ask(client, "/app/assets/app.js")).body == SCRIPT
        assert (await ask(client, "/app/app.js")).body == b"ok"
        assert worker.seen[0].startswith(b"GET /app/app.js ")


async def test_five_hundred_requests_in_one_send_are_answered_in_order(folder: Path) -> None:
    async with serving(folder) as (router, worker):
        client = await router.connect()
        files = {"/app/docs/": b"docs", "/app/app.js": SCRIPT}
        for answers in (files, {**files, "/app/none": b"ok"}):
            paths = list(answers) * (500 // len(answers))
            sending = asyncio.create_task(client.send(b"".join(map(request, paths))))
            bodies = [(await receive(client)).body for _ in paths]
            await sending
            assert bodies == [answers[path] for path in paths]
        assert len(worker.connections) == 1
        assert "Traceback" not in router.said()


async def test_a_large_file_goes_whole_to_a_slow_client_and_the_connection_goes_on(folder: Path) -> None:
    async with serving(folder) as (router, _):
        client = await router.connect(receive=SMALL)
        await client.send(request("/app/large.bin") + request("/app/docs/"))
        assert (await receive(client)).digest == digest(payload(8 * MIB))
        assert (await receive(client)).body == b"docs"
        part = await ask(client, "/app/large.bin", f"Range: bytes=17-{4 * MIB}")
        assert part.digest == digest(payload(8 * MIB)[17 : 4 * MIB + 1])


async def test_a_file_that_shrinks_while_it_is_sent_is_seen_to_be_cut(folder: Path) -> None:
    async with serving(folder) as (router, _):
        client = await router.connect(receive=SMALL)
        await client.send(request("/app/large.bin"))
        await client.head()
        await client.exactly(MIB)
        (folder / "public/large.bin").write_bytes(b"")
        with pytest.raises(asyncio.IncompleteReadError):
            await client.exactly(7 * MIB)
        assert "a static file has become shorter" in router.said()


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset], ids=["closes", "resets"])
async def test_clients_that_leave_in_the_middle_leave_no_descriptor(folder: Path, leave: Any) -> None:
    async with serving(folder) as (router, _):
        clients = [await router.connect(receive=SMALL) for _ in range(20)]
        for client in clients:
            await client.send(request("/app/large.bin"))
            await client.exactly(100_000)
        assert len(open_below(router.process.pid, folder / "public")) == 20
        for client in clients:
            leave(client)
        await until(folder, connections=0)
        assert open_below(router.process.pid, folder / "public") == []


async def test_a_client_that_never_reads_is_cut_after_the_write_time_out(folder: Path) -> None:
    timeouts = {"request_us": 0, "read_us": 0, "write_us": 300_000, "idle_us": 0}
    async with serving(folder, timeouts=timeouts) as (router, _):
        client = await router.connect(receive=SMALL)
        await client.send(request("/app/large.bin"))
        await until(folder, connections=1)
        await until(folder, connections=0)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await receive(client)


async def test_files_are_served_while_the_program_is_down(folder: Path) -> None:
    async with serving(folder, queue_us=100_000) as (router, worker):
        worker.stop()
        client = await router.connect()
        assert (await ask(client, "/app/docs/")).body == b"docs"
        assert status(await ask(client, "/app/none")) == 504
        assert (await ask(client, "/app/")).body == PAGE


async def test_without_a_program_what_is_no_file_is_404_and_no_method_but_two(folder: Path) -> None:
    async with serving(folder, endpoints=[]) as (router, _):
        client = await router.connect()
        assert (await ask(client, "/app/docs/")).body == b"docs"
        missing = await ask(client, "/app/none")
        assert status(missing) == 404
        refused = await ask(client, "/app/docs/", method="DELETE")
        assert (status(refused), field(refused, "allow")) == (405, "GET, HEAD")
        await client.send(request("/app/docs/", "Content-Length: 5", method="PUT") + b"hello")
        refused = await receive(client)
        assert (status(refused), field(refused, "connection")) == (405, "close")
        assert await client.rest() == b""


async def test_a_drain_finishes_files(folder: Path) -> None:
    async with serving(folder) as (router, _):
        client = await router.connect(receive=SMALL)
        await client.send(request("/app/large.bin"))
        await client.head()
        router.process.terminate()
        await router.told("STOPPING=1")
        assert digest(await client.exactly(8 * MIB)) == digest(payload(8 * MIB))
        assert await client.rest() == b""
        assert await asyncio.wait_for(router.process.wait(), PATIENCE) == 0


async def test_what_others_may_not_read_is_the_programs(folder: Path) -> None:
    async with serving(folder) as (router, _):
        client = await router.connect()
        (folder / "public/app.js").chmod(0o640)
        assert (await ask(client, "/app/app.js")).body == b"ok"
        assert (await ask(client, "/app/app.js", "Accept-Encoding: gzip")).body == b"ok"
        (folder / "public/docs").chmod(0o750)
        assert (await ask(client, "/app/docs/")).body == b"ok"
        (folder / "public").rename(folder / "aside")
        (folder / "public").symlink_to("aside")
        assert (await ask(client, "/app/")).body == b"ok"


async def test_a_folder_that_is_not_served_is_said_when_the_routes_are_read(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o750)
    changes: dict[str, Any] = {"endpoints": [], "static": {"directory": str(closed), "prefix": "/"}}
    async with Router(folder, controlled(folder, "", **changes)) as router:
        help_ = f"others may not enter {closed}; chmod o+x {closed}"
        assert router.said().count(f"worker w: no file of {closed} is served: {help_}\n") == 1
        client = await router.connect()
        assert status(await ask(client, "/")) == 404
        write_routes(folder, "", **changes, strip_prefix=False)
        await router.told("RELOADING=1")
        await router.told("READY=1")
        assert router.said().count(f"worker w: no file of {closed} is served: {help_}\n") == 2
        for _ in range(3):
            assert status(await ask(client, "/")) == 404
        assert router.said().count("404 for") == 1


async def test_folders_that_routes_have_no_more_are_let_go(folder: Path, roots: Path) -> None:
    async with serving(folder) as (router, worker):
        client = await router.connect()
        for number in range(20):
            public = roots / str(number)
            public.mkdir()
            (public / "page.html").write_bytes(PAGE)
            static = {"directory": str(public), "prefix": "/"}
            write_routes(folder, worker.endpoint, routes=["/app"], static=static)
            await router.told("READY=1")
            assert (await ask(client, "/app/page.html")).body == PAGE
            held = [path for path in open_below(router.process.pid, roots) if not path.endswith(".html")]
            assert held == [str(public)]
