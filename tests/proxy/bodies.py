"""Large bodies: a worker that sends and receives them in every framing, and clients that read them
to the last byte.

`GET /FRAMING/SIZE` is answered with so many bytes, framed by Content-Length (`length`), in chunks
(`chunked`) or by the end of the connection (`close`). A request with a body is answered with the
size and the digest of the body that the worker has read.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache

from peers import PATIENCE, Connection, Router

from tqunits.proxy.transport.relay import WORTH
from tqunits.proxy.transport.stream import RECEIVE
from tqunits.proxy.upstream.standing import FOUND_STANDING

MIB = 1024 * 1024
SIZES = (*range(WORTH - 1, WORTH + 2), *range(RECEIVE - 1, RECEIVE + 2), MIB, 8 * MIB)
"""Sizes around one recv (RECEIVE), around the least for which a relay pays (WORTH), and far beyond
all buffers of one turn."""

SMALL = 4096
"""Bytes of a receive buffer that takes only a little at a time."""

_BYTES = random.Random(4).randbytes(MIB + 1)
_PIECE = 100_000  # bytes of a chunk as we send it: no multiple of any buffer


@cache
def payload(size: int) -> bytes:
    """So many bytes, without a pattern: a lost or doubled buffer would change them."""
    whole, rest = divmod(size, len(_BYTES))
    return _BYTES * whole + _BYTES[:rest]


def digest(body: bytes) -> str:
    """Compare bodies without pytest, which would print all of both."""
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


def chunked(body: bytes) -> bytes:
    pieces = (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def get(path: str, minor: int = 1) -> bytes:
    return f"GET {path} HTTP/1.{minor}\r\nHost: a\r\n\r\n".encode()


def post(body: bytes, framing: str = "length") -> bytes:
    """A whole upload."""
    if framing == "chunked":
        return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body)
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def rely(client: Connection) -> None:
    """Send requests until the router also uses the worker's only connection for requests that can
    not be sent twice."""
    await client.send(get("/length/1") * (FOUND_STANDING + 1))
    for _ in range(FOUND_STANDING + 1):
        await receive(client)


@cache
def offer(framing: str, size: int) -> bytes:
    """A whole response."""
    head, body = b"HTTP/1.1 200 OK\r\n", payload(size)
    match framing:
        case "length":
            return head + b"Content-Length: %d\r\n\r\n%b" % (size, body)
        case "chunked":
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body)
        case _:
            return head + b"\r\n" + body


async def give_and_take(connection: Connection) -> None:
    """The worker."""
    while True:
        message = await receive(connection)
        method, path, _ = message.head.split(b" ", 2)
        if method == b"GET":
            _, framing, size = path.decode().split("/")
            await connection.send(offer(framing, int(size)))
            if framing == "close":
                return
        else:
            text = digest(message.body).encode()
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


@dataclass(frozen=True)
class Message:
    """A request or a response."""

    head: bytes
    framing: str
    body: bytes
    trailers: bytes = b""

    @property
    def digest(self) -> str:
        return digest(self.body)


async def receive(connection: Connection) -> Message:
    """The next whole message, without interim responses. Raises what `Connection` does for one that
    is not whole."""
    head = await connection.head()
    while head.startswith(b"HTTP/1.1 103 "):
        head = await connection.head()
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
    if head.startswith(b"HTTP/1.1 304 "):
        return Message(head, "none", b"")
    if b"transfer-encoding" in fields:
        return Message(head, "chunked", *await dechunked(connection))
    if b"content-length" in fields or not head.startswith(b"HTTP/"):
        return Message(head, "length", await connection.exactly(int(fields.get(b"content-length", b"0"))))
    return Message(head, "close", await connection.rest())


async def dechunked(connection: Connection) -> tuple[bytes, bytes]:
    """The rest of a message in chunks: (body, trailers)."""
    pieces = []
    while size := int(await connection.until(b"\r\n"), 16):
        pieces.append(await connection.exactly(size))
        assert await connection.exactly(2) == b"\r\n"
    trailers = []
    while (line := await connection.until(b"\r\n")) != b"\r\n":
        trailers.append(line)
    return b"".join(pieces), b"".join(trailers)


async def _send(client: socket.socket, upload: bytes, arrived: Callable[[], Awaitable[object]] | None) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, upload[:MIB])
    if arrived is not None:
        await arrived()
    await loop.sock_sendall(client, upload[MIB:])


async def answer_to(router: Router, upload: bytes, arrived: Callable[[], Awaitable[object]] | None = None) -> bytes:
    """The answer that comes while an upload is sent, up to its end or the cut.

    `arrived`: everything after the first MIB is sent only then. Uses the socket itself, because
    asyncio's streams forget what they have received when they can not send.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", router.port))
        sending = asyncio.create_task(_send(client, upload, arrived))
        said = b""
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.wait_for(loop.sock_recv(client, 4096), PATIENCE):
                said += piece
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return said
