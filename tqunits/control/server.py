"""An HTTP server for questions about this process: one request per connection, bounded in size and
in time.

It listens on a Unix socket, or on a TCP socket of loopback, where nobody can tell who asks.

No client here may hold up the data path or make the process grow. The caller of this module decides
the answers: proxy/commands.py at the control socket, proxy/leaving.py at the leave socket.

Under systemd the control socket is a unit (tq-proxy-control@.socket), and the owner and mode of its
file (the user `tqunits`, 0600) decide who may connect. A process that makes the socket itself
allows root and its own user, by the mode of the file and by the peer credentials that the kernel
reports (SO_PEERCRED).
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tqunits.control import protocol
from tqunits.control.protocol import JSON, Body, Problem
from tqunits.errors import UsageError
from tqunits.http.answers import REASONS
from tqunits.http.framing import Kind, request_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, RequestHead, parse_request

INHERITED: Final = "control"
"""The name by which systemd passes the control socket (FileDescriptorName=)."""

MAX_CLIENTS: Final = 64
"""Connections at once to a control socket: enough for an operator, a collector of metrics and a
manager."""

BACKLOG: Final = 4096
"""Connections that wait to be accepted, where users are told apart only then: one who connects in a
loop is not to fill it for root."""

PATIENCE: Final = 10.0
"""Seconds until the request must be complete; a legitimate client sends it at once."""

UNKNOWN: Final = -1
"""The uid of a client whom the kernel does not name: at a TCP socket."""

_OWNER_ONLY: Final = 0o600

_UCRED: Final = struct.Struct("3i")

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""Linger, for no time."""

_FILE_STAYS: Final = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""Since Python 3.13 event loops remove the socket's file when the server closes. We must not remove
systemd's."""

Answerer = Callable[[RequestHead, bytes, int], Awaitable[tuple[str, bytes]]]
"""Takes a request's head, its body and the uid of the client, or UNKNOWN. Returns a media type and
a body, or raises Problem."""

Command = Callable[[Body], Awaitable[tuple[str, bytes]]]
"""Takes the body of a request. Returns the media type and the body of the answer, or raises
Problem."""


class LocalServer:
    """The server of one socket."""

    def __init__(
        self,
        place: Path | socket.socket,
        answer: Answerer,
        *,
        mode: int,
        max_clients: int,
        patience: float,
        max_body: int,
        max_of_a_user: int = 0,
        ends_with_client: bool = False,
    ) -> None:
        """`place`: the path of a new socket, or a socket that listens already. `mode`: of the new
        file.

        `max_clients`: connections at once. `patience`: seconds for the request, and again for
        reading the answer. `max_of_a_user`: connections at once of a user who is neither root nor
        our own; each user then has a count of his own. 0: one count for all. `ends_with_client`: an
        answer that is not ready is given up when its client closes the connection.
        """
        self._place = place
        self._answerer = answer
        self._mode = mode
        self._max_clients = max_clients
        self._patience = patience
        self._max_body = max_body
        self._max_of_a_user = max_of_a_user
        self._ends_with_client = ends_with_client
        self._server: asyncio.Server | None = None
        self._clients: Counter[int] = Counter()  # by uid, or all as one

    async def start(self) -> None:
        """Listen. Raises OSError."""
        sock = _bound(self._place, self._mode) if isinstance(self._place, Path) else self._place
        backlog = BACKLOG if self._max_of_a_user else self._max_clients
        if sock.family == socket.AF_UNIX:
            self._server = await asyncio.start_unix_server(
                self._serve, None, sock=sock, limit=self._max_body, backlog=backlog, **_FILE_STAYS
            )
        else:
            self._server = await asyncio.start_server(self._serve, sock=sock, limit=self._max_body, backlog=backlog)

    def close(self) -> None:
        """Stop listening. Answers in progress end with the process. Connections to systemd's socket
        wait for the next process."""
        if self._server is None:
            return
        self._server.close()
        if isinstance(self._place, Path):
            self._place.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _uid(writer)
        whose = uid if self._max_of_a_user else 0
        self._clients[whose] += 1
        try:
            status, kind, body = await self._answer(reader, uid, whose)
            writer.transport.set_write_buffer_limits(0)  # drain() waits until the kernel has all of it
            lines = f"HTTP/1.1 {status} {REASONS.get(status, b'').decode()}\r\nContent-Type: {kind}\r\n"
            writer.write(f"{lines}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            await asyncio.wait_for(writer.drain(), self._patience)
        except OSError:  # TimeoutError too: the client is gone, or reads too slowly to be waited for
            if writer.transport.get_write_buffer_size():
                _drop(writer)
        finally:
            self._clients[whose] -= 1
            if not self._clients[whose]:
                del self._clients[whose]
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, uid: int, whose: int) -> tuple[int, str, bytes]:
        try:
            most = self._max_clients if whose in {0, os.geteuid()} else self._max_of_a_user
            if self._clients[whose] > most:
                raise Problem(503, f"{most} requests at once are the most")
            read = _read(reader, self._max_body)  # from every client: unread bytes would reset the answer
            head, data = await asyncio.wait_for(read, self._patience)
            answer = self._answerer(head, data, uid)
            return 200, *await (_while_there(reader, answer) if self._ends_with_client else answer)
        except Problem as problem:
            return problem.status, JSON, protocol.refused(str(problem))
        except Malformed as error:
            return error.status, JSON, protocol.refused(error.detail)


