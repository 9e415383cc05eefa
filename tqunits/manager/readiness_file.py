"""Writes the file of the instances that get no traffic, because their health checks fail, because
they are about to be replaced, or because an operator has stopped them (routing/unready.py), each
time that they are others.

The routers read it within a millisecond. It stays while systemd restarts the manager, so that an
instance that hangs is not let in again by a crash of the manager; it goes with a stop of the
manager, for nobody would let the instances in again that recover.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.lifecycle.readiness import unready
from tqunits.lifecycle.state import Event, State
from tqunits.manager.record import Change, InstanceRecord
from tqunits.manager.registry import Registry
from tqunits.model import Instance
from tqunits.routing.unready import MAX_UNREADY, NOBODY, Times, Unready, parse_unready, unready_text
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
        self._text, found = recalled(place)
        self._out = _by_instance(found.failing)
        self._stopped = _by_instance(found.stopped)
        self._replaced: Mapping[Instance, int] = {}
        self._is_due = False
        registry.subscribe(self._on_change)

    @property
    def out(self) -> Mapping[Instance, int]:
        """The instances that fail, and since when they are out of the traffic (µs since 1970).
        Before the first `write` those that an earlier manager has taken out."""
        return self._out

    def stop(self, instances: Iterable[Instance]) -> None:
        """An operator stops these: no request is to wait for them."""
        self._stopped = {**self._stopped, **dict.fromkeys(instances, _now())}
        self.write()

    def wanted(self, instances: Iterable[Instance]) -> None:
        """These are started or run on: requests wait for them."""
        names = frozenset(instances)
        self._stopped = {whose: since for whose, since in self._stopped.items() if whose not in names}
        self.write()

    def take_out(self, instances: Iterable[Instance]) -> None:
        """These are about to be replaced: no request is sent to them from now on."""
        self._replaced = {**self._replaced, **dict.fromkeys(instances, _now())}
        self.write()

    def let_in(self, instances: Iterable[Instance]) -> None:
        """These are replaced, or stay as they are: requests are sent to those that serve."""
        names = frozenset(instances)
        self._replaced = {whose: since for whose, since in self._replaced.items() if whose not in names}
        self.write()

    def write(self) -> None:
        """Write the file, if something else stands in it."""
        self._is_due = False
        records = self._registry.records
        failing = (w for w, r in records.items() if r.state is State.UNHEALTHY and r.seen.event is Event.READY)
        states = {whose: record.state for whose, record in records.items() if record.is_counted}
        wanted = unready(states, frozenset(failing))
        now = _now()
        self._out = {whose: self._out.get(whose, now) for whose in wanted}
        self._stopped = {w: t for w, t in self._stopped.items() if w in records and not _began_since(records[w], t)}
        text = unready_text(Unready(_by_name({**self._out, **self._replaced}), _by_name(self._stopped)))
        if text == self._text:
            return
        self._text = text
        try:
            files.write_atomically(self._place, text, _MODE)
        except OSError as error:
            self._say(f"{self._place} is not written, so unhealthy instances stay in the traffic: {error.strerror}")

    def _on_change(self, _: Change) -> None:
        """Write in the next turn of the loop: a burst of changes is one file."""
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.write)


def recalled(place: Path) -> tuple[str, Unready]:
    """What an earlier manager has left: as a text, and read; nobody for a file that is not there or
    does not read."""
    try:
        data = files.read_regular(place, MAX_UNREADY)
        return data.decode(), parse_unready(data)
    except (OSError, ValueError, TqunitsError):
        return unready_text(NOBODY), NOBODY


def _began_since(record: InstanceRecord, since: int) -> bool:
    """Whether the instance was started after that."""
    return record.state is State.STARTING or (record.seen.started or 0) >= since


def _by_instance(times: Times) -> Mapping[Instance, int]:
    return {whose: since for text, since in times.items() if (whose := name.instance(text))}


def _by_name(times: Mapping[Instance, int]) -> Times:
    return {str(whose): since for whose, since in times.items()}


def _now() -> int:
    return time.time_ns() // 1000
