"""Requests and responses that resemble the one before, through the real router: they are handled as
if each came alone."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from peers import Connection, Router, TcpWorker, Worker, routed, snapshot

from tqunits.proxy.upstream.standing import FOUND_STANDING

DATE = b"HTTP/1.1 %b\r\nDate: Tue, 24 Nov 2026 20:00:00 GMT\r\nETag: %b\r\n"
FORMS = {
    b"0": DATE % (b"200 OK", b"0") + b"Content-Length: %d\r\n\r\n",
    b"1": DATE % (b"200 OK", b"1") + b"Content-Length: %d\r\n\r\n",
    b"2": DATE % (b"404 Not Found", b"1") + b"Content-Length: %d\r\n\r\n",
    b"3": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + DATE % (b"200 OK", b"1") + b"Content-Length: %d\r\n\r\n",
    b"4": DATE % (b"200 OK", b"1") + b"Connection: close\r\nContent-Length: %d\r\n\r\n",
}


def form_of(head: bytes) -> bytes:
    """The response that the query asks for."""
    return head.partition(b"?")[2][:1]


async def echo(connection: Connection) -> None:
    """Answer with the request itself, in the form that its query names; HEAD without a body. `pad`
    makes lengths equal."""
    while True:
        head = await connection.head()
        sent = await connection.exactly(int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or b"0"))
        form, body = form_of(head), without_id(head) + sent
        body = body.ljust(500) if b"pad" in head else body
        await connection.send(FORMS[form] % len(body) + (b"" if head.startswith(b"HEAD") else body))
        if form == b"4":
            return


def without_id(text: bytes) -> bytes:
    return re.sub(rb"(?:X-Request-ID: [0-9a-f]{32}|tqunits-[0-9a-f]+|\r\nConnection: close)", b"", text)


async def answer_to(client: Connection, request: bytes) -> tuple[bytes, bytes]:
    head = await client.head()
    if head.startswith(b"HTTP/1.1 103"):
        head += await client.head()
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    return without_id(head), b"" if request.startswith(b"HEAD") else await client.exactly(length)


HEAD = b"Host: a\r\nCookie: %d\r\nReferer: /%d\r\n\r\n"


def conversation() -> list[bytes]:
    """Two hundred requests: the parts that differ come and go, so each kind follows each other
    kind."""
    lines = [
        *(b"GET /api/a?%d" % n for n in (0, 0, 0, 1, 1, 2, 3, 4)),
        *(b"GET /api/a?%dpad" % n for n in (0, 0, 1)),
        *(b"GET /api/a/b?1", b"HEAD /api/a?1", b"HEAD /api/a?1", b"GET /api/%7e?1", b"POST /api/a?1", b"GET /api/?0"),
    ]
    return [b"%b HTTP/1.1\r\n" % lines[(n * n + n // 7) % len(lines)] + HEAD % (n // 3, n // 5) for n in range(200)]


async def test_a_conversation_is_what_its_requests_are_alone(folder: Path) -> None:
    async with routed(folder, echo, prefix="/api") as (router, _):
        client = await router.connect()
        for request in conversation():
            await client.send(request)
            together = await answer_to(client, request)
            other = await router.connect()
            await other.send(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert together == await answer_to(other, request), request
            other.close()


def posts() -> list[tuple[bytes, bytes]]:
    """Two hundred requests with a body, and their bodies, of few lengths and of many."""
    sizes = [(7 if n < 60 else 0 if n % 9 == 0 else (n * n) % 400) + 70_000 * (n % 50 == 49) for n in range(200)]
    form = b"POST /api/a?%d HTTP/1.1\r\nHost: a\r\nCookie: %d\r\nContent-Length: %d\r\n\r\n"
    return [
        (form % (n % 2, n // 3, size), bytes(65 + (n + i) % 26 for i in range(size))) for n, size in enumerate(sizes)
    ]


async def test_bodies_behind_heads_like_the_one_before_arrive_whole(folder: Path) -> None:
    """The body in one piece with the head, after it, in two pieces, and with a second request
    behind."""

    async with routed(folder, echo, prefix="/api") as (router, _):
        client = await router.connect()
        for number, (head, body) in enumerate(posts()):
            at = (0, len(body), len(body) // 2)[number % 3]
            await client.send(head + body[:at])
            await client.send(body[at:] + (head + body if number % 10 == 9 else b""))
            for _ in range(2 if number % 10 == 9 else 1):
                _, answer = await answer_to(client, head)
                assert answer.startswith(b"POST /a?") and answer.endswith(b"\r\n\r\n" + body), head
                assert (
                    answer.count(b"Content-Length: %d\r\n" % len(body)) == 1 and b": %d\r\n" % (number // 3) in answer
                )


async def test_a_body_that_is_too_long_is_refused_on_the_short_way_too(folder: Path) -> None:
    worker = await TcpWorker().start(echo)
    routes = folder / "routes"
    routes.write_text(snapshot(worker.endpoint, max_body=100))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(routes)]) as router:
        client = await router.connect()
        for size in (3, 4, 5, 100, 101):
            await client.send(b"POST /?0 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            head, _ = await client.response()
            assert head.startswith(b"HTTP/1.1 200" if size <= 100 else b"HTTP/1.1 413")
    worker.stop()


async def test_a_path_of_another_route_goes_there(folder: Path) -> None:
    first = await Worker(folder / "1").start(echo)
    second = await Worker(folder / "2").start(echo)
    routes = ["--route", f"/api={first.endpoint}", "--route", f"/api/b={second.endpoint}"]
    async with Router(folder, ["--listen", "127.0.0.1:0", *routes]) as router:
        client = await router.connect()
        for path in (b"/api/a?1", b"/api/b/a?1") * 4 + (b"/api/a?1",) * 4 + (b"/api/b?1", b"/api/bc?1"):
            await client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            prefix = b"/api/b" if path.startswith((b"/api/b/", b"/api/b?")) else b"/api"
            _, body = await client.response()
            assert body.startswith(b"GET " + (path.removeprefix(prefix).replace(b"?1", b"") or b"/") + b"?1")
            assert b"X-Forwarded-Prefix: %b\r\n" % prefix in body
    first.stop()
    second.stop()


async def test_new_routes_hold_for_a_request_like_the_one_before(folder: Path) -> None:
    first = await Worker(folder / "1").start(echo)
    second = await Worker(folder / "2").start(echo)
    routes = folder / "routes"
    routes.write_text(snapshot(first.endpoint))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(routes)]) as router:
        client = await router.connect()
        for number in range(8):
            if number == 4:
                routes.write_text(snapshot(second.endpoint, name="another"))
                router.process.send_signal(signal.SIGHUP)
                await router.told("READY=1")
            await client.send(b"GET /?1 HTTP/1.1\r\nHost: a\r\nCookie: %d\r\n\r\n" % (number % 3))
            await client.response()
        assert [worker.seen[0].count(b"GET ") for worker in (first, second)] == [4, 4]
    first.stop()
    second.stop()


async def test_large_bodies_behind_heads_like_the_one_before_are_whole(folder: Path) -> None:
    """Sizes around the limits from which bodies are not copied, are received at once, and are moved
    by the kernel."""
    sizes = [size + more for size in (0, 16384, 65536, 73728, 1 << 20) for more in (0, 1)]

    async def behave(connection: Connection) -> None:
        while True:
            size = int((await connection.head()).split(b"?")[1].split(b" ")[0])
            body = bytes(n % 251 for n in range(size))
            await connection.send(DATE % (b"200 OK", b"1") + b"Content-Length: %d\r\n\r\n" % size + body)

    worker = await TcpWorker().start(behave)
    async with Router(folder, ["--listen", "127.0.0.1:0", "--route", f"/={worker.endpoint}"]) as router:
        client = await router.connect()
        for size in sizes:
            for _ in range(3):
                await client.send(b"GET /?%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
                _, body = await client.response()
                assert body == bytes(n % 251 for n in range(size))
    worker.stop()


async def test_an_early_answer_like_the_one_before_leaves_no_rest_of_a_body_behind(folder: Path) -> None:
    """The worker's connection has had a part of a body. Whatever the worker answered, no request
    may follow on it."""

    async def at_once(connection: Connection) -> None:
        while True:
            await connection.head()
            await connection.send(FORMS[b"1"] % 2 + b"ok")

    async with routed(folder, at_once) as (router, worker):
        client, early = await router.connect(), await router.connect()
        for _ in range(FOUND_STANDING):
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.response()
        await early.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert b"Connection: close" in (await early.response())[0]
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response())[1] == b"ok"
        assert [seen.count(b"POST") for seen in worker.seen] == [1, 0]
