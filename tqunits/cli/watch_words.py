"""How the folder of a worker is watched, in words: from what the manager has answered
(manager/watch_body.py)."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tqunits.cli import format as human
from tqunits.control import managers
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderWatched:
    """How it is watched. Texts are a stranger's: whoever prints them makes them printable."""

    worker: str
    state: str  # of worker_watch.WatchState; "unknown": the manager does not tell
    why: str = ""
    folders: int = 0
    last_event_us: int | None = None  # µs since 1970
    last_path: str = ""
    suspended: str = ""  # the file for whose changes the worker is not replaced any more
    pause_s: int = 0  # until something is done about the next change
    members: Mapping[str, object]  # as JSON

    @property
    def trouble(self) -> str:
        """Why changes do not take effect by themselves; "" while they do."""
        if self.state == "broken":
            return f"changes of its files are not noticed: {self.why}"
        if self.suspended:
            return (
                f"suspended: changes of {self.suspended} do nothing, because the worker may make them itself: "
                f"watch.ignore leaves a file out, and 'tqunits deploy {self.worker}' deploys it nevertheless"
            )
        return ""

    @property
    def words(self) -> str:
        """The line of `show`."""
        if self.state == "unknown":
            return (
                "not known: the manager is away ('systemctl status tq-manager'), can not watch, or tells it to root "
                "and the worker's operators only"
            )
        if self.state == "begins":
            return "its folder is looked at for the first time"
        if self.trouble:
            return self.trouble
        if self.state == "polls":
            return f"looked at again and again, {self._last()}: {self.why}"
        return f"{self.folders} folder{'' if self.folders == 1 else 's'}, {self._last()}{self._pause()}"

    def _pause(self) -> str:
        told = f"; its files change so often that the next change waits {self.pause_s} s"
        return f"{told}: 'tqunits deploy {self.worker}' waits for nothing" if self.pause_s else ""

    def _last(self) -> str:
        if self.last_event_us is None:
            return "nothing has changed since the manager was started"
        ago = human.span(max(0, time.time_ns() // 1000 - self.last_event_us))
        return f"last change {ago} ago: {self.last_path}"


@dataclass(frozen=True, slots=True)
class WatchAnswer:
    """What is watched on disk. Texts are a stranger's."""

    folders: Mapping[str, FolderWatched]  # by worker
    unapplied: str = ""  # why tqunits.yaml, as it is, is not applied by itself


def watch_of(worker: str, layout: Layout) -> FolderWatched:
    """How the folder of a worker is watched of which the installed files say that it is."""
    watched = told(layout)
    found = None if watched is None else watched.folders.get(worker)
    return found if found is not None else FolderWatched(worker=worker, state="unknown", members={"state": "unknown"})


def told(layout: Layout) -> WatchAnswer | None:
    """What the manager tells; None where it does not."""
    found = managers.watches(layout)
    if found is None:
        return None
    return WatchAnswer({each.worker: each for each in map(_parsed, found.folders)}, found.unapplied)


def _parsed(found: Mapping[str, object]) -> FolderWatched:
    folders, last, pause = found.get("folders"), found.get("last_event_us"), found.get("pause_s")
    return FolderWatched(
        worker=str(found.get("worker")),
        state=str(found.get("state")),
        why=str(found.get("why") or ""),
        folders=folders if isinstance(folders, int) else 0,
        last_event_us=last if isinstance(last, int) else None,
        last_path=str(found.get("last_path") or ""),
        suspended=str(found.get("suspended") or ""),
        pause_s=pause if isinstance(pause, int) else 0,
        members=found,
    )
