"""The workers of bench/endurance, a process of its own: what the path says is how it behaves.

    workers.py UNIX_SOCKET

It listens on a free port of 127.0.0.1, which it prints, and on that Unix socket.

    /echo/ID    reads the body, answers with ID and the body's length
    /big/N      N bytes                         /socket       a websocket that echoes
    /garbage/N  the Nth of GARBAGE, and closes  /close        no answer at all
    /cut        half of a body                  /cut-chunk    half of a chunk
    /early      answers before the body comes, and reads a KiB of it per second
    /twice      two answers to one request      /slow-head    a byte of its head per second
    /slow-body  a byte of its body per second
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "proxy"))

from test_responses import GARBAGE as GARBAGE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
PIECE = b"x" * 65536
SECOND = 1.0

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Over(Exception):
    """Nothing more on this connection."""


async def serve(reader: Reader, writer: Writer) -> None:
    """One connection."""
    with contextlib.suppress(OSError, EOFError, Over):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            _, word, rest = (head.split(b" ", 2)[1].decode() + "/").split("/", 2)
            await BEHAVIOURS[word](reader, writer, head, rest.rstrip("/"))
            await writer.drain()
    writer.close()


async def echo(reader: Reader, writer: Writer, head: bytes, identity: str) -> None:
    text = b"%b %d" % (identity.encode(), await read_body(reader, head))
    writer.write(OK % len(text) + text)


async def big(reader: Reader, writer: Writer, head: bytes, size: str) -> None:
    writer.write(OK % int(size))
    left = int(size)
    while left:
        writer.write(PIECE[: min(left, len(PIECE))])
        left -= min(left, len(PIECE))
        await writer.drain()


async def garbage(reader: Reader, writer: Writer, head: bytes, number: str) -> None:
    writer.write(list(GARBAGE.values())[int(number)])
    raise Over


async def close(reader: Reader, writer: Writer, head: bytes, rest: str) -> None:
    raise Over


async def cut(reader: Reader, writer: Writer, head: bytes, rest: str) -> None:
    writer.write(OK % 100_000 + PIECE[:50_000])
    raise Over


async def cut_chunk(reader: Reader, writer: Writer, head: bytes, rest: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nffff\r\n" + PIECE[:5000])
    raise Over


async def early(reader: Reader, writer: Writer, head: bytes, rest: str) -> None:
    writer.write(OK % 5 + b"early")
    await writer.drain()
    while await reader.read(1024):
        await asyncio.sleep(SECOND)
    raise Over


async def twice(reader: Reader, writer: Writer, head: bytes, rest: str) -> None:
    await read_body(reader, head)
    writer.write((OK % 3 + b"one") + (OK % 3 + b"two"))


async def slow_head(reader: Reader, writer: Writer, head: bytes, rest: str) -> None:
    await trickle(writer, OK % 0)


async def slow_body(reader: Reader, writer: Writer, head: bytes, rest: str) -> None:
    writer.write(OK % 1000)
    await trickle(writer, PIECE[:1000])


async def socket(reader: Reader, writer: Writer, head: bytes, rest: str) -> None:
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    while data := await reader.read(len(PIECE)):
        writer.write(data)
        await writer.drain()
    raise Over


async def trickle(writer: Writer, data: bytes) -> None:
    for at in range(len(data)):
        writer.write(data[at : at + 1])
        await asyncio.sleep(SECOND)
        await writer.drain()


async def read_body(reader: Reader, head: bytes) -> int:
    """Read a body to its end; gives its length."""
    lower, size = head.lower(), 0
    if b"\r\ntransfer-encoding: chunked\r\n" in lower:
        while length := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(length + 2)
            size += length
        await reader.readuntil(b"\r\n")
        return size
    length = next((int(line[15:]) for line in lower.split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while size < length:
        data = await reader.read(min(len(PIECE), length - size))
        if not data:
            raise Over
        size += len(data)
    return size


Behaviour = Callable[[Reader, Writer, bytes, str], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {
    "echo": echo,
    "big": big,
    "socket": socket,
    "garbage": garbage,
    "close": close,
    "cut": cut,
    "cut-chunk": cut_chunk,
    "early": early,
    "twice": twice,
    "slow-head": slow_head,
    "slow-body": slow_body,
}


async def main() -> None:
    """Serve until the end."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    await asyncio.start_unix_server(serve, sys.argv[1], backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
