"""Files that come, change or go in a folder, told on the event loop (inotify(7)); the only importer of inotify_simple.

A folder is watched, not a file: who writes carefully renames a new file over the old one, and a watch on the file would
stay with the old. What is told is a name and no more: look at the file as it is then. The kernel's queue is bounded;
when it has run over, what is told is None: anything may have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from inotify_simple import INotify, flags  # noqa: TID251 - this is its door

OnChange = Callable[[str | None], None]
"""Told the name of a file, or None."""

_CHANGES: Final = flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE


class FolderWatch:
    """One folder under watch."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, on_change: OnChange) -> None:
        """Begin. Raises OSError: the folder is not there, or the user has no watch left (max_user_watches)."""
        self._loop = loop
        self._on_change = on_change
        self._inotify = INotify(nonblocking=True)
        try:
            self._inotify.add_watch(folder, _CHANGES | flags.ONLYDIR)
        except OSError:
            self._inotify.close()
            raise
        loop.add_reader(self._inotify.fileno(), self._read)

    def close(self) -> None:
        """Watch no more."""
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _read(self) -> None:
        """Each name once, however often it changed."""
        events = self._inotify.read(timeout=0)
        if any(event.mask & flags.Q_OVERFLOW for event in events):
            self._on_change(None)
            return
        for name in dict.fromkeys(event.name for event in events if event.name):
            self._on_change(name)
