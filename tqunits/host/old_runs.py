"""Which workers run as they were started, though something that they get by a restart alone has
changed since: their unit, a secret, an environment file. Every install and apply notes them at its
end (restart_waits.py).

The times of the files are compared with the start of each run, as a plan does it (plan.py), so a
change is found whoever made it and whenever. What a build has made is left out: a deploy replaces
the instances for it.

- A unit file's time is its modification time: install keeps it where a change needs no restart.
- A file of root's that the unit names (LoadCredential=) has the later one of its modification and
  its change time: `mv` brings an old time along, and changes the other one. So have the links on
  the way to it: `ln -sfn` changes nothing but a link.
- The file of somebody else counts by its copy, for the copy is what a run gets.
- A file that is gone is no change.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host import restart_waits
from tqunits.host.observe import started_us
from tqunits.host.observed_files import modified_us
from tqunits.host.premises import Premises
from tqunits.host.restart_waits import RestartWait
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.system.bus import Bus, UnitStatus
from tqunits.system.ownership import MAX_LINKS
from tqunits.units import credentials, name, unitfile
from tqunits.units.observed import ObservedUnit, is_newer

_RUNNING: Final = frozenset({"active", "reloading", "refreshing", "activating"})

_MOST_IN_FOLDER: Final = 1000
"""Files of a folder of credentials: more than systemd takes in all (1 MiB)."""


def note(layout: Layout, bus: Bus, known: Mapping[str, ObservedUnit]) -> None:
    """Write down who waits for a restart. `known`: units as they were seen earlier.

    It never fails: it comes after an install that has worked, and the next one writes it again.
    """
    with suppress(OSError, TqunitsError):
        restart_waits.write(layout, find(layout, bus, known))


def look_again(premises: Premises) -> restart_waits.RestartWaits:
    """The same when nothing is applied; returns who waits. Raises OSError, TqunitsError."""
    layout = premises.layout
    with files.lock(Path(layout.install_lock), wait=True), Bus(user_mode=premises.user_mode) as bus:
        waits = find(layout, bus, {})
        restart_waits.write(layout, waits)
        return waits


def find(layout: Layout, bus: Bus, known: Mapping[str, ObservedUnit]) -> restart_waits.RestartWaits:
    """Who waits for a restart. Raises OSError, TqunitsError."""
    now = time.time_ns() // 1000
    waits: dict[str, RestartWait] = {}
    for unit in bus.list_units(["tq-worker@*.service"]):
        change = _last_change(unit.name, layout, now) if _runs(unit) else None
        if change is None or _has_begun_since(known.get(unit.name), change):
            continue
        worker = name.worker_of(unit.name)
        if worker is not None and is_newer(change.since_us, started_us(bus, unit.name), now):
            waits[worker] = max(waits.get(worker, change), change, key=_since_us)
    return waits


def _runs(unit: UnitStatus) -> bool:
    """One that waits for its next start gets all that is new by it."""
    return unit.active in _RUNNING and unit.sub != "auto-restart"


def _has_begun_since(seen: ObservedUnit | None, change: RestartWait) -> bool:
    """Whether that is known already: the next start is later still."""
    return seen is not None and seen.started >= change.since_us


def _since_us(change: RestartWait) -> int:
    return change.since_us


def _last_change(unit: str, layout: Layout, now: int) -> RestartWait | None:
    """None for a unit that is not ours, and for a surge: a roll has started it, and ends it."""
    text = files.read_text_if_exists(Path(name.drop_in(unit, layout.units)))
    ledger = unitfile.ledger(text) if text is not None else None
    if text is None or ledger is None or ledger.is_surge:
        return None
    changes = (*_of_unit(unit, layout), *_of_files(text, ledger, layout))
    return max((each for each in changes if each.since_us <= now), key=_since_us, default=None)


def _of_unit(unit: str, layout: Layout) -> Iterator[RestartWait]:
    for path in (name.drop_in(unit, layout.units), layout.units / name.template_of(unit)):
        with suppress(FileNotFoundError):
            yield RestartWait(modified_us(os.stat(path)), "its unit has changed")  # noqa: PTH116 - a pure path


def _of_files(text: str, ledger: unitfile.Ledger, layout: Layout) -> Iterator[RestartWait]:
    sources = {copy.id: copy.source for copy in ledger.copies}
    for credential, path in credentials.loaded(text):
        is_copy = PurePosixPath(path).is_relative_to(credentials.folder(layout.state))
        yield RestartWait(
            _copied_us(path) if is_copy else changed_us(path), f"{sources.get(credential, path)} has changed"
        )


def _copied_us(path: str) -> int:
    try:
        return modified_us(os.lstat(path))
    except OSError:
        return 0


def changed_us(path: str) -> int:
    """When a file, or a link on the way to it, was changed last, in µs since 1970; of a folder, the
    files in it count too. 0 when it is not there, or we may not look. Nothing is opened but a
    folder."""
    try:
        return max(map(_latest, _on_the_way(path)), default=0)
    except OSError:
        return 0


def _on_the_way(path: str) -> Iterator[os.stat_result]:
    """The links that a path goes through, and what it leads to."""
    here, left, links = "/", _names(path), 0
    while left:
        one = left.pop()
        here = os.path.normpath(f"{here}/{one}")
        status = os.lstat(here)
        if stat.S_ISLNK(status.st_mode):
            yield status
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(here)  # noqa: PTH115 - text is enough
            here = "/" if target.startswith("/") else os.path.dirname(here)  # noqa: PTH120
            left += _names(target)
        elif not left:
            yield status
            yield from _within(here) if stat.S_ISDIR(status.st_mode) else ()


def _within(folder: str) -> Iterable[os.stat_result]:
    with os.scandir(folder) as entries:
        return [os.lstat(entry.path) for entry in islice(entries, _MOST_IN_FOLDER)]


def _names(path: str) -> list[str]:
    """The names on a path; the first one is the last."""
    return [each for each in reversed(path.split("/")) if each not in ("", ".")]


def _latest(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns) // 1000