class ControlServer:
    """The server of a control socket: which clients may ask, and which command answers which
    path."""

    def __init__(self, place: Path | socket.socket, commands: Mapping[str, tuple[str, Command]], offer: str) -> None:
        """`place`: the path of a new socket, or a socket that listens already. `commands`: path ->
        method and command.

        `offer`: the text of the answer to an unknown path.
        """
        self._inherited = not isinstance(place, Path)
        self._commands = commands
        self._offer = offer
        self.server = LocalServer(
            place,
            self._answer,
            mode=_OWNER_ONLY,
            max_clients=MAX_CLIENTS,
            patience=PATIENCE,
            max_body=protocol.MAX_REQUEST,
        )

    async def _answer(self, head: RequestHead, data: bytes, uid: int) -> tuple[str, bytes]:
        if not self._may_ask(uid):
            raise Problem(403, "only root and the router's own user may ask")
        known = self._commands.get(head.target.decode("latin-1"))
        if known is None:
            raise Problem(404, self._offer)
        method, command = known
        if head.method != method.encode():
            raise Problem(405, f"use {method}")
        return await command(protocol.asked(data) if method == "POST" else {})

    def _may_ask(self, uid: int) -> bool:
        """A client of systemd's socket may ask: the mode of the file, or a drop-in, has allowed the
        connection.

        The uid would tell nothing there: PrivateUsers= maps only root and the router, so every
        other user, the user `tqunits` too, has the uid of nobody (user_namespaces(7)).
        """
        return self._inherited or uid in (0, os.geteuid())


def inherited_control(sockets: Iterable[tuple[str, socket.socket]]) -> socket.socket | None:
    """The control socket among the sockets that systemd has passed, each with its name.

    Raises UsageError for a socket without a file, whose mode would keep strangers out, and when
    there are two.
    """
    found = [sock for name, sock in sockets if name == INHERITED]
    if len(found) > 1:
        hint = "leave one ListenStream= in its socket unit"
        raise UsageError("more than one control socket is inherited", hint=hint)
    if found and socket_path(found[0]) is None:
        hint = "let ListenStream= in its socket unit be a path"
        raise UsageError("the inherited control socket is not a file: everybody could use it", hint=hint)
    return found[0] if found else None


def socket_path(place: Path | socket.socket) -> Path | None:
    """The path of the socket; None for a socket that is not a file."""
    address = place.getsockname() if isinstance(place, socket.socket) else str(place)
    return Path(address) if isinstance(address, str) and address else None


def _bound(path: Path, mode: int) -> socket.socket:
    """A listening socket with a file of that mode. A file that a killed process has left is
    replaced. Raises OSError."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o777 & ~mode)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    return sock


async def _while_there(reader: asyncio.StreamReader, answer: Awaitable[tuple[str, bytes]]) -> tuple[str, bytes]:
    """The answer, unless the client goes before. Raises ConnectionAbortedError then, once the
    answer's own resources are free."""
    answering, gone = asyncio.ensure_future(answer), asyncio.ensure_future(_gone(reader))
    try:
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ConnectionAbortedError
        return answering.result()
    finally:
        for task in (answering, gone):
            task.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)


async def _gone(reader: asyncio.StreamReader) -> None:
    """Return when the client has closed the connection. What it sends beside its request is not
    read, so its end is not seen any more: then the answer's own time bounds it."""
    with suppress(OSError):
        if await reader.read(1):
            await asyncio.get_running_loop().create_future()


async def _read(reader: asyncio.StreamReader, limit: int) -> tuple[RequestHead, bytes]:
    """Read one request with its body. Raises Malformed, Problem."""
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


def _drop(writer: asyncio.StreamWriter) -> None:
    """End a connection at once. close() would keep the rest of an answer until the client reads it,
    here and in the kernel; without the time to linger the kernel forgets it too (socket(7))."""
    sock: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


def _uid(writer: asyncio.StreamWriter) -> int:
    sock: socket.socket = writer.get_extra_info("socket")
    if sock.family != socket.AF_UNIX:
        return UNKNOWN
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(credentials)[1])
