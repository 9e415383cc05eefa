"""Workers that get no traffic: an administrator has stopped them or ordered so, or they do not come
up.

A worker that restarts or has crashed is back in a moment, so its requests wait. One that was
stopped with `tqunits stop` is in the traffic file (routing/traffic.py); one that has had no file
`serving` for longer than a start may take is down, whatever the reason. Their requests get 503 at
once, until they serve again.

An order (pause, drain, maintenance) is in the traffic file too. It is carried out when it comes and
taken back when it goes, so that what the control socket was asked in between holds as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.http.answers import notice
from tqunits.model import Instance, instances_of
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.upstream.worker import DRAINED, Worker
from tqunits.routing.traffic import EVERYBODY, MAX_TRAFFIC, Order, parse_traffic
from tqunits.system.files import read_regular

STOPPED: Final = "The worker is stopped."
DOWN: Final = "The worker is down."
_REASONS: Final = (DOWN, STOPPED, DRAINED)
"""Which is told where those of several instances differ: first what nobody has wished for."""

Version = tuple[int, int, int]


class Absence:
    """Since when each instance is not serving, and who is stopped."""

    def __init__(self, place: Path | None, complaints: Complaints, now: Callable[[], float] = time.monotonic) -> None:
        """`place`: the traffic file; None where there is none to be read."""
        self.place = place
        self._complaints = complaints
        self._now = now
        self._since: dict[Instance, float] = {}
        self._started: dict[Instance, int] = {}  # when each last began to serve, in µs since 1970
        self._traffic = EVERYBODY
        self._obeyed: dict[str, Order] = {}
        self._version: Version | None = None

    def see(self, worker: Worker, instance: Instance, *, since_us: int | None) -> None:
        """What a look has shown of one of the worker's: since when it is serving (µs since 1970),
        None: it is not. Nobody waits for the worker when there is nobody to wait for."""
        if since_us is not None:
            self._since.pop(instance, None)
            self._started[instance] = since_us
        else:
            self._since.setdefault(instance, self._now())
        reasons = {self._reason(worker, one) for one in instances_of(worker.name, len(worker.endpoints))}
        reason = None if None in reasons else next(one for one in _REASONS if one in reasons)
        if reason != worker.away:
            if reason is not None:
                self._complaints.say(f"worker {worker.name}: 503 for its requests: {reason}", priority=5)
            worker.go_away(reason)

    def obey(self, worker: Worker) -> None:
        """Carry out what is ordered of it, where that is something else than before."""
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
        """Whether it is to get no requests, by an order of its own."""
        return str(instance) in self._traffic.drained

    def keep_only(self, workers: Container[str], here: Container[Instance]) -> None:
        """Forget those that are in no route any more."""
        for instance in {*self._since, *self._started}:
            if instance not in here:
                self._since.pop(instance, None)
                self._started.pop(instance, None)
        for name in [name for name in self._obeyed if name not in workers]:
            del self._obeyed[name]

    def read(self) -> bool:
        """Read who is stopped, where that has changed; whether it has."""
        version = _version(self.place) if self.place is not None else None
        if version == self._version or self.place is None:
            return False
        self._version, self._traffic = version, EVERYBODY
        if version is not None:
            try:
                self._traffic = parse_traffic(read_regular(self.place, MAX_TRAFFIC))
            except (OSError, TqunitsError) as error:
                self._complaints.say(f"{self.place}: {error}: as if it were not there", priority=4)
        return True

    def _reason(self, worker: Worker, instance: Instance) -> str | None:
        """Why nobody waits for that one; None: it serves, or is expected to."""
        if self.is_drained(instance):
            return DRAINED
        since = self._since.get(instance)
        if since is None:
            return None
        if self._traffic.stopped.get(str(instance), 0) > self._started.get(instance, 0):
            return STOPPED
        return DOWN if 0 < worker.start_s < self._now() - since else None


def _version(place: Path) -> Version | None:
    """What tells one content from another; None: there is no file."""
    try:
        found = place.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
