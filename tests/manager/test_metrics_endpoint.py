"""Where collectors ask: real sockets, polite and rude clients, and an address that somebody else
has."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import AsyncIterator

import pytest

from tqunits.manager.metrics_endpoint import MAX_CLIENTS, MetricsEndpoint

LARGE = b"x" * (8 << 20)
"""More than the kernel takes for a client that does not read."""

ASK = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    with socket.socket(family) as one:
        one.bind(("::1" if family is socket.AF_INET6 else "127.0.0.1", 0))
        return int(one.getsockname()[1])


class Listening:
    """An endpoint, and what it has said."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host, self.port = host.strip("[]"), port
        self.said: list[str] = []
        self.body = b"# EOF\n"
        self.endpoint = MetricsEndpoint(f"{host}:{port}", self._text, self._say, retry_s=0.05)
        self._news = asyncio.Event()

    async def _text(self) -> bytes:
        return self.body

    def _say(self, text: str) -> None:
        self.said.append(text)
        self._news.set()

    async def news(self) -> str:
        """The next message."""
        self._news.clear()
        await asyncio.wait_for(self._news.wait(), 20)
        return self.said[-1]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def ask(self, request: bytes = ASK) -> bytes:
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    one = Listening(free_port())
    await one.endpoint.start()
    yield one
    one.endpoint.close()


async def test_a_collector_gets_the_text(listening: Listening) -> None:
    head, _, body = (await listening.ask()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0")
    assert body == b"# EOF\n"
    assert (await listening.ask(ASK.replace(b"/metrics", b"/metrics?x=1"))).startswith(b"HTTP/1.1 200 ")
    assert listening.said == []


async def test_it_listens_on_ipv6_too() -> None:
    one = Listening(free_port(socket.AF_INET6), "[::1]")
    await one.endpoint.start()
    assert (await one.ask()).startswith(b"HTTP/1.1 200 ")
    one.endpoint.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(ASK.replace(b"/metrics", b"/instances"), b"404", id="another path"),
        pytest.param(ASK.replace(b"GET", b"POST"), b"405", id="another method"),
        pytest.param(b"nonsense\r\n\r\n", b"400", id="nonsense"),
        pytest.param(ASK[:-2] + b"X: " + b"x" * 100_000 + b"\r\n\r\n", b"431", id="a large head"),
        pytest.param(ASK[:-2] + b"Content-Length: 9999\r\n\r\n", b"413", id="a body"),
    ],
)
async def test_another_question_is_refused(listening: Listening, request_: bytes, status: bytes) -> None:
    assert (await listening.ask(request_)).startswith(b"HTTP/1.1 " + status)


async def test_who_says_nothing_is_in_nobodys_way_for_long(listening: Listening) -> None:
    held = [await listening.connect() for _ in range(MAX_CLIENTS)]
    assert (await listening.ask()).startswith(b"HTTP/1.1 503 ")
    for reader, _ in held:
        await reader.read()  # to the end, which is its own time limit
    assert (await listening.ask()).startswith(b"HTTP/1.1 200 ")
    for _, writer in held:
        writer.close()


async def test_who_does_not_read_loses_the_connection_and_the_text(listening: Listening) -> None:
    listening.body = LARGE
    with socket.create_connection((listening.host, listening.port)) as rude:
        rude.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(rude, ASK)
        left = asyncio.Event()
        poller = select.epoll()
        poller.register(rude, select.EPOLLRDHUP)  # the server's end, whatever lies unread before it
        loop.add_reader(poller.fileno(), left.set)
        async with asyncio.timeout(30):
            await left.wait()
        loop.remove_reader(poller.fileno())
        poller.close()
        with pytest.raises(ConnectionResetError):
            while rude.recv(1 << 20):
                pass


async def test_an_address_that_another_program_has_is_told_once_and_taken_when_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taker:
        one = Listening(taker.getsockname()[1])
        await one.endpoint.start()
        assert len(one.said) == 1
        assert f"manager.metrics: 127.0.0.1:{one.port}: address already in use" in one.said[0]
    assert await one.news() == f"metrics are at 127.0.0.1:{one.port} now"
    assert (await one.ask()).startswith(b"HTTP/1.1 200 ")
    one.endpoint.close()
