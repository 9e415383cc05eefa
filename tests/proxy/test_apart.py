"""Messages that come in pieces: a head without its body, a byte at a time, and a connection that
ends behind or within a message.

On one machine a small message comes almost always in one piece, together with its head and body. So
here the router reads every piece before the next one is sent. The tests cover all kinds of framing,
both directions, plain and TLS.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Any

import pytest
from bodies import MIB, Message, digest, get, offer, payload, receive
from control_peers import controlled, until
from peers import OK, PATIENCE, Behaviour, Connection, Router, TcpWorker, Worker
from secure_peers import client_context, make

from tqunits.proxy.transport.relay import WORTH
from tqunits.proxy.transport.stream import RECEIVE

HELLO = b"hello world"
CHUNKS = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n"
TRAILER = b"X-Sum: 1\r\n"
OF_LENGTH = b"Content-Length: 11\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
DATE = b"Date: Tue, 24 Nov 2026 20:00:00 GMT\r\n"

BODIES = {
    "length": (OF_LENGTH, HELLO),
    "length, like the one before": (DATE + OF_LENGTH, HELLO),
    "length nought": (b"Content-Length: 0\r\n\r\n", b""),
    "chunked": (CHUNKED, CHUNKS + b"\r\n"),
    "trailers": (CHUNKED, CHUNKS + TRAILER + b"\r\n"),
    "chunked, empty": (CHUNKED, b"0\r\n\r\n"),
}
"""The end of a head, and the bytes after it."""

HTTP_1_1 = b"HTTP/1.1 200 OK\r\n"
UNTIL_CLOSE = {
    "close": (HTTP_1_1 + b"\r\n", HELLO),
    "close, said so": (HTTP_1_1 + b"Connection: close\r\n\r\n", HELLO),
    "close, empty": (HTTP_1_1 + b"\r\n", b""),
    "close, 1.0": (b"HTTP/1.0 200 OK\r\n\r\n", HELLO),
    "close, 1.0, empty": (b"HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", b""),
    "close, early hints": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + HTTP_1_1 + b"\r\n", HELLO),
}
RESPONSES = {name: (HTTP_1_1 + head, body) for name, (head, body) in BODIES.items()} | UNTIL_CLOSE
REQUESTS = {name: (b"POST / HTTP/1.1\r\nHost: a\r\n" + head, body) for name, (head, body) in BODIES.items()}

WAYS: dict[str, Callable[[bytes, bytes], list[bytes]]] = {
    "whole": lambda head, body: [head + body],
    "head and body": lambda head, body: [head, body],
    "head and body byte by byte": lambda head, body: [head, *each(body)],
    "in the middle": lambda head, body: [head[:9], head[9:] + body[:3], body[3:]],
    "byte by byte": lambda head, body: each(head + body),
}
ENDS = ["whole/at once", "head and body/at once"]
"""Used where the worker closes in the same moment; else the router has read everything before."""

CUT = (asyncio.IncompleteReadError, ConnectionError, SSLError)
SECURED = {"plain": None, "TLS": client_context()}
tls_or_not = pytest.mark.parametrize("tls", SECURED.values(), ids=SECURED)


def each(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def whole_body(name: str) -> bytes:
    return b"" if "empty" in name or "nought" in name else HELLO


WORKERS: dict[str, Callable[[Path], Worker]] = {
    "copied": lambda folder: Worker(folder / "w"),
    "by the kernel": lambda _: TcpWorker(),
}
"""The two ways by which a body that ends with its connection passes through the router."""

workers = pytest.mark.parametrize("worker", WORKERS.values(), ids=WORKERS)


@asynccontextmanager
async def served(folder: Path, worker: Worker, behaviour: Behaviour, **changes: Any) -> AsyncIterator[Router]:
    """A router with plain HTTP and TLS, in front of that worker."""
    make(folder, "a", "a.example")
    await worker.start(behaviour)
    options = [f"--certificate={folder}/a.pem", f"--key={folder}/a.key"]
    async with Router(folder, controlled(folder, worker.endpoint, *options, **changes)) as router:
        yield router
    worker.stop()


async def asked(connection: Connection) -> list[str]:
    """The parts of the path that the worker is asked for."""
    return (await connection.head()).split(b" ")[1].decode().replace("%20", " ").split("/")[1:]


def path(*words: object) -> str:
    return "/" + "/".join(map(str, words)).replace(" ", "%20")


async def in_pieces(connection: Connection) -> None:
    """A worker that answers `/NAME/WAY`, and `/ok`."""
    while True:
        name, *how = await asked(connection)
        if name == "ok":
            await connection.send(HTTP_1_1 + DATE + b"Content-Length: 2\r\n\r\nok")
            continue
        *before, last = [piece for piece in WAYS[how[0]](*RESPONSES[name]) if piece]
        await connection.send_apart(before)
        await (connection.send(last) if "at once" in how else connection.send_apart([last]))
        if name.startswith("close"):
            return


@workers
@tls_or_not
async def test_a_response_is_the_same_however_it_comes(
    folder: Path, worker: Callable[[Path], Worker], tls: SSLContext | None
) -> None:
    """The client's connection stays in step: the answer to its next request follows."""

    async with served(folder, worker(folder), in_pieces) as router:
        client = await router.connect(tls=tls)
        for name, way in product(RESPONSES, [*WAYS, *ENDS]):
            await client.send(get(path(name, way)) + get("/ok"))
            answer, behind = await receive(client), await receive(client)
            assert (answer.body, behind.body) == (whole_body(name), b"ok"), (name, way)
            assert b"\r\nConnection: close\r\n" not in answer.head + behind.head
            assert (answer.framing == "length") == ("length" in name)
        client.close()


