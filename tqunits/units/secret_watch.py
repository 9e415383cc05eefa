"""The watch over the files that workers are given: secrets and environment files. systemd watches
them (tq-secrets.path, systemd.path(5)), because they are in folders that only root may enter. When
one changes, tq-secrets.service notes who waits for a restart (host/old_runs.py).

PID 1 follows links on the way to a path that it watches, with root's rights. So only a path is
watched that nobody but root can change (system/ownership.py): that is one that a unit names itself,
because install has not copied the file. Every other file has its copy (credentials.py), which
changes when the configuration is applied.

systemd 252 loses a rename over a watched file: it takes the event of the folder first, and watches
anew. So the file's folder is watched, too. A link further up that is put in another's place is seen
when the configuration is applied.

The unit is about all workers. One that stays as it is installed, without being rendered, keeps its
paths: they are noted in a section that systemd ignores.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from tqunits.model import Mode, Worker
from tqunits.units import credentials, quote, unitfile, watch_scope
from tqunits.units.unitfile import Assignment

WATCH = "X-Tqunits-Watch"
_NOTE = "Path"

Watched = Mapping[str, tuple[str, ...]]
"""Worker -> the files that are watched for it."""


def watched(workers: Iterable[Worker], mode: Mode, copies: credentials.Copies) -> Watched:
    """The files of those of these workers that are watched."""
    meant = (worker for worker in workers if watch_scope.is_meant(worker, mode))
    found = {worker.name: _paths(worker, copies) for worker in meant}
    return {worker: paths for worker, paths in found.items() if paths}


def noted(unit: str) -> Watched:
    """The same, from the installed unit."""
    notes = (a.value for a in unitfile.parse(unit) if (a.section, a.name) == (WATCH, _NOTE))
    found: dict[str, tuple[str, ...]] = {}
    for note in notes:
        worker, _, path = note.partition(" ")
        found[worker] = (*found.get(worker, ()), quote.untext(path))
    return found


def staying(unit: str, workers: Collection[str]) -> Watched:
    """What the installed unit watches for these workers."""
    return {worker: paths for worker, paths in noted(unit).items() if worker in workers}


def paths(found: Watched) -> tuple[str, ...]:
    """What is watched: the files, and their folders. Two workers may have the same file."""
    return tuple(sorted({*folders(found), *(path for paths in found.values() for path in paths)}))


def folders(found: Watched) -> tuple[str, ...]:
    """The folders of the files."""
    return tuple(sorted({str(PurePosixPath(path).parent) for paths in found.values() for path in paths}))


def notes(found: Watched) -> str:
    """The section that `noted` reads back."""
    rows = ((worker, path) for worker, paths in sorted(found.items()) for path in paths)
    return unitfile.dump(Assignment(WATCH, _NOTE, f"{worker} {quote.text(path)}") for worker, path in rows)


def _paths(worker: Worker, copies: credentials.Copies) -> tuple[str, ...]:
    copied = {copy.id for copy in copies.get(worker.name, ())}
    return tuple(dict.fromkeys(each.path for each in credentials.sources(worker) if each.id not in copied))
