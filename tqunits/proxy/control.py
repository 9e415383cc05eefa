"""The control socket of a router process: HTTP on a Unix socket, for root and one user.

    curl --unix-socket /run/tqunits/proxy/1/control.sock http://router/status

GET /status, GET /metrics; POST /drain, /undrain {"worker" or "endpoint"}, /pause, /resume, /maintenance {"worker"}.
Answers are JSON with a version, but for the metrics. One request per connection, bounded in size and in time: nothing
here may hold up the data path.

Under systemd the socket is a unit's (tq-proxy-control@.socket): the mode of its file, 0600 and the manager's user, lets
in whoever may ask. A router that makes it itself lets in its own user, and asks the kernel who that is as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError, UsageError
from tqunits.http.answers import MAX_MESSAGE, REASONS, notice
from tqunits.http.framing import Kind, request_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, RequestHead, parse_request
from tqunits.metrics.openmetrics import CONTENT_TYPE
from tqunits.proxy.asleep import Asleep
from tqunits.proxy.pool import Endpoint
from tqunits.proxy.router import Router
from tqunits.proxy.worker import Worker
from tqunits.routing.endpoint import parse_address

VERSION: Final = 1
MAX_BODY: Final = 64 * 1024
PATIENCE: Final = 10.0
"""Seconds until a request must be there; whoever may ask sends it at once."""

MAX_CLIENTS: Final = 512
"""Connections at once: the stop of every worker waits on one while the worker drains."""

INHERITED: Final = "control"
"""The name by which systemd passes it (FileDescriptorName=)."""

_UCRED: Final = struct.Struct("3i")

_FILE_STAYS: Final = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""Since Python 3.13 event loops remove the file when the server closes. systemd's is not ours to remove."""

Body = Mapping[str, object]
Command = Callable[["Control", Body], Awaitable[Body]]


class Problem(Exception):
    """A request that is not served: status and what is wrong."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Control:
    """The socket, and what may be asked."""

    def __init__(self, router: Router, place: Path | socket.socket, metrics: Callable[[], bytes]) -> None:
        """`place`: where to listen, or what to accept from."""
        self._router = router
        self._path = place if isinstance(place, Path) else None
        self._inherited = None if isinstance(place, Path) else place
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self) -> None:
        """Listen. Raises OSError."""
        sock = _bound(self._path) if self._path else self._inherited
        self._server = await asyncio.start_unix_server(
            self._serve, None, sock=sock, limit=MAX_BODY, backlog=MAX_CLIENTS, **_FILE_STAYS
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
            await asyncio.wait_for(writer.drain(), PATIENCE)
        except (OSError, TimeoutError):
            pass  # whoever asked is gone
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, uid: int) -> tuple[int, str, bytes]:
        try:
            if self._clients > MAX_CLIENTS:
                raise Problem(503, f"{MAX_CLIENTS} requests at once are the most")
            head, data = await asyncio.wait_for(_read(reader), PATIENCE)  # what is not read resets the answer
            if not self._may_ask(uid):
                raise Problem(403, "only root and the router's own user may ask")
            if (head.method, head.target) == (b"GET", b"/metrics"):
                return 200, CONTENT_TYPE, self._metrics()
            return 200, "application/json", _json(await self._perform(head, data))
        except Problem as problem:
            return problem.status, "application/json", _json({"error": str(problem)})
        except Malformed as error:
            return error.status, "application/json", _json({"error": error.detail})

    def _may_ask(self, uid: int) -> bool:
        """Who got through to systemd's socket may: the file's mode has let them in, and a drop-in may widen it.

        To ask again would tell nothing: PrivateUsers= maps root and the router alone, so here everybody else, the
        manager like a stranger, has the uid of nobody (user_namespaces(7)).
        """
        return self._inherited is not None or uid in (0, os.geteuid())

    async def _perform(self, head: RequestHead, data: bytes) -> Body:
        known = _COMMANDS.get(head.target)
        if known is None:
            raise Problem(
                404, "there are GET /status and /metrics, POST /drain, /undrain, /pause, /resume, /maintenance"
            )
        method, command = known
        if head.method != method:
            raise Problem(405, f"use {method.decode()}")
        return await command(self, _object(data) if method == b"POST" else {})

    async def _status(self, _: Body) -> Body:
        router = self._router
        return {
            "pid": os.getpid(),
            "connections": len(router.clients),
            "asleep": sum(isinstance(client, Asleep) for client in router.clients),
            "requests": router.requests,
            "draining": router.draining,
            "workers": [_worker_status(worker) for worker in router.workers.values()],
        }

    async def _drain(self, body: Body) -> Body:
        """Send no new request there; with `wait_us`, answer when the last one has ended, or when that time is over."""
        endpoints = self._endpoints(body)
        wait = body.get("wait_us", 0)
        if not isinstance(wait, int) or isinstance(wait, bool) or wait < 0:
            raise Problem(400, "wait_us is a number of microseconds")
        for endpoint in endpoints:
            endpoint.drain()
        if wait:
            drained = asyncio.gather(*(endpoint.drained() for endpoint in endpoints))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(drained, wait / 1e6)
        return {"in_flight": sum(endpoint.in_flight for endpoint in endpoints)}

    async def _undrain(self, body: Body) -> Body:
        endpoints = self._endpoints(body)
        for endpoint in endpoints:
            endpoint.undrain()
        return {"in_flight": sum(endpoint.in_flight for endpoint in endpoints)}

    async def _pause(self, body: Body) -> Body:
        worker = self._worker(body)
        worker.pause()
        return _worker_status(worker)

    async def _resume(self, body: Body) -> Body:
        worker = self._worker(body)
        worker.resume()
        return _worker_status(worker)

    async def _maintenance(self, body: Body) -> Body:
        worker = self._worker(body)
        text = body.get("text", "")
        if not isinstance(text, str) or len(text) > MAX_MESSAGE:
            raise Problem(400, f"text is a string of at most {MAX_MESSAGE} characters")
        worker.turn_away(notice(text))
        return _worker_status(worker)

    def _endpoints(self, body: Body) -> tuple[Endpoint, ...]:
        """All of a worker's, or the one that is named."""
        text = body.get("endpoint")
        if text is None and "worker" in body:
            return self._worker(body).endpoints
        if not isinstance(text, str):
            raise Problem(400, 'say {"worker": "api"} or {"endpoint": "127.0.0.1:9000"}')
        try:
            endpoint = self._router.endpoint(parse_address(text))
        except TqunitsError as error:
            raise Problem(400, error.message) from None
        if endpoint is None:
            raise Problem(404, f"no worker listens on {text}, as far as the routes say")
        return (endpoint,)

    def _worker(self, body: Body) -> Worker:
        name = body.get("worker")
        worker = self._router.workers.get(name) if isinstance(name, str) else None
        if worker is None:
            raise Problem(404, f"no worker is called {name!r} in the routes")
        return worker


