"""Restarts the workers that wait for it: their settings or secrets have changed since they were
started, and root has written that down (host/restart_waits.py).

Only workers that are watched are restarted, each by a roll, and once for one change: when new
settings let it not start, what ran before goes on, and the next change is what is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from tqunits.errors import TqunitsError
from tqunits.host import restart_waits
from tqunits.host.restart_waits import RestartWait, RestartWaits
from tqunits.layout import Layout
from tqunits.manager.registry import Registry


class Restarting(Protocol):
    """What is done about it."""

    def restart(self, worker: str, message: str) -> int | None:
        """Have it restarted: the number of the restart; None: it was not accepted."""

    def is_busy(self, worker: str) -> bool:
        """Whether it is being deployed or restarted, or waits for that."""
        ...


class WaitingRestarts:
    """Those who wait."""

    def __init__(self, registry: Registry, acts: Restarting, layout: Layout, say: Callable[[str], None]) -> None:
        self._say = say
        self._registry = registry
        self._acts = acts
        self._layout = layout
        self._waits: RestartWaits = {}
        self._asked: dict[str, int] = {}  # worker -> the time of the change for which it was restarted

    def read(self) -> None:
        """The file has changed."""
        try:
            self._waits = restart_waits.read(self._layout)
        except (OSError, ValueError, TqunitsError) as error:
            self._say(f"who waits for a restart is not known: {error}")

    def look(self, watched: Collection[str], acting: Collection[str] = ()) -> bool:
        """Ask for the restarts that are due; whether one of them has to wait, because its worker is
        being deployed, or (`acting`) may be in a moment, which replaces the same instances."""
        is_held_up = False
        for worker, waits in self._waits.items():
            if worker not in watched or self._asked.get(worker) == waits.since_us:
                continue
            if not self._runs_before(worker, waits):
                continue
            if worker in acting or self._acts.is_busy(worker):
                is_held_up = True
            else:
                self._asked[worker] = waits.since_us
                self._acts.restart(worker, waits.why)
        return is_held_up

    def _runs_before(self, worker: str, waits: RestartWait) -> bool:
        """Whether an instance of it runs whose start began before the change: what changed while
        it started, it has not read."""
        records = (each for whose, each in self._registry.records.items() if whose.worker == worker)
        return any(each.seen.pid and (each.seen.begun or 0) < waits.since_us for each in records)
