"""Runs the readiness gate as a process, and servers for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from programs import alone

GATE = alone("gate")
NOBODY = 65534
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LONGER = (0.5, 5.0, 50.0)
"""Seconds. Where the gate has to be fast enough to ask twice, it is given more of them on a busy
machine."""

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def run_gate(*arguments: str, user: int | None = None) -> tuple[int, str]:
    """Exit status and stderr of one run; without $JOURNAL_STREAM, so without priority prefixes."""
    process = await asyncio.create_subprocess_exec(*GATE, *arguments, stderr=asyncio.subprocess.PIPE, user=user, env={})
    _, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stderr.decode()


def saying(answer: bytes) -> Answer:
    """A server that reads a request and sends one answer."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return handle


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that accepts and never answers."""
    await reader.read()
    writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield str(server.sockets[0].getsockname()[1])


@asynccontextmanager
async def a_process(*argv: str, user: int | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is killed afterwards."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, user=user
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])
