"""Which workers' files are watched, and what of them: the settings `watch` as a note for the
manager (watch_note.py).

What the worker itself may write is no source: it would deploy itself. Nor are its secrets and
environment files: a change of them is one of its settings. Of one that runs from its
folder, the files that the router serves are none either, nor what `watch.live` names: they are read
each time. A release has copies of them, so there a change is one of the release.

With --user nothing is watched: the manager deploys only the host's own workers.
"""

from __future__ import annotations

from tqunits.model import Host, Mode, Relaxation, Worker, WorkerType, is_on
from tqunits.units import credentials, release_mount, watch_note
from tqunits.units.environment import served_folder
from tqunits.units.watch_note import WatchNote


def is_meant(worker: Worker, mode: Mode) -> bool:
    """Whether changes of a worker's files are to take effect by themselves."""
    return worker.runs_in(mode) and is_on(worker.watch.enabled, mode)


def note_of(worker: Worker, mode: Mode, target: Host) -> str | None:
    """The note for a worker on a host of this mode; None: it is not watched."""
    if target.user_mode or not is_meant(worker, mode):
        return None
    in_folder = bool(release_mount.obstacle(worker, target))
    if worker.type is WorkerType.STATIC and in_folder:  # they are served as they are: there is nothing to do
        return None
    rules, live = worker.watch, _read_each_time(worker) if in_folder else ()
    watched = WatchNote(
        paths=rules.paths,
        ignore=rules.ignore,
        without=tuple(dict.fromkeys((*worker.writable, *_given(worker), *live))),
        debounce=rules.debounce,
        max_wait=max(rules.debounce, rules.max_wait),
        may_write=Relaxation.WRITABLE_CODE in worker.sandbox.relaxations,
    )
    return watch_note.note(watched)


def _given(worker: Worker) -> tuple[str, ...]:
    """Files below the worker's folder that its YAML has given to it at its start."""
    below = (each.path.removeprefix(f"{worker.folder}/") for each in credentials.sources(worker))
    return tuple(path for path in below if not path.startswith("/") and ".." not in path.split("/"))


def _read_each_time(worker: Worker) -> tuple[str, ...]:
    """Paths below the worker's folder whose files are not kept by its program."""
    served, folder = served_folder(worker), worker.folder
    is_below = served is not None and ".." not in served.parts and served.is_relative_to(folder)
    return (*([str(served.relative_to(folder))] if is_below and served is not None else []), *worker.watch.live)
