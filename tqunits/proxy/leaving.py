"""The leave socket of a router process: every local user may ask whether a worker that leaves is
drained.

    GET /serving/api?wait_us=5000000        {"version": 1, "serving": false, "in_flight": 0}

A worker's ExecStop= asks (alone/leave.py), as the worker's own user. The process looks at the
worker's file `serving` itself, so a question decides nothing. Where the file is gone, the answer
comes when no request is in flight there, or when the time is over: `in_flight` is 0 or 1, for how
many there are is nobody's business.

Everybody may ask, so everything is bounded: connections and their patience (control/server.py), how
long and how many wait for one worker. Who is turned down asks again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tqunits.control import protocol
from tqunits.control.protocol import Drained, Problem
from tqunits.control.server import LocalServer
from tqunits.http.head import RequestHead
from tqunits.proxy.serving import ServingFiles

MAX_CLIENTS: Final = 512
"""Connections at once: the stop of every worker waits on one while the worker drains."""

PATIENCE: Final = 2.0
"""Seconds until a question must be there; leave.py sends it at once."""

MAX_WAITING: Final = 16
"""Questions that wait for one worker: its ExecStop= asks once."""

_FOR_ALL: Final = 0o666


class Leaving:
    """The socket, and its one question."""

    def __init__(self, files: ServingFiles, place: Path) -> None:
        self._files = files
        self._waiting: dict[str, int] = {}
        self.server = LocalServer(
            place,
            self._answer,
            mode=_FOR_ALL,
            max_clients=MAX_CLIENTS,
            patience=PATIENCE,
            max_body=protocol.MAX_QUESTION,
        )

    async def _answer(self, head: RequestHead, _: bytes, __: int) -> tuple[str, bytes]:
        name, wait_us = protocol.leave_question(head.method, head.target)
        return protocol.JSON, protocol.encoded((await self._drained(name, wait_us)).body())

    async def _drained(self, name: str, wait_us: int) -> Drained:
        """A worker that is in no route has nothing in flight that the routes know of."""
        if self._files.look_at(name):
            return Drained(serving=True)
        endpoints = self._files.endpoints(name)
        if wait_us and any(endpoint.in_flight for endpoint in endpoints):
            with self._counted(name), contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(e.drained() for e in endpoints)), wait_us / 1e6)
        return Drained(serving=False, in_flight=any(endpoint.in_flight for endpoint in endpoints))

    @contextlib.contextmanager
    def _counted(self, name: str) -> Iterator[None]:
        waiting = self._waiting.get(name, 0)
        if waiting >= MAX_WAITING:
            raise Problem(503, f"{MAX_WAITING} questions about {name} wait already")
        self._waiting[name] = waiting + 1
        try:
            yield
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
