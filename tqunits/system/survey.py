"""Counts what a build has made, or what a folder has, within bounds: for the watch while the build
runs, for the harvest, and for a release.

The build makes all names in a workspace, and may make them without end, nested or side by side. So
folders are read as a stream (a list of a million names would take 300 MB), opened below each other
without following links, and counting stops at the first bound.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.light_dataclass import dataclass
from tqunits.system import files, ownership
from tqunits.units import quote

MAX_DEPTH: Final = 100
"""The depth of folders: nested node_modules reach 30. Each level needs two or three descriptors, of
1024."""

MAX_ENTRIES: Final = 500_000
"""Names. Ten times those of a large node_modules."""

MAX_PATHS: Final = 128 << 20
"""Characters of all paths: half a million of 256. A folder that is MAX_DEPTH deep may have paths of
25 KB, and twenty thousand of them took 1.4 GiB of memory."""

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A FIFO that has taken the name does not block its opening."""

_BLOCK = 512  # bytes of st_blocks, whatever the file system (stat(2))
_REST = 4  # the pause after a look is so many times as long, so looking takes at most a fifth of a CPU


class Beyond(TqunitsError):
    """A bound is passed. The message names it, with its figure; its subject is "it"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a build may make, or a folder may have."""

    size: int  # bytes
    entries: int = MAX_ENTRIES
    depth: int = MAX_DEPTH
    paths: int = MAX_PATHS  # characters of all paths
    verb: str = "made"  # what "it" did, for the message; "has" for a folder


@dataclass(slots=True)
class Tally:
    """The count so far."""

    bounds: Bounds
    entries: int = 0
    size: int = 0
    paths: int = 0  # characters of those that are remembered

    def add(self, size: int, path: str = "") -> None:
        """Count one file or folder. `path`: if it is remembered. Raises Beyond."""
        self.entries += 1
        self.paths += len(path)
        if self.paths > self.bounds.paths:
            raise Beyond(f"it {self.bounds.verb} paths of more than {self.bounds.paths >> 20} Mi characters in all")
        if self.entries > self.bounds.entries:
            raise Beyond(f"it {self.bounds.verb} more than {self.bounds.entries} files and folders")
        self.add_size(size)

    def add_size(self, size: int) -> None:
        """Count bytes. Raises Beyond."""
        self.size += size
        if self.size > self.bounds.size:
            raise Beyond(f"it {self.bounds.verb} more than {quote.size(self.bounds.size)}, which is its build.disk_max")

    def descend(self, depth: int) -> None:
        """Check the depth of a folder. Raises Beyond."""
        if depth > self.bounds.depth:
            raise Beyond(f"it {self.bounds.verb} folders more than {self.bounds.depth} deep")


@dataclass(slots=True)
class Watch:
    """The folders of a running build. `look` may be called at any time, and measures only after a
    pause."""

    folders: Sequence[Path]
    bounds: Bounds
    beyond: Beyond | None = None
    _due: float = 0.0

    def look(self) -> Beyond | None:
        """The bound that the build has passed; None when it has passed none."""
        begin = time.monotonic()
        if self.beyond is None and begin >= self._due:
            try:
                _count(self.folders, self.bounds)
            except Beyond as beyond:
                self.beyond = beyond
            end = time.monotonic()
            self._due = end + _REST * (end - begin)
        return self.beyond


def _count(folders: Sequence[Path], bounds: Bounds) -> None:
    tally = Tally(bounds)
    for folder in folders:
        with suppress(FileNotFoundError), opened_for_root(folder) as descriptor:
            _count_below(descriptor, tally, 1)


def _count_below(folder: int, tally: Tally, depth: int) -> None:
    """Counts blocks on the disk, so holes count for nothing. A file with several names counts a
    share for each."""
    tally.descend(depth)
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError, NotADirectoryError):  # the folder may change meanwhile
                found = entry.stat(follow_symlinks=False)
                is_folder = stat.S_ISDIR(found.st_mode)
                tally.add(found.st_blocks * _BLOCK // (1 if is_folder else max(1, found.st_nlink)))
                if is_folder:
                    with opened(entry.name, folder) as below:
                        _count_below(below, tally, depth + 1)


@contextmanager
def opened(name: str, folder: int) -> Iterator[int]:
    """Open a folder below an open one, never through a link. Raises OSError."""
    descriptor = os.open(name, FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_below(folder: int, names: Sequence[str]) -> Iterator[int]:
    """Open a folder further below, without following links; without names the open one. Raises
    OSError."""
    descriptor = ownership.open_below(folder, names, FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_for_root(path: Path) -> Iterator[int]:
    """Open a folder by its path; only links of root's are followed. Raises OSError."""
    with ownership.anchor(path) as anchor, opened_below(anchor.descriptor, anchor.rest) as descriptor:
        yield descriptor


def read_for_root(path: Path, most: int) -> bytes:
    """The content of a regular file in a folder of somebody else's. On the way only links of root's
    are followed, and in the place of the file none. Raises OSError, and TqunitsError for anything
    but a regular file of at most `most` bytes."""
    with opened_for_root(path.parent) as folder:
        return files.read_opened(os.open(path.name, READ, dir_fd=folder), path, most)


def remove_file_for_root(path: Path) -> None:
    """Remove a file, or a link itself, from a folder of somebody else's, who may have put a link in
    the place of any folder on the way; only links of root's are followed. Raises TqunitsError."""
    try:
        with opened_for_root(path.parent) as folder:
            os.unlink(path.name, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TqunitsError(f"{path} could not be removed: {error.strerror}") from None
