"""Files that come, change or go in folders, told on the event loop (inotify(7)); the only importer
of inotify_simple.

A folder is watched, not a file: who writes carefully renames a new file over the old one, and a
watch on the file would stay with the old. What is told is a name and no more: look at the file as
it is then. The kernel's queue is bounded; when it has run over, what is told is None: anything may
have changed.

All folders share one inotify instance, of which a user may have only 128 (max_user_instances). A
folder in which more goes on than MAX_RATE is watched no more: whoever may write there is not to
decide what this process does all day.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

try:
    from inotify_simple import INotify, flags  # noqa: TID251 - this is its door
except ModuleNotFoundError:  # Debian has no package of it: ours brings the module along
    from tqunits.system.inotify_simple import INotify, flags  # pyright: ignore[reportMissingImports]

OnChange = Callable[[str | None], None]
"""Told the name of a file, or None."""

MAX_RATE: Final = 1000
"""Events of one folder in a second; a deploy that writes every file anew in a folder of that size
is a rare one."""

_CHANGES: Final = flags.CREATE | flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE
_OWN: Final = flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.DONT_FOLLOW
_GONE: Final = flags.IGNORED | flags.UNMOUNT | flags.MOVE_SELF


def _nothing() -> None:
    """Nobody asks whether the folder is still watched."""


class FolderWatch:
    """One folder under watch, until it is gone, moved or unmounted, or too much goes on in it."""

    def __init__(self, watches: FolderWatches, number: int, on_change: OnChange, on_gone: Callable[[], None]) -> None:
        self._watches = watches
        self._number = number
        self._second = 0
        self._events = 0
        self.on_change = on_change
        self.on_gone = on_gone

    @property
    def alive(self) -> bool:
        """Whether changes are still told."""
        return self._watches.knows(self._number, self)

    def close(self) -> None:
        """Watch it no more; nothing is told of that."""
        self._watches.forget(self._number, self)

    def is_too_busy(self, events: int, second: int) -> bool:
        """Count what has happened in this second."""
        self._second, self._events = second, events + (self._events if second == self._second else 0)
        return self._events > MAX_RATE


class FolderWatches:
    """All folders that one process watches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raises OSError: the user has no inotify instance left."""
        self._loop = loop
        self._known: dict[int, FolderWatch] = {}
        self._inotify = INotify(nonblocking=True)
        loop.add_reader(self._inotify.fileno(), self._read)

    def add(self, folder: Path, on_change: OnChange, on_gone: Callable[[], None] = _nothing) -> FolderWatch:
        """Watch a folder too. Raises OSError: it is not there, can not be read, or no watch is left
        (max_user_watches).

        A link in the place of the folder is not followed. A folder that is watched again is told to
        the last who asked.
        """
        number = self._inotify.add_watch(folder, _CHANGES | _OWN)
        self._known[number] = watch = FolderWatch(self, number, on_change, on_gone)
        return watch

    def knows(self, number: int, watch: FolderWatch) -> bool:
        """Whether the kernel still watches for it."""
        return self._known.get(number) is watch

    def forget(self, number: int, watch: FolderWatch) -> None:
        """Watch that folder no more."""
        if self.knows(number, watch):
            del self._known[number]
            with contextlib.suppress(OSError):  # it has just gone by itself
                self._inotify.rm_watch(number)

    def close(self) -> None:
        """Watch nothing more."""
        self._known.clear()
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _read(self) -> None:
        """Each name once, however often it changed."""
        events = self._inotify.read(timeout=0)
        if any(event.mask & flags.Q_OVERFLOW for event in events):
            for watch in tuple(self._known.values()):
                watch.on_change(None)
        self._drop_the_busy(Counter(event.wd for event in events))
        for number, name, gone in dict.fromkeys((e.wd, e.name, bool(e.mask & _GONE)) for e in events):
            known = self._known.get(number)
            if known is None:
                continue
            if gone:
                known.close()
                known.on_gone()
            elif name:
                known.on_change(name)

    def _drop_the_busy(self, counts: Counter[int]) -> None:
        second = int(self._loop.time())
        for number, events in counts.items():
            watch = self._known.get(number)
            if watch is not None and watch.is_too_busy(events, second):
                watch.close()  # nothing is told: who were told would watch it again at once