@workers
@tls_or_not
async def test_a_client_of_http_1_0_gets_the_same_and_an_end(
    folder: Path, worker: Callable[[Path], Worker], tls: SSLContext | None
) -> None:
    async with served(folder, worker(folder), in_pieces) as router:
        for name, way in product(RESPONSES, [*WAYS, *ENDS]):
            client = await router.connect(tls=tls)
            await client.send(get(path(name, way), minor=0))
            answer = await receive(client)
            assert (answer.body, await client.rest()) == (whole_body(name), b""), (name, way)
            assert answer.framing != "chunked"
            client.close()


async def body_later(connection: Connection) -> None:
    """A worker that answers `/FRAMING/SIZE`: the head first, and a large body long after it."""
    while True:
        framing, size = await asked(connection)
        head, end, body = offer(framing, int(size)).partition(b"\r\n\r\n")
        await connection.send_apart([head + end])
        await connection.send(body)
        if framing == "close":
            return


@pytest.mark.parametrize("minor", [0, 1], ids=["HTTP/1.0", "HTTP/1.1"])
@tls_or_not
async def test_a_large_body_may_come_later_as_well(folder: Path, tls: SSLContext | None, minor: int) -> None:
    async with served(folder, TcpWorker(), body_later) as router:
        client = await router.connect(tls=tls)
        for framing, size in product(("length", "chunked", "close"), (WORTH + 1, RECEIVE, 3 * MIB)):
            await client.send(get(f"/{framing}/{size}", minor))
            assert (await receive(client)).digest == digest(payload(size)), (framing, size)
            if not minor:
                client = await router.connect(tls=tls)


async def ending(connection: Connection) -> None:
    """A worker that sends the first bytes of a message, as many as it is asked for, and closes or
    resets."""
    name, place, how = await asked(connection)
    head, body = RESPONSES[name]
    before = [head, body[: int(place)]] if int(place) >= 0 else [head[: int(place)]]
    await connection.send_apart([piece for piece in before if piece])
    if how == "reset":
        connection.reset()


def is_whole(name: str, place: int, how: str) -> bool:
    if name in UNTIL_CLOSE:
        return how == "close"
    return place == len(RESPONSES[name][1])


@pytest.mark.short("plain-HTTP/1.0", "TLS-HTTP/1.1")
@pytest.mark.parametrize("minor", [0, 1], ids=["HTTP/1.0", "HTTP/1.1"])
@tls_or_not
async def test_a_response_that_ends_anywhere_looks_whole_only_if_it_is(
    folder: Path, tls: SSLContext | None, minor: int
) -> None:
    async def ask(router: Router, name: str, place: int, how: str) -> None:
        client = await router.connect(tls=tls)
        await client.send(get(path(name, place, how), minor))
        if place < 0:
            assert (await receive(client)).head.startswith(b"HTTP/1.1 502 ")
        elif is_whole(name, place, how):
            body = HELLO[:place] if name in UNTIL_CLOSE else whole_body(name)
            assert (await receive(client)).body == body, (name, place, how)
        else:
            with pytest.raises(CUT):
                pytest.fail(f"{name} {place} {how}: {await receive(client)}")
        client.close()

    async with served(folder, TcpWorker(), ending) as router:
        for name, (_, body) in RESPONSES.items():
            ends = product(range(-1, len(body) + 1), ("close", "reset"))
            for place, how in ends:
                await ask(router, name, place, how)


