"""Tells when an absolute path may lead to another folder.

A deploy by `ln -sfn` switches a link somewhere on the way (workers/api -> /srv/app/current ->
releases/7), another one renames a whole folder. So each folder on the way is watched for the one
name in it that the path goes through, in the order in which the kernel follows it
(path_resolution(7)). A mount over a folder is nothing that a folder tells: mount_bell.py.

Folders on the way may belong to strangers, and links may lead anywhere. The process that follows
them has no more rights than its user, and opens folders only, as inotify(7) needs to read them.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from tqunits.system.tree_watch import Renewal, TreeWatches, joined

MAX_LINKS: Final = 40
"""What the kernel follows in one path (path_resolution(7))."""

MAX_STEPS: Final = 100
"""Names on one way, each of which costs a watch. A single link may hold two thousand."""

_NO_FOLLOW: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def steps(path: Path) -> Iterator[tuple[str, str]]:
    """The folders on the way, without links in their paths, each with the name that is looked up
    there. The path has to be absolute.

    A step comes before its name is looked at. So whoever watches its folder then misses nothing.
    The way ends where it leads nowhere, in a circle, or where it may not be followed.
    """
    return islice(_steps(path), MAX_STEPS)


def _steps(path: Path) -> Iterator[tuple[str, str]]:
    here, links = "/", 0
    rest = deque(path.parts)
    while rest:
        name = rest.popleft()
        if name == "..":
            here = os.path.dirname(here)  # noqa: PTH120 - as in all of this: Path would lose what links say
        elif name not in ("", ".", "/"):
            yield here, name
            target = _target(here, name)
            links += bool(target)
            if target is None or links > MAX_LINKS:
                return
            here = "/" if target.startswith("/") else here if target else os.path.join(here, name)  # noqa: PTH118
            rest.extendleft(reversed(target.split("/")))


def _target(folder: str, name: str) -> str | None:
    """What a link says; "" for what is no link, None for what is not there."""
    path = os.path.join(folder, name)  # noqa: PTH118 - as above
    try:
        return os.readlink(path)  # noqa: PTH115 - as above
    except OSError:
        return "" if os.path.exists(path) else None  # noqa: PTH110 - as above


class WatchedPath:
    """One path; it is watched when it was followed.

    The owner follows it before each look at what it leads to: with `watch`, or, where a server may
    not answer, in a thread: `renewal = watched.begin_look()`, in the thread
    `watched.follow(renewal.add)`, `renewal.end()`.
    """

    def __init__(self, watches: TreeWatches, path: Path, on_change: Callable[[], None]) -> None:
        """`on_change` is called on the loop; the path may lead to the same folder as before."""
        self._path = path
        self._on_change = on_change
        self._tree = watches.tree(self._on_event)
        self._names: frozenset[str] = frozenset()

    @property
    def is_too_busy(self) -> bool:
        """Whether too much goes on in the folders on the way, so that they are not watched until it
        is followed again."""
        return self._tree.is_too_busy

    def begin_look(self) -> Renewal:
        """It is going to be followed."""
        return self._tree.begin_look()

    def follow(self, add: Callable[[int, str], None]) -> None:
        """Watch each folder on the way as it is now, except for those that may not be read. `add`:
        that of the renewal, or whatever calls it and counts. Raises OSError: no watch is left."""
        names = set[str]()
        for folder, name in steps(self._path):
            below = folder[1:]
            names.add(joined(below, name))
            self._names |= names
            with _opened(folder) as descriptor:
                if descriptor is not None:
                    add(descriptor, below)
        self._names = frozenset(names)

    def watch(self) -> None:
        """Follow it on the loop. Raises OSError: no watch is left."""
        renewal = self.begin_look()
        self.follow(renewal.add)
        renewal.end()

    def close(self) -> None:
        """Watch it no more."""
        self._tree.close()

    def _on_event(self, path: str | None) -> None:
        if path is None or path in self._names:
            self._on_change()


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int | None]:
    """None: it may not be read, or is just being replaced, which the folder above tells."""
    try:
        descriptor = os.open(folder, _NO_FOLLOW)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
