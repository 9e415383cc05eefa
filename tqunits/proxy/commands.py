"""The answers of a router process at its control socket (control/protocol.py has the paths, the
keys and the sizes).

These commands do not take a worker out of the traffic for its restart: the file `serving` does that
(serving.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

from tqunits import __version__
from tqunits.control import protocol
from tqunits.control.protocol import Body, EndpointStatus, Problem, Status, WorkerStatus
from tqunits.control.server import Command
from tqunits.http.answers import MAX_MESSAGE, notice
from tqunits.metrics.openmetrics import CONTENT_TYPE
from tqunits.model import Instance, instances_of
from tqunits.proxy.routes.router import Router
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.proxy.upstream.worker import Worker

_GET: Final = "GET"
_POST: Final = "POST"


class Commands:
    """The commands of the control socket."""

    def __init__(self, router: Router, metrics: Callable[[], bytes], is_drained: Callable[[Instance], bool]) -> None:
        """`is_drained`: whether an order drains this instance."""
        self._router = router
        self._is_drained = is_drained
        self._metrics_text = metrics

    def by_path(self) -> Mapping[str, tuple[str, Command]]:
        """Path -> method and command."""
        return {
            protocol.STATUS: (_GET, self._status),
            protocol.METRICS: (_GET, self._metrics),
            protocol.PAUSE: (_POST, self._pause),
            protocol.RESUME: (_POST, self._resume),
            protocol.MAINTENANCE: (_POST, self._maintenance),
        }

    async def _status(self, _: Body) -> tuple[str, bytes]:
        router = self._router
        status = Status(
            pid=os.getpid(),
            release=__version__,
            connections=len(router.clients.here),
            asleep=sum(client.is_asleep() for client in router.clients.here),
            requests=router.requests,
            draining=router.draining,
            orders={worker.name: worker.order for worker in router.workers.values() if worker.order},
            workers=tuple(self._worker_status(worker) for worker in router.workers.values()),
        )
        return protocol.JSON, protocol.encoded(status.body())

    async def _metrics(self, _: Body) -> tuple[str, bytes]:
        return CONTENT_TYPE, self._metrics_text()

    async def _pause(self, body: Body) -> tuple[str, bytes]:
        worker = self._worker(body)
        worker.pause()
        return self._told(worker)

    async def _resume(self, body: Body) -> tuple[str, bytes]:
        worker = self._worker(body)
        worker.resume()
        return self._told(worker)

    async def _maintenance(self, body: Body) -> tuple[str, bytes]:
        worker = self._worker(body)
        text = body.get("text", "")
        if not isinstance(text, str) or len(text) > MAX_MESSAGE:
            raise Problem(400, f"text is a string of at most {MAX_MESSAGE} characters")
        worker.turn_away(notice(text))
        return self._told(worker)

    def _worker(self, body: Body) -> Worker:
        name = body.get("worker")
        worker = self._router.workers.get(name) if isinstance(name, str) else None
        if worker is None:
            raise Problem(404, f"no worker is called {name!r} in the routes")
        return worker

    def _told(self, worker: Worker) -> tuple[str, bytes]:
        return protocol.JSON, protocol.encoded(self._worker_status(worker).body())

    def _worker_status(self, worker: Worker) -> WorkerStatus:
        each = zip(instances_of(worker.name, len(worker.endpoints)), worker.endpoints, strict=True)
        return WorkerStatus(
            name=worker.name,
            in_flight=worker.in_flight,
            waiting=len(worker.queue),
            paused=worker.paused,
            maintenance=worker.notice is not None,
            endpoints=tuple(_endpoint_status(endpoint, drained=self._is_drained(one)) for one, endpoint in each),
        )


def _endpoint_status(endpoint: Endpoint, *, drained: bool) -> EndpointStatus:
    return EndpointStatus(
        address=str(endpoint.address),
        in_flight=endpoint.in_flight,
        answers=endpoint.answers,
        idle=len(endpoint.idle),
        draining=endpoint.draining,
        failures=endpoint.failures,
        drained=drained,
    )