async def stopping(connection: Connection) -> None:
    """A worker that sends nothing after the first bytes of a body."""
    name, place = await asked(connection)
    head, body = RESPONSES[name]
    await connection.send_apart([piece for piece in (head, body[: int(place)]) if piece])
    await connection.rest()


@pytest.mark.short("plain-HTTP/1.0", "TLS-HTTP/1.1")
@pytest.mark.parametrize("minor", [0, 1], ids=["HTTP/1.0", "HTTP/1.1"])
@tls_or_not
async def test_a_body_that_does_not_come_is_a_cut(folder: Path, tls: SSLContext | None, minor: int) -> None:
    impatient = {"request_us": 0, "read_us": 500_000, "write_us": 500_000, "idle_us": 0, "stream_us": 500_000}

    async def ask(router: Router, name: str, place: int) -> None:
        client = await router.connect(tls=tls)
        await client.send(get(path(name, place), minor))
        with pytest.raises(CUT):
            pytest.fail(f"{name} {place}: {await receive(client)}")
        client.close()

    async with served(folder, TcpWorker(), stopping, timeouts=impatient) as router:
        names = [name for name, (_, body) in RESPONSES.items() if body or name in UNTIL_CLOSE]
        await asyncio.gather(*(ask(router, *cut) for cut in product(names, (0, 3))))
        assert "cut: no progress for 500ms (timeouts." in router.said()


def hearing(whole: list[Message]) -> Behaviour:
    """A worker that answers ok to every request, and keeps those that it has received whole."""

    async def behave(connection: Connection) -> None:
        while True:
            whole.append(await receive(connection))
            await connection.send(OK)

    return behave


BUFFERED = {"as it comes": False, "when it is here": True}
buffered_or_not = pytest.mark.parametrize("buffered", BUFFERED.values(), ids=BUFFERED)


@buffered_or_not
@tls_or_not
async def test_a_request_is_the_same_however_it_comes(folder: Path, tls: SSLContext | None, *, buffered: bool) -> None:
    """And the request behind it is the next one."""

    whole: list[Message] = []
    async with served(folder, Worker(folder / "w"), hearing(whole), buffer_requests=buffered) as router:
        client = await router.connect(tls=tls)
        for name, way in product(REQUESTS, WAYS):
            pieces = WAYS[way](*REQUESTS[name])
            await client.send_apart([piece for piece in [*pieces[:-1], pieces[-1] + get("/ok")] if piece])
            assert [(await receive(client)).body for _ in range(2)] == [b"ok"] * 2
            request, behind = whole[-2:]
            trailers = TRAILER if name == "trailers" else b""
            assert (request.body, request.trailers) == (whole_body(name), trailers), (name, way)
            assert behind.head.startswith(b"GET /ok ")
        assert len(whole) == 2 * len(REQUESTS) * len(WAYS)


@buffered_or_not
@tls_or_not
async def test_a_request_that_ends_anywhere_never_looks_whole(
    folder: Path, tls: SSLContext | None, *, buffered: bool
) -> None:
    async def ask(router: Router, head: bytes, body: bytes, place: int) -> None:
        client = await router.connect(tls=tls)
        pieces = [head, body[:place]] if place >= 0 else [head[:place]]
        await client.send_apart([piece for piece in pieces if piece])
        if tls is None:
            client.half_close()
            assert (await receive(client)).head.startswith(b"HTTP/1.1 400 ")
        client.close()

    whole: list[Message] = []
    async with served(folder, Worker(folder / "w"), hearing(whole), buffer_requests=buffered) as router:
        for head, body in REQUESTS.values():
            for place in range(-1, len(body)):
                await ask(router, head, body, place)
        await until(folder, in_flight=0, connections=0)
        assert whole == []


