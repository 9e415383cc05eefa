"""The control socket of a router process: HTTP on a Unix socket, for root and one user.

    curl --unix-socket /run/tqunits/proxy/1/control.sock http://router/status

GET /status, GET /metrics; POST /pause, /resume, /maintenance {"worker"}. Answers are JSON with a version, but for the
metrics. Nothing here takes a worker out of the traffic for its restart: that is the file `serving` (serving.py).

Under systemd the socket is a unit's (tq-proxy-control@.socket): the mode of its file, 0600 and the manager's user, lets
in whoever may ask. A router that makes it itself lets in its own user, and asks the kernel who that is as well.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from tqunits.errors import UsageError
from tqunits.http.answers import MAX_MESSAGE, notice
from tqunits.http.head import RequestHead
from tqunits.metrics.openmetrics import CONTENT_TYPE
from tqunits.proxy.local_http import JSON, Body, LocalServer, Problem, json_body, socket_path
from tqunits.proxy.routes.router import Router
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.proxy.upstream.worker import Worker

MAX_CLIENTS: Final = 64
"""Connections at once: a manager, an operator, and what collects the metrics."""

MAX_BODY: Final = 64 * 1024
PATIENCE: Final = 10.0
"""Seconds until a request must be there; whoever may ask sends it at once."""

INHERITED: Final = "control"
"""The name by which systemd passes it (FileDescriptorName=)."""

_OWNER_ONLY: Final = 0o600

Command = Callable[["Control", Body], Awaitable[Body]]


class Control:
    """What may be asked, and the socket."""

    def __init__(self, router: Router, place: Path | socket.socket, metrics: Callable[[], bytes]) -> None:
        """`place`: where to listen, or what to accept from."""
        self._router = router
        self._inherited = not isinstance(place, Path)
        self._metrics = metrics
        self.server = LocalServer(
            place, self._answer, mode=_OWNER_ONLY, max_clients=MAX_CLIENTS, patience=PATIENCE, max_body=MAX_BODY
        )

    async def _answer(self, head: RequestHead, data: bytes, uid: int) -> tuple[str, bytes]:
        if not self._may_ask(uid):
            raise Problem(403, "only root and the router's own user may ask")
        if (head.method, head.target) == (b"GET", b"/metrics"):
            return CONTENT_TYPE, self._metrics()
        return JSON, json_body(await self._perform(head, data))

    def _may_ask(self, uid: int) -> bool:
        """Who got through to systemd's socket may: the file's mode has let them in, and a drop-in may widen it.

        To ask again would tell nothing: PrivateUsers= maps root and the router alone, so here everybody else, the
        manager like a stranger, has the uid of nobody (user_namespaces(7)).
        """
        return self._inherited or uid in (0, os.geteuid())

    async def _perform(self, head: RequestHead, data: bytes) -> Body:
        known = _COMMANDS.get(head.target)
        if known is None:
            raise Problem(404, "there are GET /status and /metrics, POST /pause, /resume, /maintenance")
        method, command = known
        if head.method != method:
            raise Problem(405, f"use {method.decode()}")
        return await command(self, _object(data) if method == b"POST" else {})

    async def _status(self, _: Body) -> Body:
        router = self._router
        return {
            "pid": os.getpid(),
            "connections": len(router.clients.here),
            "asleep": sum(client.is_asleep() for client in router.clients.here),
            "requests": router.requests,
            "draining": router.draining,
            "orders": {worker.name: worker.order for worker in router.workers.values() if worker.order},
            "workers": [_worker_status(worker) for worker in router.workers.values()],
        }

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

    def _worker(self, body: Body) -> Worker:
        name = body.get("worker")
        worker = self._router.workers.get(name) if isinstance(name, str) else None
        if worker is None:
            raise Problem(404, f"no worker is called {name!r} in the routes")
        return worker


_COMMANDS: Final[Mapping[bytes, tuple[bytes, Command]]] = {
    b"/status": (b"GET", Control._status),
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
    if found and socket_path(found[0]) is None:
        hint = "let ListenStream= in tq-proxy-control@.socket be a path"
        raise UsageError("the inherited control socket is not a file: everybody could use it", hint=hint)
    return found[0] if found else None


def _object(data: bytes) -> Body:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(400, "the body is a JSON object")
    return found


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
