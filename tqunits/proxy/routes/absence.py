"""Workers and instances that get no traffic: an administrator has stopped them or ordered it, the
manager has found that their health checks fail, or they do not start.

A worker that restarts or has crashed is back soon, so its requests wait. A worker that root has
stopped with `tqunits stop` is in the traffic file (routing/traffic.py), one that its operator has
stopped in the manager's (routing/unready.py). A worker without its file `serving`
for longer than a start may take is down, whatever the reason. Requests for stopped or down workers
get 503 at once, until the workers serve again.

An order (pause, drain, maintenance) is in the traffic file too. It takes effect when it appears and
ends when it disappears, so that requests at the control socket in between hold as well.

Which instances fail their health checks stands in the manager's file too. It never names all
instances of a worker that could take a request.

A worker's surge (model.Worker.surge) counts while it serves. Without it the worker is as ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Final

from tqunits.http.answers import notice
from tqunits.model import Instance, instances_of
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.routes.swapped_file import SwappedFile
from tqunits.proxy.upstream.worker import DRAINED, Worker
from tqunits.routing.traffic import EVERYBODY, MAX_TRAFFIC, Order, parse_traffic
from tqunits.routing.unready import MAX_UNREADY, NOBODY, parse_unready

STOPPED: Final = "The worker is stopped."
DOWN: Final = "The worker is down."
_REASONS: Final = (DOWN, STOPPED, DRAINED)
"""Which reason is told if several instances differ: first the one that nobody has ordered."""


class Absence:
    """How long each instance has not been serving, and which instances are stopped."""

    def __init__(
        self,
        traffic: Path | None,
        unready: Path | None,
        complaints: Complaints,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`traffic`, `unready`: the files with the orders and of the manager; None: there is
        none."""
        self._orders = SwappedFile(traffic, MAX_TRAFFIC, complaints) if traffic is not None else None
        self._checks = SwappedFile(unready, MAX_UNREADY, complaints) if unready is not None else None
        self._complaints = complaints
        self._now = now
        self._since: dict[Instance, float] = {}
        self._started: dict[Instance, int] = {}  # when each last began to serve, in µs since 1970
        self._traffic = EVERYBODY
        self._unready = NOBODY
        self._obeyed: dict[str, Order] = {}

    @property
    def places(self) -> tuple[Path, ...]:
        """The files that are read."""
        return tuple(file.place for file in (self._orders, self._checks) if file is not None)

    def see(self, worker: Worker, instance: Instance, *, since_us: int | None) -> None:
        """Note what a look at an instance has found: since when it serves (µs since 1970), None: it
        does not. If no instance of the worker can be waited for, its requests do not wait."""
        if since_us is not None:
            self._since.pop(instance, None)
            self._started[instance] = since_us
        else:
            self._since.setdefault(instance, self._now())
        reasons = {self._reason(worker, one) for one in self._counted(worker)}
        reason = None if None in reasons else next(one for one in _REASONS if one in reasons)
        if reason != worker.away:
            if reason is not None:
                self._complaints.say(f"worker {worker.name}: 503 for its requests: {reason}", priority=5)
            worker.go_away(reason)

    def obey(self, worker: Worker) -> None:
        """Carry out the order about this worker, if it has changed."""
        order, before = self._traffic.orders.get(worker.name), self._obeyed.get(worker.name)
        if order == before:
            return
        if order is None:
            del self._obeyed[worker.name]
            worker.order = ""
            worker.resume()
        else:
            self._obeyed[worker.name] = order
            worker.obey(order.order, notice(order.text))
        self._complaints.say(f"worker {worker.name}: {worker.order or 'traffic as ever'}", priority=5)

    def is_drained(self, instance: Instance) -> bool:
        """Whether an order about this instance drains it."""
        return str(instance) in self._traffic.drained

    def keep_only(self, workers: Container[str], here: Container[Instance]) -> None:
        """Forget workers and instances that are in no route any more."""
        for instance in {*self._since, *self._started}:
            if instance not in here:
                self._since.pop(instance, None)
                self._started.pop(instance, None)
        for name in [name for name in self._obeyed if name not in workers]:
            del self._obeyed[name]

    def is_out(self, instance: Instance) -> bool:
        """Whether this instance gets no traffic although it serves."""
        unready_since = self._unready.failing.get(str(instance), 0)
        return self.is_drained(instance) or unready_since > self._started.get(instance, 0)

    def read(self) -> bool:
        """Read the files that have changed; returns whether there were any."""
        orders = self._orders if self._orders is not None and self._orders.has_changed() else None
        checks = self._checks if self._checks is not None and self._checks.has_changed() else None
        if orders is not None:
            self._traffic = orders.read(parse_traffic, EVERYBODY)
        if checks is not None:
            self._unready = checks.read(parse_unready, NOBODY)
        return orders is not None or checks is not None

    def _counted(self, worker: Worker) -> Iterator[Instance]:
        """Its replicas, and its surge while that serves."""
        for one in instances_of(worker.name, len(worker.endpoints)):
            if not worker.is_surge(one.number) or (one in self._started and one not in self._since):
                yield one

    def _reason(self, worker: Worker, instance: Instance) -> str | None:
        """Why no request waits for that instance; None: it serves, or is expected to."""
        if self.is_drained(instance):
            return DRAINED
        since = self._since.get(instance)
        if since is None:
            return None
        name, started = str(instance), self._started.get(instance, 0)
        if max(self._traffic.stopped.get(name, 0), self._unready.stopped.get(name, 0)) > started:
            return STOPPED
        return DOWN if 0 < worker.start_s < self._now() - since else None