def holding(whole: list[Message], held: asyncio.Event) -> Behaviour:
    """The same, but `/held` is answered only when the event is set."""

    async def behave(connection: Connection) -> None:
        while True:
            message = await receive(connection)
            if message.head.startswith(b"GET /held "):
                await asyncio.wait_for(held.wait(), PATIENCE)
            else:
                whole.append(message)
            await connection.send(OK)

    return behave


def cuts() -> Iterator[tuple[bytes, bytes, bool]]:
    """(head, the received part of the body, whether that is all of it) of requests after which the
    client ends the connection."""
    for head, body in REQUESTS.values():
        for place in range(len(body) + 1):
            yield head, body[:place], place == len(body)


@buffered_or_not
async def test_an_end_that_came_during_the_request_before_is_known_to_the_next(folder: Path, *, buffered: bool) -> None:
    """Such a request is answered at once: normally if its body is complete, else with a 400."""

    async def ask(router: Router, head: bytes, body: bytes, held: asyncio.Event) -> tuple[bytes, bytes]:
        held.clear()
        client = await router.connect()
        await client.send_apart([get("/held") + head + body])
        client.half_close()
        await client.taken()
        held.set()
        answers = await receive(client), await receive(client)
        assert await client.rest() == b""
        return answers[0].body, answers[1].head[9:12]

    whole: list[Message] = []
    held = asyncio.Event()
    async with served(folder, TcpWorker(), holding(whole, held), buffer_requests=buffered) as router:
        for head, body, is_all in cuts():
            assert await ask(router, head, body, held) == (b"ok", b"200" if is_all else b"400"), (head, body)
        assert len(whole) == len(REQUESTS)


@buffered_or_not
async def test_an_end_behind_a_request_that_waits_its_turn(folder: Path, *, buffered: bool) -> None:
    """The client has ended its side, and need not wait: the request is answered at once, with an
    error if it was cut."""

    async def ask(router: Router, data: bytes) -> list[bytes]:
        client = await router.connect()
        await client.send_apart([data])
        client.half_close()
        return re.findall(rb"HTTP/1\.1 ([0-9]+) ", await client.rest())

    whole: list[Message] = []
    held = asyncio.Event()
    behaviour = holding(whole, held)
    async with served(folder, TcpWorker(), behaviour, max_inflight=1, buffer_requests=buffered) as router:
        first = await router.connect()
        await first.send(get("/held"))
        await until(folder, in_flight=1)
        for head, body, is_all in cuts():
            for ahead in (b"", get("/waits-as-well")):
                said = await ask(router, ahead + head + body)
                assert said == ([b"503"] * bool(ahead) + [b"503" if is_all else b"400"]), (head, body)
        held.set()
        assert ((await receive(first)).body, whole) == (b"ok", [])


@tls_or_not
async def test_who_ends_the_connection_gives_its_place_in_the_line_back(folder: Path, tls: SSLContext | None) -> None:
    """One request may wait. The worker gets only requests whose clients still wait."""

    whole: list[Message] = []
    held = asyncio.Event()
    async with served(folder, TcpWorker(), holding(whole, held), max_inflight=1) as router:
        first = await router.connect()
        await first.send(get("/held"))
        await until(folder, in_flight=1)
        for number in range(3):
            leaves = await router.connect(tls=tls)
            await leaves.send(get(f"/leaves-{number}"))
            await until(folder, waiting=1)
            leaves.close()
            await until(folder, waiting=0)
        stays = await router.connect(tls=tls)
        await stays.send(get("/stays"))
        await until(folder, waiting=1)
        held.set()
        assert (await receive(stays)).body == b"ok"
        assert [message.head[:11] for message in whole] == [b"GET /stays "]
        stays.close()


async def test_who_ends_the_connection_does_not_wait_for_a_worker_that_starts(folder: Path) -> None:
    """The end comes before the request begins to wait, while it waits, and in requests behind one
    that was served."""

    held = asyncio.Event()
    worker = TcpWorker()

    async def last(connection: Connection) -> None:
        await receive(connection)
        await held.wait()
        await connection.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    async with served(folder, worker, last) as router:
        behind = await router.connect()
        await behind.send(get("/held") + get("/behind"))
        await until(folder, in_flight=1)
        behind.half_close()
        await behind.taken()
        worker.stop()
        held.set()
        assert ((await receive(behind)).body, (await receive(behind)).head[9:12]) == (b"ok", b"503")
        at_once, later = await router.connect(), await router.connect()
        await at_once.send(get("/at-once"))
        at_once.half_close()
        await later.send(get("/later"))
        await until(folder, waiting=1)
        later.half_close()
        assert [(await receive(client)).head[9:12] for client in (at_once, later)] == [b"503"] * 2
        await until(folder, waiting=0, connections=0)


