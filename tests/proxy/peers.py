"""Peers for the router that follow the protocol: the real router process, and workers and clients
that send raw bytes on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import socket
import ssl
import struct
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 30.0
"""Seconds after which a test that waits for an event fails."""

Behaviour = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One connection, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._seen: list[bytes] = []

    @property
    def seen(self) -> bytes:
        """Everything received so far."""
        return b"".join(self._seen)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), PATIENCE)

    async def send_apart(self, pieces: Sequence[bytes]) -> None:
        """Send each piece alone: the next one is sent when the other end has read the one before,
        and this returns when it has read the last one."""
        for piece in pieces:
            await self.send(piece)
            await self.taken()

    async def taken(self) -> None:
        """Wait until the process at the other end has read all that was sent; over TCP also the
        end."""
        async with asyncio.timeout(PATIENCE):
            while not self._is_taken():
                await asyncio.sleep(0)

    def _is_taken(self) -> bool:
        sock: socket.socket = self.writer.get_extra_info("socket")
        if self.writer.transport.get_write_buffer_size():
            return False
        if sock.family == socket.AF_UNIX:  # bytes that wait belong to the sender until they are read
            return fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0") == b"\0\0\0\0"
        return not _unread(*map(self.writer.get_extra_info, ("sockname", "peername")))

    async def until(self, end: bytes) -> bytes:
        data = await asyncio.wait_for(self.reader.readuntil(end), PATIENCE)
        self._seen.append(data)
        return data

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def exactly(self, size: int) -> bytes:
        data = await asyncio.wait_for(self.reader.readexactly(size), PATIENCE)
        self._seen.append(data)
        return data

    async def rest(self) -> bytes:
        """Everything until the end; a reset is an error."""
        data = await asyncio.wait_for(self.reader.read(), PATIENCE)
        self._seen.append(data)
        return data

    async def response(self) -> tuple[bytes, bytes]:
        """(head, body) of a response with a Content-Length."""
        head = await self.head()
        return head, await self.exactly(length_of(head))

    def half_close(self) -> None:
        self.writer.write_eof()

    def reset(self) -> None:
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


def _unread(here: tuple[str, int], there: tuple[str, int]) -> int:
    """The number of bytes sent from `here` that are unread at `there` (the end counts as one byte).
    Both are on this machine's IPv4 (sock_diag(7))."""
    ends = struct.pack("!HH4s12x4s12x", there[1], here[1], socket.inet_aton(there[0]), socket.inet_aton(here[0]))
    one_tcp_socket = struct.pack("=IHHIIBBHI", 72, 20, 1, 0, 0, socket.AF_INET, socket.IPPROTO_TCP, 0, 2**32 - 1)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as diag:
        diag.send(one_tcp_socket + ends + struct.pack("=Iq", 0, -1))
        said = diag.recv(4096)
    kind, error = struct.unpack_from("=4xH10xi", said)
    assert kind == 20 or error == -errno.ENOENT, os.strerror(-error)
    return struct.unpack_from("=I", said, 72)[0] if kind == 20 else 0  # a closed socket reads no more


