"""Silent connections: a stream that has begun may be silent for long, all others for
`timeouts.read`; the log names the setting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from peers import OK, SWITCHED, UPGRADE, Connection, Router, Worker, snapshot

SHORT = {"request_us": 0, "read_us": 300_000, "write_us": 300_000, "idle_us": 1_000_000}
GET = b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HEADS = {
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "events": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    "head": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
}
PIECES = {"chunked": (b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n"), "events": (b"a", b"b"), "length": (b"a", b"b")}
PIECES["head"] = (b"", PIECES["chunked"][1])


class Quiet:
    """A worker that sends nothing after the first piece until it is told to, and never answers
    `/never`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        kind = (await connection.head()).split()[1][1:].decode()
        if kind == "never":
            await connection.rest()
            return
        if kind == "live":
            await connection.send(SWITCHED)
            await connection.rest()
            return
        await connection.send(HEADS[kind] + PIECES[kind][0])
        await self.go.wait()
        await connection.send(PIECES[kind][1])


def routes(folder: Path, endpoint: str, **changes: object) -> list[str]:
    text = snapshot(endpoint, timeouts=SHORT | changes).replace('"max_connections": 2', '"max_connections": 9')
    (folder / "routes.json").write_text(text)
    return ["--listen", "127.0.0.1:0", "--routes", str(folder / "routes.json")]


@pytest.mark.parametrize("kind", ["chunked", "events", "head"])
async def test_a_stream_may_be_silent_for_longer_than_an_answer(folder: Path, kind: str) -> None:
    quiet = Quiet()
    worker = await Worker(folder / "w").start(quiet)
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        stream = await router.connect()
        await stream.send(GET % kind.encode())
        await stream.until(b"a" if kind != "head" else b"\r\n\r\n")
        for _ in range(2):  # each is silent for as long as an answer may be
            assert (await router.ask(GET % b"never")).startswith(b"HTTP/1.1 504 ")
        quiet.go.set()
        assert (await stream.rest()).endswith(b"b\r\n0\r\n\r\n")
        assert "cut" not in router.said()
        assert "504: no answer for 300ms (timeouts.read)" in router.said()
    worker.stop()


CUTS = {
    "a stream": ("chunked", {"stream_us": 200_000}, "cut: no progress for 200ms (timeouts.stream)"),
    "a stream that may be silent for less": ("events", {"read_us": 0, "stream_us": 200_000}, "200ms (timeouts.stream)"),
    "a body of known length": ("length", {}, "cut: no progress for 300ms (timeouts.read)"),
    "a stream whose request is over": ("chunked", {"request_us": 300_000}, "300ms (timeouts.request)"),
}


@pytest.mark.parametrize(("kind", "changes", "said"), CUTS.values(), ids=CUTS)
async def test_a_silence_that_is_too_long_is_said_with_its_setting(
    folder: Path, kind: str, changes: dict[str, int], said: str
) -> None:
    quiet = Quiet()
    worker = await Worker(folder / "w").start(quiet)
    async with Router(folder, routes(folder, worker.endpoint, **changes)) as router:
        assert not (await router.ask(GET % kind.encode())).endswith(b"0\r\n\r\n")
        assert said in router.said()
    quiet.go.set()
    worker.stop()


async def test_an_upgraded_connection_has_the_same_silence(folder: Path) -> None:
    worker = await Worker(folder / "w").start(Quiet())
    async with Router(folder, routes(folder, worker.endpoint, stream_us=200_000)) as router:
        assert (await router.ask(UPGRADE)).startswith(b"HTTP/1.1 101 ")
        assert "cut: an upgraded connection was silent for 200ms (timeouts.stream)" in router.said()
    worker.stop()


async def test_a_client_that_takes_nothing_of_a_stream_is_not_waited_for_so_long(folder: Path) -> None:
    async def endless(connection: Connection) -> None:
        await connection.head()
        await connection.send(HEADS["chunked"])
        try:
            while True:
                await connection.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except ConnectionError:
            ended.set()

    ended = asyncio.Event()

    worker = await Worker(folder / "w").start(endless)
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        client = await router.connect(receive=4096)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET % b"")
        await asyncio.wait_for(ended.wait(), 9)
    worker.stop()


async def test_an_answer_in_time_is_no_stream(folder: Path) -> None:
    async def answer(connection: Connection) -> None:
        await connection.head()
        await connection.send(OK)

    worker = await Worker(folder / "w").start(answer)
    async with Router(folder, routes(folder, worker.endpoint, stream_us=1)) as router:
        assert (await router.ask(GET % b"")).endswith(b"ok")
    worker.stop()
