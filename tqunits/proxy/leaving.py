"""The leave socket of a router process: every local user may ask whether a worker that is about to
stop is drained.

    GET /serving/api?wait_us=5000000        {"version": 1, "serving": false, "in_flight": 0}

A worker's ExecStop= asks (alone/leave.py), as the worker's own user. The process looks at the
worker's file `serving` itself, so a question decides nothing. If the file is gone, the answer comes
when no request is in flight there, or when the time is over. `in_flight` is 0 or 1: the number of
requests is not told.

Everybody may ask, so everything is bounded: the number of connections and their time
(control/server.py), and the number and the time of questions that wait for one worker. A client
that is turned down asks again.
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
from tqunits.model import Instance
from tqunits.proxy.serving import ServingFiles

MAX_CLIENTS: Final = 512
"""Connections at once: each worker that stops holds one while it drains."""

PATIENCE: Final = 2.0
"""Seconds until a question must be there; leave.py sends it at once."""

MAX_WAITING: Final = 16
"""Questions that wait for one worker at once; its ExecStop= asks one."""

_FOR_ALL: Final = 0o666


class Leaving:
    """The socket, and its one question."""

    def __init__(self, files: ServingFiles, place: Path) -> None:
        self._files = files
        self._waiting: dict[Instance, int] = {}
        self.server = LocalServer(
            place,
            self._answer,
            mode=_FOR_ALL,
            max_clients=MAX_CLIENTS,
            patience=PATIENCE,
            max_body=protocol.MAX_QUESTION,
        )

    async def _answer(self, head: RequestHead, _: bytes, __: int) -> tuple[str, bytes]:
        instance, wait_us = protocol.leave_question(head.method, head.target)
        return protocol.JSON, protocol.encoded((await self._drained(instance, wait_us)).body())

    async def _drained(self, instance: Instance, wait_us: int) -> Drained:
        """An instance that is in no route has no request in flight."""
        if self._files.look_at(instance):
            return Drained(serving=True)
        endpoint = self._files.endpoint(instance)
        if endpoint is None:
            return Drained(serving=False)
        if wait_us and endpoint.in_flight:
            with self._counted(instance), contextlib.suppress(TimeoutError):
                await asyncio.wait_for(endpoint.drained(), wait_us / 1e6)
        return Drained(serving=False, in_flight=endpoint.in_flight > 0)

    @contextlib.contextmanager
    def _counted(self, instance: Instance) -> Iterator[None]:
        waiting = self._waiting.get(instance, 0)
        if waiting >= MAX_WAITING:
            raise Problem(503, f"{MAX_WAITING} questions about {instance} wait already")
        self._waiting[instance] = waiting + 1
        try:
            yield
        finally:
            self._waiting[instance] -= 1
            if not self._waiting[instance]:
                del self._waiting[instance]
