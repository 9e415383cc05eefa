"""One inotify instance: its watches, and the queue of its events (inotify(7)). The only module that
imports inotify_simple.

A user may have only 128 instances (max_user_instances) and a bounded number of watches
(max_user_watches); `system/watch_limits.py` says so to the user. The kernel's queue is bounded too
(max_queued_events); after an overflow there is an event with OVERFLOW.

Names are bytes that a stranger chooses. What is not UTF-8 becomes surrogates, as in os.fsdecode().
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

try:
    from inotify_simple import INotify, flags, parse_events  # noqa: TID251 - this is its door
except ModuleNotFoundError:  # Debian has no package of it: ours brings the module along
    from tqunits.system.inotify_simple import (  # pyright: ignore[reportMissingImports]
        INotify,
        flags,
        parse_events,
    )

CHANGES: Final = int(flags.CREATE | flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE)
"""What changes the names in a folder, or the content of a file there. Not MODIFY: a log that is
appended to costs nothing until it is closed."""

ATTRIBUTES: Final = int(flags.ATTRIB)
OWN: Final = int(flags.DELETE_SELF | flags.MOVE_SELF)
"""What happens to the folder itself."""

ONLY_FOLDERS: Final = int(flags.ONLYDIR)
NOT_THROUGH_LINKS: Final = int(flags.DONT_FOLLOW)
OVERFLOW: Final = int(flags.Q_OVERFLOW)
IGNORED: Final = int(flags.IGNORED)
"""The kernel has removed the watch."""

GONE: Final = int(flags.IGNORED | flags.UNMOUNT | flags.MOVE_SELF)

_TURN: Final = 16 << 10
"""Bytes that are read at once: 512 events of names with up to 15 bytes, which take 1 ms of CPU with
all that is done about them. So a flood leaves the other events of the loop their turn."""


class FolderEvent(NamedTuple):
    """One event of the queue, as inotify_simple has it."""

    wd: int
    """Number of the watch; -1: of none."""

    mask: int
    cookie: int
    name: str
    """Name in the folder; "": the folder itself."""


class InotifyQueue:
    """One inotify instance."""

    def __init__(self) -> None:
        """Raises OSError: the user has no inotify instance left."""
        self._inotify = INotify(nonblocking=True)

    def fileno(self) -> int:
        """Readable while there are events."""
        return int(self._inotify.fileno())

    def watch(self, folder: os.PathLike[str] | str, mask: int) -> int:
        """The number of the folder's watch: the same for the same folder, whatever its path is.

        Raises OSError: it does not exist, can not be read, or no watch is left.
        """
        return int(self._inotify.add_watch(folder, mask))

    def unwatch(self, number: int) -> None:
        """Remove a watch; an event with IGNORED follows. Raises OSError: the kernel has removed it
        already."""
        self._inotify.rm_watch(number)

    def read(self, most: int = _TURN) -> Sequence[FolderEvent]:
        """The events that are there, oldest first, but no more than these bytes of them."""
        try:
            data = os.read(self.fileno(), most)
        except BlockingIOError:
            return ()
        return cast("Sequence[FolderEvent]", parse_events(data))

    def is_empty(self) -> bool:
        """Whether all events until now were read."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Remove all watches."""
        self._inotify.close()


class EventRate:
    """Counts events of the present second."""

    __slots__ = ("_events", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._events = 0

    def count(self, events: int, second: int) -> int:
        """The events of this second, with these."""
        self._second, self._events = second, events + (self._events if second == self._second else 0)
        return self._events
