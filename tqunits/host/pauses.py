"""Workers that have failed and wait for their next start (units/failure_pause.py), and how this
wait is ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from tqunits.errors import NotPermitted
from tqunits.layout import Layout
from tqunits.lifecycle.state import State, of_unit
from tqunits.model import INFINITY
from tqunits.system import files
from tqunits.system.bus import Bus, UnitStatus
from tqunits.system.dbus import integer
from tqunits.system.files import read_text_if_exists
from tqunits.system.jobs import Jobs
from tqunits.units import name
from tqunits.units.failure_pause import pause, state_file

PATTERN = "tq-backoff@*.service"


def pausing(units: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The workers' units whose back-off is running. `units`: name and ActiveState of the loaded
    units."""
    found = (name.paused_by(unit) for unit, state in units if state == "activating")
    return frozenset(name.service(whose) for whose in found if whose)


def loaded_workers(bus: Bus) -> tuple[Mapping[str, UnitStatus], frozenset[str]]:
    """The loaded units of workers and pauses, by name, and those of workers whose back-off runs. It
    is one call (0.3 ms)."""
    loaded = {unit.name: unit for unit in bus.list_units(["tq-worker@*.service", PATTERN])}
    return loaded, pausing((unit.name, unit.active) for unit in loaded.values())


def next_try(bus: Bus, unit: str, runtime: PurePosixPath | None) -> int | None:
    """µs until a failed worker is started again; None: unknown. `runtime`: tqunits' runtime folder,
    if the back-off is running.
    """
    now = time.monotonic_ns() // 1000
    if runtime is not None:
        whose = name.instance_of(unit)
        found = pause(read_text_if_exists(Path(state_file(whose, runtime))) or "") if whose else None
        return max(0, found.due - now) if found else None
    since = integer(bus.property_of(unit, "Unit", "StateChangeTimestampMonotonic", "t"))
    return max(0, since + integer(bus.property_of(unit, "Service", "RestartUSec", "t")) - now)


def remembered(layout: Layout) -> frozenset[str]:
    """The workers of which the back-off has a record. Empty without the right to look."""
    try:
        found = [name.instance(folder.name) for folder in (Path(layout.runtime) / "backoff").iterdir()]
    except OSError:
        return frozenset()
    return frozenset(whose.worker for whose in found if whose)


def forget(layout: Layout, workers: Iterable[str] | None) -> None:
    """Remove the records of workers that are removed; None: of all."""
    above = Path(layout.runtime) / "backoff"
    gone = None if workers is None else frozenset(workers)
    for folder in [above] if gone is None else above.glob("*"):
        whose = name.instance(folder.name)
        if folder.is_dir() and (gone is None or (whose is not None and whose.worker in gone)):
            files.remove_tree(folder)


def let_go(bus: Bus, units: Sequence[str]) -> None:
    """Clear the failures and end every wait: a start that somebody asks for happens now."""
    waiting = cleared(bus, units)
    if waiting:
        Jobs(bus).stop(waiting, timeout_us=INFINITY)


def cleared(bus: Bus, units: Sequence[str]) -> Sequence[str]:
    """Clear the failures of these units. Returns those that wait for their next start: stop them
    before they are started.

    A new start job would join the job that waits. A stop of a unit that does not run cancels that
    job, and takes no time.
    """
    loaded = bus.list_units([*units, PATTERN])
    paused = pausing((unit.name, unit.active) for unit in loaded)
    asked = [unit for unit in loaded if unit.name in units]
    for unit in asked:
        if unit.active == "failed":
            with suppress(NotPermitted):  # an operator may start it nevertheless, and a start clears it too
                bus.reset_failed(unit.name)
    states = {unit.name: of_unit(unit.active, unit.sub, comes_again=unit.name in paused) for unit in asked}
    return [unit for unit, found in states.items() if found is State.UNHEALTHY]
