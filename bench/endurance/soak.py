"""The soak of bench/endurance: requests of every kind for as long as it takes, and what they leave
behind.

It goes in batches. In each, clients make requests of all kinds in a fixed mixture; then they leave,
the router gets other routes, and once what has ended is gone its memory and its descriptors are
read. The slope is a least-squares line through the memory of the second half, in bytes per 1000
requests: the first half fills caches and arenas.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from bench.endurance.look import Look, Router
from bench.endurance.report import Row
from bench.endurance.scene import SAMPLE, SETTLE, routed, routing, snapshot, workers

REQUESTS = 300_000
BATCH = 10_000
CLIENTS = 32
PATIENCE = 30.0
LARGE = 1 << 20
MAX_SLOPE = 4096
"""Bytes per 1000 requests that are no growth: an hour at 1000 requests per second would be 14
MiB."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """One of them: a kept connection, and what it asks on it and on others."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.kept: Streams | None = None

    async def connect(self) -> Streams:
        return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), PATIENCE)

    async def get(self) -> bool:
        return await self._on_kept(b"GET /tcp/echo/soak HTTP/1.1\r\nHost: soak\r\n\r\n", b"soak 0")

    async def post(self) -> bool:
        head = b"POST /unix/echo/soak HTTP/1.1\r\nHost: soak\r\nContent-Length: 4096\r\n\r\n"
        return await self._on_kept(head + bytes(4096), b"soak 4096")

    async def chunked(self) -> bool:
        head = b"POST /tcp/echo/soak HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n"
        return await self._on_kept(head + b"400;x=y\r\n%b\r\n" % bytes(1024) * 4 + b"0\r\n\r\n", b"soak 4096")

    async def refused(self) -> bool:
        return await self._on_kept(b"GET /nowhere/at/all HTTP/1.1\r\nHost: soak\r\n\r\n", None, b"404")

    async def file(self) -> bool:
        return await self._on_kept(b"GET /files/small.txt HTTP/1.1\r\nHost: soak\r\n\r\n", b"small")

    async def download(self) -> bool:
        return await self._on_kept(b"GET /tcp/big/%d HTTP/1.1\r\nHost: soak\r\n\r\n" % LARGE, b"x" * LARGE)

    async def new_connection(self) -> bool:
        answer = await self._alone(b"GET /tcp/echo/soak HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")
        return answer.endswith(b"\r\n\r\nsoak 0")

    async def malformed(self) -> bool:
        return (await self._alone(b"GET /../x HTTP/1.1\r\nHost: soak\r\n\r\n")).startswith(b"HTTP/1.1 400 ")

    async def aborted(self) -> bool:
        """Take some of a large body, and go."""
        reader, writer = await self.connect()
        writer.write(b"GET /tcp/big/%d HTTP/1.1\r\nHost: soak\r\n\r\n" % (8 * LARGE))
        data = await asyncio.wait_for(reader.readexactly(50_000), PATIENCE)
        writer.transport.abort()
        return data.startswith(b"HTTP/1.1 200 ")

    async def cut_request(self) -> bool:
        """Send half of a body, and go."""
        _, writer = await self.connect()
        writer.write(b"POST /tcp/echo/soak HTTP/1.1\r\nHost: soak\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))
        await writer.drain()
        writer.close()
        return True

    async def websocket(self) -> bool:
        reader, writer = await self.connect()
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        writer.write(b"GET /tcp/socket HTTP/1.1\r\nHost: soak\r\n%b\r\n" % upgrade)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        writer.write(b"hello")
        echoed = await asyncio.wait_for(reader.readexactly(5), PATIENCE)
        writer.close()
        return head.startswith(b"HTTP/1.1 101 ") and echoed == b"hello"

    async def _alone(self, request: bytes) -> bytes:
        reader, writer = await self.connect()
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        return answer

    async def _on_kept(self, request: bytes, body: bytes | None, status: bytes = b"200") -> bool:
        """On the kept connection; whether the answer has that status, and that body (None: any)."""
        if self.kept is None:
            self.kept = await self.connect()
        reader, writer = self.kept
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        text = await asyncio.wait_for(reader.readexactly(size), PATIENCE)
        return head[9:12] == status and (body is None or text == body)

    def leave(self) -> None:
        if self.kept is not None:
            self.kept[1].close()
            self.kept = None


Action = Callable[[Client], Awaitable[bool]]
MIXTURE: Sequence[tuple[Action, int]] = (
    (Client.get, 58),
    (Client.new_connection, 12),
    (Client.post, 10),
    (Client.file, 6),
    (Client.chunked, 3),
    (Client.refused, 3),
    (Client.download, 2),
    (Client.aborted, 2),
    (Client.websocket, 2),
    (Client.malformed, 1),
    (Client.cut_request, 1),
)
"""Of a hundred requests."""


async def soak(requests: int) -> Row:
    """All of it; a row."""
    unexpected: Counter[str] = Counter()
    looks: list[Look] = []
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tqe")))
        texts = stack.enter_context(_routes(folder))
        router = stack.enter_context(routing(folder, texts[0]))
        for number in range(max(4, requests // BATCH)):
            await _batch(router.port, unexpected)
            (folder / "routes.json").write_text(texts[(number + 1) % 2])
            router.check()
            looks.append(await _settled(router, looks[0].descriptors if looks else 0))
    return _row(looks, unexpected, time.monotonic() - begin)


@contextlib.contextmanager
def _routes(folder: Path) -> Iterator[tuple[str, str]]:
    """Two files of routes: the second has a worker more, and the others' limits differ."""
    public = folder / "public"
    public.mkdir()
    (public / "small.txt").write_text("small")
    with workers(folder, "soak") as (tcp, unix, _):
        found = [routed("tcp", tcp), routed("unix", unix), routed("files", directory=str(public))]
        more = [*found, routed("more", "127.0.0.1:1")]
        yield snapshot(found, connections=20_000), snapshot(more, connections=19_000)


async def _batch(port: int, unexpected: Counter[str]) -> None:
    plan = itertools.chain.from_iterable(itertools.repeat(_shuffled(), BATCH // 100))
    clients = [Client(port) for _ in range(CLIENTS)]

    async def work(client: Client) -> None:
        for action in plan:
            await _do(client, action, unexpected)
        client.leave()

    await asyncio.gather(*(work(client) for client in clients))


def _shuffled() -> list[Action]:
    """The mixture, spread: every run has the same order."""
    every = [action for action, count in MIXTURE for _ in range(count)]
    return [every[at * 37 % len(every)] for at in range(len(every))]


async def _do(client: Client, action: Action, unexpected: Counter[str]) -> None:
    try:
        if not await action(client):
            unexpected[f"{action.__name__}: not as expected"] += 1
            client.leave()
    except (OSError, EOFError, TimeoutError) as error:
        unexpected[f"{action.__name__}: {type(error).__name__}: {error}"] += 1
        client.leave()


async def _settled(router: Router, descriptors: int) -> Look:
    """Once the router has no more descriptors than that; 0: than it keeps when nothing changes any
    more."""
    deadline = time.monotonic() + SETTLE
    least = 2.5  # seconds that idle connections to workers and lingering closes need
    await asyncio.sleep(least)
    while (look := Look.at(router.pids)).descriptors > descriptors and descriptors and time.monotonic() < deadline:
        await asyncio.sleep(SAMPLE)
    return look


def _row(looks: Sequence[Look], unexpected: Counter[str], seconds: float) -> Row:
    half = looks[len(looks) // 2 :]
    slope = statistics.linear_regression([n * BATCH / 1000 for n in range(len(half))], [one.rss * 1024 for one in half])
    row: Row = {"case": "soak", "requests": len(looks) * BATCH, "seconds": round(seconds)}
    row |= {"unexpected": sum(unexpected.values()), "what": dict(unexpected), "slope": round(slope.slope)}
    row |= {
        f"rss_{w}": round(one.rss / 1024, 2) for w, one in (("first", looks[0]), ("half", half[0]), ("last", looks[-1]))
    }
    row |= {"fds_first": looks[0].descriptors, "fds_last": looks[-1].descriptors}
    row["rss_kib"], row["fds"] = [one.rss for one in looks], [one.descriptors for one in looks]
    row["wrong"] = [text for text, found in _checks(row).items() if found]
    return row


def _checks(row: Row) -> dict[str, bool]:
    return {
        f"requests did not go as expected: {row['what']}": bool(row["unexpected"]),
        f"memory grows by {row['slope']} bytes per 1000 requests": row["slope"] > MAX_SLOPE,
        f"descriptors: {row['fds_first']}, then {row['fds_last']}": row["fds_first"] != row["fds_last"],
    }