_COMMANDS: Final[Mapping[bytes, tuple[bytes, Command]]] = {
    b"/status": (b"GET", Control._status),
    b"/drain": (b"POST", Control._drain),
    b"/undrain": (b"POST", Control._undrain),
    b"/pause": (b"POST", Control._pause),
    b"/resume": (b"POST", Control._resume),
    b"/maintenance": (b"POST", Control._maintenance),
}


def inherited_control(sockets: Iterable[tuple[str, socket.socket]]) -> socket.socket | None:
    """The control socket among those that systemd has passed, each with its name.

    Raises UsageError for one that has no file, whose mode would keep strangers out, and where there are two.
    """
    found = [sock for name, sock in sockets if name == INHERITED]
    if len(found) > 1:
        hint = "leave one ListenStream= in tq-proxy-control@.socket"
        raise UsageError("more than one control socket is inherited", hint=hint)
    if found and control_path(found[0]) is None:
        hint = "let ListenStream= in tq-proxy-control@.socket be a path"
        raise UsageError("the inherited control socket is not a file: everybody could use it", hint=hint)
    return found[0] if found else None


def control_path(place: Path | socket.socket) -> Path | None:
    """Where it is; None for a socket that is not a file."""
    address = place.getsockname() if isinstance(place, socket.socket) else str(place)
    return Path(address) if isinstance(address, str) and address else None


def _bound(path: Path) -> socket.socket:
    """A socket for this user alone, in the place of one that a killed process has left. Raises OSError."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    return sock


async def _read(reader: asyncio.StreamReader) -> tuple[RequestHead, bytes]:
    """One request with its body. Raises Malformed, Problem."""
    heads = HeadBuffer()
    while (whole := heads.feed(data := await reader.read(MAX_BODY))) is None:
        if not data:
            raise Problem(400, "the request is cut short")
    raw, body = whole
    head = parse_request(raw)
    framing = request_framing(head)
    if framing.source is Kind.CHUNKED:
        raise Problem(411, "say Content-Length")
    if framing.length > MAX_BODY:
        raise Problem(413, f"at most {MAX_BODY} bytes")
    while len(body) < framing.length:
        more = await reader.read(MAX_BODY)
        if not more:
            raise Problem(400, "the request is cut short")
        body += more
    return head, body[: framing.length]


def _object(data: bytes) -> Body:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(400, "the body is a JSON object")
    return found


def _json(body: Body) -> bytes:
    return json.dumps({"version": VERSION, **body}).encode() + b"\n"


def _worker_status(worker: Worker) -> Body:
    return {
        "name": worker.name,
        "in_flight": worker.in_flight,
        "waiting": len(worker.queue),
        "paused": worker.paused,
        "maintenance": worker.notice is not None,
        "endpoints": [_endpoint_status(endpoint) for endpoint in worker.endpoints],
    }


def _endpoint_status(endpoint: Endpoint) -> Body:
    return {
        "address": str(endpoint.address),
        "in_flight": endpoint.in_flight,
        "idle": len(endpoint.idle),
        "draining": endpoint.draining,
        "failures": endpoint.failures,
    }


def _uid(writer: asyncio.StreamWriter) -> int:
    sock: socket.socket = writer.get_extra_info("socket")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(credentials)[1])
