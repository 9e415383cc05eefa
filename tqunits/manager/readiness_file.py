"""Writes the file of the instances that get no traffic because their health checks fail
(routing/unready.py), each time that the registry says that they are others.

The routers read it within a millisecond. It stays while systemd restarts the manager, so that an
instance that hangs is not let in again by a crash of the manager; it goes with a stop of the
manager, for nobody would let the instances in again that recover.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.lifecycle.readiness import unready
from tqunits.lifecycle.state import Event, State
from tqunits.manager.record import Change
from tqunits.manager.registry import Registry
from tqunits.model import Instance
from tqunits.routing.unready import MAX_UNREADY, NOBODY, parse_unready, unready_text
from tqunits.system import files
from tqunits.units import name

_MODE: Final = 0o644


class ReadinessFile:
    """The file, and what stands in it."""

    def __init__(self, place: Path, registry: Registry, *, say: Callable[[str], None]) -> None:
        self._place = place
        self._registry = registry
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._out = recalled(place)
        self._is_due = False
        registry.subscribe(self._on_change)

    @property
    def out(self) -> Mapping[Instance, int]:
        """The instances that are out of the traffic, and since when (µs since 1970). Before the
        first `write` those that an earlier manager has taken out."""
        return self._out

    def write(self) -> None:
        """Write the file, if other instances are out than stand in it."""
        self._is_due = False
        records = self._registry.records
        failing = (w for w, r in records.items() if r.state is State.UNHEALTHY and r.seen.event is Event.READY)
        wanted = unready({whose: record.state for whose, record in records.items()}, frozenset(failing))
        if wanted == self._out.keys():
            return
        now = time.time_ns() // 1000
        self._out = {whose: self._out.get(whose, now) for whose in wanted}
        text = unready_text({str(whose): since for whose, since in self._out.items()})
        try:
            files.write_atomically(self._place, text, _MODE)
        except OSError as error:
            self._say(f"{self._place} is not written, so unhealthy instances stay in the traffic: {error.strerror}")

    def _on_change(self, _: Change) -> None:
        """Write in the next turn of the loop: a burst of changes is one file."""
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.write)


def recalled(place: Path) -> Mapping[Instance, int]:
    """What an earlier manager has left; empty for a file that is not there or does not read."""
    try:
        found = parse_unready(files.read_regular(place, MAX_UNREADY))
    except (OSError, TqunitsError):
        found = NOBODY
    return {whose: since for text, since in found.items() if (whose := name.instance(text))}
