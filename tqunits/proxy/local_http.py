"""HTTP on a Unix socket, for questions about this process: a request per connection, bounded in size and in time.

Nothing here may hold up the data path, or grow with those who ask. What may be asked, and by whom, is the affair of the
socket it is: commands.py, leaving.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from tqunits.http.answers import REASONS
from tqunits.http.framing import Kind, request_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, RequestHead, parse_request

VERSION: Final = 1
JSON: Final = "application/json"

_UCRED: Final = struct.Struct("3i")

_FILE_STAYS: Final = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""Since Python 3.13 event loops remove the file when the server closes. systemd's is not ours to remove."""

Body = Mapping[str, object]

Answerer = Callable[[RequestHead, bytes, int], Awaitable[tuple[str, bytes]]]
"""From a request's head, its body and the asker's uid to a media type and a body; raises Problem."""


class Problem(Exception):
    """A request that is not served: status and what is wrong."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class LocalServer:
    """One socket, and who answers there."""

    def __init__(
        self,
        place: Path | socket.socket,
        answer: Answerer,
        *,
        mode: int,
        max_clients: int,
        patience: float,
        max_body: int,
    ) -> None:
        """`place`: where to listen, or what to accept from; `mode`: of the file that is made.

        `max_clients`: connections at once; `patience`: seconds until a request must be there, and its answer read.
        """
        self._path = place if isinstance(place, Path) else None
        self._inherited = None if isinstance(place, Path) else place
        self._answerer = answer
        self._mode = mode
        self._max_clients = max_clients
        self._patience = patience
        self._max_body = max_body
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self) -> None:
        """Listen. Raises OSError."""
        sock = _bound(self._path, self._mode) if self._path else self._inherited
        self._server = await asyncio.start_unix_server(
            self._serve, None, sock=sock, limit=self._max_body, backlog=self._max_clients, **_FILE_STAYS
        )

    def close(self) -> None:
        """Listen no more; what is being answered ends with the process. What systemd holds waits for the next one."""
        if self._server is None:
            return
        self._server.close()
        if self._path:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            status, kind, body = await self._answer(reader, _uid(writer))
            lines = f"HTTP/1.1 {status} {REASONS.get(status, b'').decode()}\r\nContent-Type: {kind}\r\n"
            writer.write(f"{lines}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            await asyncio.wait_for(writer.drain(), self._patience)
        except (OSError, TimeoutError):
            pass  # whoever asked is gone
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, uid: int) -> tuple[int, str, bytes]:
        try:
            if self._clients > self._max_clients:
                raise Problem(503, f"{self._max_clients} requests at once are the most")
            read = _read(reader, self._max_body)  # also for who may not ask: what is not read resets the answer
            head, data = await asyncio.wait_for(read, self._patience)
            return 200, *await self._answerer(head, data, uid)
        except Problem as problem:
            return problem.status, JSON, json_body({"error": str(problem)})
        except Malformed as error:
            return error.status, JSON, json_body({"error": error.detail})


def json_body(body: Body) -> bytes:
    """An answer as JSON, with the version of all these answers."""
    return json.dumps({"version": VERSION, **body}).encode() + b"\n"


def socket_path(place: Path | socket.socket) -> Path | None:
    """Where it is; None for a socket that is not a file."""
    address = place.getsockname() if isinstance(place, socket.socket) else str(place)
    return Path(address) if isinstance(address, str) and address else None


def _bound(path: Path, mode: int) -> socket.socket:
    """A socket with a file of that mode, in the place of one that a killed process has left. Raises OSError."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o777 & ~mode)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    return sock


async def _read(reader: asyncio.StreamReader, limit: int) -> tuple[RequestHead, bytes]:
    """One request with its body. Raises Malformed, Problem."""
    heads = HeadBuffer()
    while (whole := heads.feed(data := await reader.read(limit))) is None:
        if not data:
            raise Problem(400, "the request is cut short")
    raw, body = whole
    head = parse_request(raw)
    framing = request_framing(head)
    if framing.source is Kind.CHUNKED:
        raise Problem(411, "say Content-Length")
    if framing.length > limit:
        raise Problem(413, f"at most {limit} bytes")
    while len(body) < framing.length:
        more = await reader.read(limit)
        if not more:
            raise Problem(400, "the request is cut short")
        body += more
    return head, body[: framing.length]


def _uid(writer: asyncio.StreamWriter) -> int:
    sock: socket.socket = writer.get_extra_info("socket")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(credentials)[1])
