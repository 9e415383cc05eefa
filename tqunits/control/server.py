"""HTTP on a Unix socket, for questions about this process: a request per connection, bounded in
size and in time.

Nothing here may hold up the data path, or grow with those who ask. What is answered is the affair
of whoever listens: proxy/commands.py at the control socket, proxy/leaving.py at the leave socket.

Under systemd the control socket is a unit's (tq-proxy-control@.socket): the mode of its file, 0600
and the manager's user, lets in whoever may ask. A process that makes it itself lets in its own
user, and asks the kernel who that is as well.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
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
"""Connections at once to a control socket: a manager, an operator, and what collects the
metrics."""

PATIENCE: Final = 10.0
"""Seconds until a request must be there; whoever may ask sends it at once."""

_OWNER_ONLY: Final = 0o600

_UCRED: Final = struct.Struct("3i")

_FILE_STAYS: Final = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""Since Python 3.13 event loops remove the file when the server closes. systemd's is not ours to
remove."""

Answerer = Callable[[RequestHead, bytes, int], Awaitable[tuple[str, bytes]]]
"""From a request's head, its body and the asker's uid to a media type and a body; raises
Problem."""

Command = Callable[[Body], Awaitable[tuple[str, bytes]]]
"""From the body of a request to the media type and the body of its answer; raises Problem."""


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

        `max_clients`: connections at once; `patience`: seconds until a request must be there, and
        its answer read.
        """
        self._place = place
        self._answerer = answer
        self._mode = mode
        self._max_clients = max_clients
        self._patience = patience
        self._max_body = max_body
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self) -> None:
        """Listen. Raises OSError."""
        sock = _bound(self._place, self._mode) if isinstance(self._place, Path) else self._place
        self._server = await asyncio.start_unix_server(
            self._serve, None, sock=sock, limit=self._max_body, backlog=self._max_clients, **_FILE_STAYS
        )

    def close(self) -> None:
        """Listen no more; what is being answered ends with the process. What systemd holds waits
        for the next one."""
        if self._server is None:
            return
        self._server.close()
        if isinstance(self._place, Path):
            self._place.unlink(missing_ok=True)

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
            return problem.status, JSON, protocol.refused(str(problem))
        except Malformed as error:
            return error.status, JSON, protocol.refused(error.detail)


class ControlServer:
    """A control socket: who may ask there, and which command answers what."""

    def __init__(self, place: Path | socket.socket, commands: Mapping[str, tuple[str, Command]], offer: str) -> None:
        """`place`: where to listen, or what to accept from; `commands`: path -> method and what
        answers.

        `offer`: what there is, in words, for who asks for something else.
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
        """Who got through to systemd's socket may: the file's mode has let them in, and a drop-in
        may widen it.

        To ask again would tell nothing: PrivateUsers= maps root and the router alone, so here
        everybody else, the manager like a stranger, has the uid of nobody (user_namespaces(7)).
        """
        return self._inherited or uid in (0, os.geteuid())


def inherited_control(sockets: Iterable[tuple[str, socket.socket]]) -> socket.socket | None:
    """The control socket among those that systemd has passed, each with its name.

    Raises UsageError for one that has no file, whose mode would keep strangers out, and where there
    are two.
    """
    found = [sock for name, sock in sockets if name == INHERITED]
    if len(found) > 1:
        hint = "leave one ListenStream= in tq-proxy-control@.socket"
        raise UsageError("more than one control socket is inherited", hint=hint)
    if found and socket_path(found[0]) is None:
        hint = "let ListenStream= in tq-proxy-control@.socket be a path"
        raise UsageError("the inherited control socket is not a file: everybody could use it", hint=hint)
    return found[0] if found else None


def socket_path(place: Path | socket.socket) -> Path | None:
    """Where it is; None for a socket that is not a file."""
    address = place.getsockname() if isinstance(place, socket.socket) else str(place)
    return Path(address) if isinstance(address, str) and address else None


def _bound(path: Path, mode: int) -> socket.socket:
    """A socket with a file of that mode, in the place of one that a killed process has left. Raises
    OSError."""
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
