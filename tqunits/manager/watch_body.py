"""What the manager answers about the folders that it watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tqunits.host.watched_tree import shortened
from tqunits.manager.instance_metrics import MeasuredWatch
from tqunits.manager.rights import Caller
from tqunits.manager.watch_desk import WatchDesk
from tqunits.manager.watched_worker import WatchedWorker
from tqunits.manager.watching import Watching
from tqunits.manager.worker_watch import WatchState


def answer(watching: Watching, caller: Caller) -> Mapping[str, object]:
    """What a caller is told: of his workers, and, unless he is an operator, of tqunits.yaml."""
    unapplied = None if caller.is_operator else watching.unapplied or None
    return {"watches": of_all(watching.desk, caller.operates), "unapplied": unapplied}


def of_all(desk: WatchDesk, is_his: Callable[[str], bool]) -> list[Mapping[str, object]]:
    """A JSON object for each watched worker that is his, by name."""
    return [_body(watched) for worker, watched in sorted(desk.workers.items()) if is_his(worker)]


def measured(desk: WatchDesk) -> Sequence[MeasuredWatch]:
    """The same of all, for the metrics."""
    return [_measured(worker, watched) for worker, watched in sorted(desk.workers.items())]


def _measured(worker: str, watched: WatchedWorker) -> MeasuredWatch:
    watch = watched.watch
    return MeasuredWatch(
        worker=worker,
        folders=watch.folders,
        last_event_us=watch.last_event_us,
        is_broken=watch.state is WatchState.BROKEN,
        is_suspended=bool(watched.suspended),
    )


def _body(watched: WatchedWorker) -> Mapping[str, object]:
    watch = watched.watch
    return {
        "worker": watched.subject.worker,
        "folder": str(watched.subject.folder),
        "state": watch.state.value,
        "why": watch.why or None,
        "folders": watch.folders,
        "last_event_us": watch.last_event_us,
        "last_path": None if watch.last_path is None else shortened(watch.last_path),
        "suspended": shortened(watched.suspended) or None,
        "refused": watched.refused or None,
        "pause_s": round(watched.pause_s) or None,
    }