@pytest.mark.parametrize("path", ["/files/large", "/files/small"])
async def test_an_end_within_what_is_behind_a_file(folder: Path, path: str) -> None:
    """The client of a request that is cut short gets an error after the answer before it, which it
    takes a while to read."""

    (folder / "public").mkdir()
    (folder / "public/large").write_bytes(payload(4 * MIB))
    (folder / "public/small").write_bytes(b"ok")
    site = {"directory": str(folder / "public"), "prefix": "/files"}
    async with served(folder, TcpWorker(), holding([], asyncio.Event()), static=site) as router:
        for head, body, is_all in cuts():
            if not is_all:
                client = await router.connect()
                await client.send(get(path) + head + body)
                client.half_close()
                assert (await receive(client)).head.startswith(b"HTTP/1.1 200 ")
                assert (await receive(client)).head.startswith(b"HTTP/1.1 400 ")
                assert await client.rest() == b""


MANY = b"3\r\nabc\r\n" * 20_000
"""Chunks of a single read that take many turns of the loop."""


@buffered_or_not
@tls_or_not
@workers
async def test_many_small_chunks_go_through_in_turns(
    folder: Path, worker: Callable[[Path], Worker], tls: SSLContext | None, *, buffered: bool
) -> None:
    """In both directions, with either side slow. Behind them may come a request, an end, or a
    cut."""

    async def behave(connection: Connection) -> None:
        while True:
            request = await receive(connection)
            body = MANY + b"0\r\nX-Sum: 1\r\n\r\n" if request.body == b"abc" * 20_000 else b"2\r\nok\r\n0\r\n\r\n"
            await connection.send(HTTP_1_1 + CHUNKED + body)

    head = b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n" + CHUNKED
    async with served(folder, worker(folder), behave, buffer_requests=buffered) as router:
        client = await router.connect(tls=tls, receive=4096)
        await client.send(head + MANY + b"0\r\n\r\n" + get("/ok"))
        for expected in (b"abc" * 20_000, b"ok"):
            assert (await receive(client)).body == expected
        await client.send(head + MANY)
        await client.send(b"0\r\n\r\n")
        assert (await receive(client)).body == b"abc" * 20_000
        client.close()
        for ends, code in ((b"0\r\n\r\n", b"200"), (b"", b"400"), (b"3\r\na", b"400")):
            client = await router.connect()
            await client.send(head + MANY + ends)
            client.half_close()
            assert (await receive(client)).head[9:12] == code, ends
            assert await client.rest() == b""
        await until(folder, in_flight=0, connections=0)


@tls_or_not
async def test_a_request_that_is_mostly_framing_is_refused(folder: Path, tls: SSLContext | None) -> None:
    whole: list[Message] = []
    async with served(folder, TcpWorker(), hearing(whole)) as router:
        client = await router.connect(tls=tls)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"1\r\nx\r\n" * 6000)
        assert (await receive(client)).head.startswith(b"HTTP/1.1 400 ")
        client.close()
        await until(folder, in_flight=0, connections=0)
        assert whole == []


@pytest.mark.parametrize("times", [87_000, 90_000])
async def test_a_response_that_is_mostly_framing_is_cut(folder: Path, times: int) -> None:
    """A response that a program has written letter by letter is not cut: that is slow, but no
    attack."""

    async def behave(connection: Connection) -> None:
        await receive(connection)
        await connection.send(HTTP_1_1 + CHUNKED + b"1\r\nx\r\n" * times + b"0\r\n\r\n")

    async with served(folder, TcpWorker(), behave) as router:
        client = await router.connect()
        await client.send(get("/"))
        if times == 87_000:
            assert (await receive(client)).body == b"x" * times
        else:
            with pytest.raises(CUT):
                await receive(client)
            assert "mostly framing" in router.said()
        client.close()