class Worker:
    """A worker: each connection is given to the behaviour, and all received bytes are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections: list[Connection] = []
        self._server: asyncio.Server | None = None
        self._behaviour: Behaviour = answering(OK)

    @property
    def endpoint(self) -> str:
        return f"unix:{self.path}"

    @property
    def seen(self) -> list[bytes]:
        return [connection.seen for connection in self.connections]

    async def start(self, behaviour: Behaviour) -> Self:
        self._behaviour = behaviour
        self._server = await self._listen()
        return self

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._behaviour(connection)
        finally:  # or a behaviour that has failed: the loop reports it when the connection has ended
            with contextlib.suppress(RuntimeError):
                connection.close()

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()


class TcpWorker(Worker):
    """A worker on loopback TCP: only from there does the kernel move responses to clients
    (splice.pays)."""

    def __init__(self, *, receive: int = 0) -> None:
        """`receive`: the size of all receive buffers; 0 is the default."""
        super().__init__(Path())
        self._limit = receive or 64 * 1024
        self._socket = socket.create_server(("127.0.0.1", 0))
        if receive:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, sock=self._socket, limit=self._limit)


UPGRADE = (
    b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answering(response: bytes) -> Behaviour:
    """Answer every request with the same bytes, on the same connection."""

    async def behave(connection: Connection) -> None:
        while True:
            head = await connection.head()
            if b"chunked" in head:
                while await connection.until(b"\r\n") != b"0\r\n":
                    pass
                while await connection.until(b"\r\n") != b"\r\n":
                    pass
            else:
                await connection.exactly(length_of(head))
            await connection.send(response)

    return behave


def once(response: bytes) -> Behaviour:
    """Answer one request, then close."""

    async def behave(connection: Connection) -> None:
        head = await connection.head()
        await connection.exactly(length_of(head))
        await connection.send(response)

    return behave


def length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


LAUNCHER = (
    "import fcntl, os, sys; os.environ['LISTEN_PID'] = str(os.getpid());"
    "aside = [fcntl.fcntl(int(one), fcntl.F_DUPFD_CLOEXEC, 64) for one in sys.argv[1].split(',')];"
    "[os.dup2(one, 3 + number) for number, one in enumerate(aside)];"
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)
"""Started as systemd does: the sockets are descriptors from 3 on, LISTEN_PID is the process
itself."""


class Router:
    """The real process: `tqunits proxy ARGUMENTS`, on a port of its own; the test waits for its
    READY=1."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        listening: socket.socket | None = None,
        control: socket.socket | None = None,
        program: Sequence[str] = ("-m", "tqunits"),
        stdout: Path | None = None,
    ) -> None:
        """`listening`, `control`: sockets as systemd would hand them over; the buffers of
        connections are those of the first one."""
        self._program = program
        self._folder = folder
        self._handed = {name: sock for name, sock in (("control", control), ("http", listening)) if sock is not None}
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._stdout = stdout
        self.errors = folder / "stderr"
        self.port = 0
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._notify.bind(str(self._folder / "notify"))
        environment = {**os.environ, **self._environment, "NOTIFY_SOCKET": str(self._folder / "notify")}
        command = [*self._program, "proxy", *self._arguments]
        descriptors = [sock.fileno() for sock in self._handed.values()]
        if self._handed:
            command = ["-c", LAUNCHER, ",".join(map(str, descriptors)), *command]
            environment |= {"LISTEN_FDS": str(len(descriptors)), "LISTEN_FDNAMES": ":".join(self._handed)}
        with contextlib.ExitStack() as files:
            errors = files.enter_context(self.errors.open("wb"))
            output = files.enter_context(self._stdout.open("wb")) if self._stdout else None
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *command, env=environment, stdout=output, stderr=errors, pass_fds=descriptors
            )
        await self.told("READY=1")
        with contextlib.suppress(ValueError, IndexError):
            self.port = int(self.said().split("127.0.0.1:")[1].split(";")[0].split(",")[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self._notify.close()
        if kind is None:  # whatever the test is about, the router has logged no unexpected error
            assert "Traceback" not in self.said(), self.said()

    async def told(self, assignment: str) -> str:
        """Wait until the process sends this to systemd; gives the whole message."""
        loop = asyncio.get_running_loop()
        while True:
            message = (await asyncio.wait_for(loop.sock_recv(self._notify, 4096), PATIENCE)).decode()
            if assignment in message:
                return message

    def said(self) -> str:
        return self.errors.read_text()

    async def stop(self) -> int:
        """SIGTERM; gives the exit status."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    async def connect(
        self, *, source: str = "127.0.0.1", receive: int = 0, tls: ssl.SSLContext | None = None
    ) -> Connection:
        """`source`: the client's address; `receive`: the size of all receive buffers, 0 is the
        default."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        name = None if tls is None else "a.example"
        limit = receive or 64 * 1024
        return Connection(*await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name, limit=limit))

    async def ask(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own; gives all that comes back until the router
        closes."""
        client = await self.connect()
        await client.send(request)
        try:
            return await client.rest()
        finally:
            client.close()


@contextlib.asynccontextmanager
async def routed(
    folder: Path, behaviour: Behaviour, *options: str, prefix: str = "/"
) -> AsyncIterator[tuple[Router, Worker]]:
    """A router with one worker."""
    worker = await Worker(folder / "worker.sock").start(behaviour)
    arguments = ["--listen", "127.0.0.1:0", "--route", f"{prefix}={worker.endpoint}", *options]
    async with Router(folder, arguments) as router:
        yield router, worker
    worker.stop()


HEADS = {"max_request_line": 8192, "max_head": 32768, "max_fields": 100}
"""The default limit of a request's head."""


def snapshot(endpoint: str, *, is_hasty: bool = False, **changes: Any) -> str:
    """A file of routes with one worker, and `changes` to that worker. Its time-outs are never
    reached, or (`is_hasty`) soon."""
    short, idle, drain = (300_000, 600_000, 1_000_000) if is_hasty else (10_000_000, 10_000_000, 10_000_000)
    worker = {
        "name": "w",
        "hosts": [],
        "routes": ["/"],
        "strip_prefix": True,
        "endpoints": [endpoint],
        "timeouts": {"request_us": 0, "read_us": short, "write_us": short, "idle_us": drain},
        "max_body": 10,
        "max_inflight": 1000,
        "queue_us": short,
        "retry": "idempotent",
        "buffer_requests": False,
        "encoded_slash": False,
        "static": None,
    }
    document = {
        "version": 1,
        "timeouts": {"head_us": short, "idle_us": idle, "drain_us": drain},
        "limits": {"max_connections": 2, "max_connections_per_client": 0, **HEADS},
        "trusted_proxies": [],
        "access_log": False,
        "tls": {"redirect": False, "hsts_s": 0},
        "workers": [worker | changes],
    }
    return json.dumps(document)
