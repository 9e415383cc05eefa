"""Reports changes of files in folders on the event loop (inotify(7)).

A folder is watched, not a file: careful programs rename a new file over the old one, and a watch on
the file would stay with the old one. The callback gets a name only; the caller looks at the file
itself. The kernel's queue is bounded; after an overflow the callback gets None: anything may have
changed.

All folders share one inotify instance, of which a user may have only 128 (max_user_instances). A
folder with more than MAX_RATE events a second is not watched any more, so that a program that
writes there can not keep this process busy. Whole trees of folders are in tree_watch.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tqunits.system.inotify_queue import (
    CHANGES,
    GONE,
    NOT_THROUGH_LINKS,
    ONLY_FOLDERS,
    OVERFLOW,
    OWN,
    EventRate,
    InotifyQueue,
)

OnChange = Callable[[str | None], None]
"""Gets the name of a file, or None."""

OnGone = Callable[[], None]
"""Is called when the folder is not watched any more, because it is gone, moved or unmounted."""

MAX_RATE: Final = 1000
"""Events of one folder in a second. Only a deploy that writes so many files anew reaches this."""

_ALL: Final = 1 << 20
"""Bytes of 16384 events, which is all that the queue holds, with names of up to 47 bytes. If there
are more, the bell rings once more."""


def ignored() -> None:
    """The caller does not ask whether the folder is still watched."""


class FolderWatch:
    """One watched folder, until it is gone, moved or unmounted, or has too many changes."""

    def __init__(self, watches: FolderWatches, number: int, on_change: OnChange, on_gone: OnGone) -> None:
        self._watches = watches
        self._number = number
        self._rate = EventRate()
        self.on_change = on_change
        self.on_gone = on_gone

    @property
    def alive(self) -> bool:
        """Whether changes are still reported."""
        return self._watches.knows(self._number, self)

    def close(self) -> None:
        """Stop watching it; `on_gone` is not called."""
        self._watches.forget(self._number, self)

    def is_too_busy(self, events: int, second: int) -> bool:
        """Count the events of this second."""
        return self._rate.count(events, second) > MAX_RATE


class FolderWatches:
    """All folders that one process watches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raises OSError: the user has no inotify instance left."""
        self._loop = loop
        self._known: dict[int, FolderWatch] = {}
        self._inotify = InotifyQueue()
        loop.add_reader(self._inotify.fileno(), self._read)

    def add(self, folder: Path, on_change: OnChange, on_gone: OnGone = ignored) -> FolderWatch:
        """Watch another folder. Raises OSError: it does not exist, can not be read, or no watch is
        left (max_user_watches).

        A link in the place of the folder is not followed. If a folder is watched twice, only the
        last caller gets its changes.
        """
        number = self._inotify.watch(folder, CHANGES | OWN | ONLY_FOLDERS | NOT_THROUGH_LINKS)
        self._known[number] = watch = FolderWatch(self, number, on_change, on_gone)
        return watch

    def knows(self, number: int, watch: FolderWatch) -> bool:
        """Whether this watch is the one that the kernel has under the number."""
        return self._known.get(number) is watch

    def forget(self, number: int, watch: FolderWatch) -> None:
        """Stop watching this folder."""
        if self.knows(number, watch):
            del self._known[number]
            with contextlib.suppress(OSError):  # it has just gone by itself
                self._inotify.unwatch(number)

    def close(self) -> None:
        """Watch nothing more."""
        self._known.clear()
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _read(self) -> None:
        """Report each name once, however often it has changed."""
        events = self._inotify.read()
        if any(event.mask & OVERFLOW for event in events):
            for watch in tuple(self._known.values()):
                watch.on_change(None)
        self._drop_the_busy(Counter(event.wd for event in events))
        for number, name, gone in dict.fromkeys((e.wd, e.name, bool(e.mask & GONE)) for e in events):
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


class FolderBell:
    """Rings for any change in some folders, on a descriptor that the command line polls."""

    def __init__(self) -> None:
        """Raises OSError: the user has no inotify instance left."""
        self._inotify = InotifyQueue()

    def add(self, folder: Path) -> None:
        """Ring for this folder, too, if it is there and can be read."""
        with contextlib.suppress(OSError):
            self._inotify.watch(folder, CHANGES | ONLY_FOLDERS | NOT_THROUGH_LINKS)

    def fileno(self) -> int:
        """Readable when it has rung."""
        return self._inotify.fileno()

    def clear(self) -> None:
        """Forget what has rung."""
        self._inotify.read(_ALL)

    def close(self) -> None:
        """Ring no more."""
        self._inotify.close()
