"""Copies a tree that others have made into a new folder of root's: the content of a release.

The tree is a build's workspace, or a worker's own folder. Whoever owns it may try to make root read
what it may not, or write elsewhere, or never end. So a first pass counts everything within bounds,
with its apparent size (a file of holes takes no blocks until it is copied). A second pass copies
and counts again. Each folder is opened in the one before, without following links, and what is open
is examined once more. A file that has changed by the end of its copy, or a name that leads to
something else than a moment ago, ends the copy (`ChangesMeanwhile`): a release never has half of a
change.

What is not taken, and told: anything but regular files, folders and links; strange names
(hostile_files.py); of a build, what is not its own user's (a hard link to somebody's file); of a
worker's folder, what not everybody may read. What is not taken, and not told: `.git`, Python's byte
code in a worker's folder (no source either), and what the source excludes.

The copy belongs to root, 0644 or 0755. A file keeps its time, by which Python knows its byte code;
one that is served keeps the second, and the rest tells its content (content_time.py). A link keeps
what it says, and never belongs to root: in a folder of root's that would count as root's decision
about where a path leads (ownership.py).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host.content_time import content_time
from tqunits.host.hostile_files import Untaken, file_copy, is_strange, is_taken_kind
from tqunits.light_dataclass import dataclass
from tqunits.system.survey import FOLDER, READ, Bounds, Tally, opened, opened_for_root

_NOBODY: Final = 65534
_OPEN: Final = 0o755
_SWAPPED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO})
"""What open(2) and readlink(2) say of a name that is something else than a moment ago."""

_GIT: Final = ".git"
_BYTE_CODE: Final = "__pycache__"


class ChangesMeanwhile(TqunitsError):
    """The tree changes while it is copied."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} changes while it is copied", hint="try again when nobody writes there")


@dataclass(frozen=True, slots=True)
class TreeSource:
    """A tree to copy. Paths are relative to its folder."""

    folder: Path
    owner: int | None  # of a build: only this user's files; None: only what everybody may read
    bounds: Bounds
    without: frozenset[str] = frozenset()  # paths that are left out, with everything below them
    mount_points: tuple[str, ...] = ()  # folders that are made, and stay empty
    served: PurePosixPath | None = None  # the folder that the router serves; None: none of it

    def takes(self, name: str, found: os.stat_result) -> bool:
        """Whether a file, a folder or a link is taken."""
        if is_strange(name) or not is_taken_kind(found):
            return False
        return found.st_uid == self.owner if self.owner is not None else _is_for_everybody(found.st_mode)

    def serves(self, path: str) -> bool:
        """Whether the router sends what has this path."""
        return self.served is not None and PurePosixPath(path).is_relative_to(self.served)


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, and what was not."""

    size: int  # bytes
    files: int  # files and links
    left: Untaken


def copy_tree(source: TreeSource, into: int) -> Copied:
    """Copy the tree into an open, empty folder of ours. It is not flushed to the disk.

    Raises ChangesMeanwhile, TqunitsError beyond a bound or where a mount point has no place, and
    OSError; then a part of it may be there.
    """
    with opened_for_root(source.folder) as folder:
        if source.owner is None and not _is_for_everybody(os.fstat(folder).st_mode):
            raise TqunitsError(f"{source.folder} is closed to others", hint=f"chmod o+rx {source.folder}")
        _TreeCopy(source).walk(folder, None, "", 1)
        copy = _TreeCopy(source)
        copy.walk(folder, into, "", 1)
    for path in source.mount_points:
        _make_mount_point(into, path)
    return Copied(copy.tally.size, copy.files, copy.left)


class _TreeCopy:
    """One pass over the tree."""

    def __init__(self, source: TreeSource) -> None:
        self.source = source
        self.tally = Tally(source.bounds)
        self.files = 0
        self.left = Untaken()
        self._passed = source.without | {str(PurePosixPath(path)) for path in source.mount_points}
        self._never = {_GIT} if source.owner is not None else {_GIT, _BYTE_CODE}

    def walk(self, folder: int, target: int | None, path: str, depth: int) -> None:
        """Copy the content of an open folder to another. Without a target it is only counted."""
        self.tally.descend(depth)
        with os.scandir(folder) as entries:
            for entry in entries:
                self.tally.add(0)
                here = f"{path}{entry.name}"
                if entry.name not in self._never and here not in self._passed:
                    self._entry(entry.name, (folder, target), here, depth)

    def _entry(self, name: str, places: tuple[int, int | None], path: str, depth: int) -> None:
        with _unchanged(path):
            found = os.stat(name, dir_fd=places[0], follow_symlinks=False)
        if not self.source.takes(name, found):
            self.left.add(path)
        elif stat.S_ISDIR(found.st_mode):
            self._folder(name, places, path, depth)
        elif stat.S_ISLNK(found.st_mode):
            self._link(name, places, path)
        elif places[1] is None:
            self.tally.add_size(found.st_size)
        else:
            self._file(name, places[0], places[1], path)

    def _folder(self, name: str, places: tuple[int, int | None], path: str, depth: int) -> None:
        with self._opened(name, places[0], FOLDER, path) as inner:
            if places[1] is None:
                self.walk(inner, None, f"{path}/", depth + 1)
                return
            with _made(name, places[1]) as outer:
                self.walk(inner, outer, f"{path}/", depth + 1)

    def _link(self, name: str, places: tuple[int, int | None], path: str) -> None:
        """A long link takes a block on the disk, so its text counts."""
        with _unchanged(path):
            text = os.readlink(name, dir_fd=places[0])
        self.tally.add_size(len(os.fsencode(text)))
        if places[1] is not None:
            os.symlink(text, name, dir_fd=places[1])
            if os.geteuid() == 0:
                os.chown(name, self.source.owner or _NOBODY, -1, dir_fd=places[1], follow_symlinks=False)
            self.files += 1

    def _file(self, name: str, folder: int, target: int, path: str) -> None:
        with (
            self._opened(name, folder, READ, path) as descriptor,
            os.fdopen(descriptor, "rb", buffering=0, closefd=False) as reader,
        ):
            before = os.fstat(descriptor)
            with file_copy(reader, name, target, self.tally) as copy:
                time_ns = before.st_mtime_ns
                if self.source.serves(path):
                    time_ns = content_time(time_ns, reader, os.fstat(copy).st_size)
                os.utime(copy, ns=(time_ns, time_ns))
            if _state(os.fstat(descriptor)) != _state(before):
                raise ChangesMeanwhile(path)
            self.files += 1

    @contextmanager
    def _opened(self, name: str, folder: int, flags: int, path: str) -> Iterator[int]:
        """Open a file or a folder, and look again whether it is one that is taken."""
        with _unchanged(path):
            descriptor = os.open(name, flags, dir_fd=folder)
        try:
            found = os.fstat(descriptor)
            is_kind = stat.S_ISDIR(found.st_mode) if flags == FOLDER else stat.S_ISREG(found.st_mode)
            if not is_kind or not self.source.takes(name, found):
                raise ChangesMeanwhile(path)
            yield descriptor
        finally:
            os.close(descriptor)


def _is_for_everybody(mode: int) -> bool:
    """Whether everybody may read a file, or list and enter a folder. A link has no mode of its
    own (0777)."""
    bits = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & bits == bits


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def _unchanged(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _SWAPPED:
            raise ChangesMeanwhile(path) from None
        raise


@contextmanager
def _made(name: str, folder: int) -> Iterator[int]:
    """A new folder of ours, open; its mode does not depend on our umask."""
    os.mkdir(name, _OPEN, dir_fd=folder)
    with opened(name, folder) as descriptor:
        os.fchmod(descriptor, _OPEN)
        yield descriptor


def _make_mount_point(top: int, path: str) -> None:
    """Make a folder, and those above it that are missing; the copy is root's, and nobody renames in
    it."""
    above = os.dup(top)
    try:
        for name in PurePosixPath(path).parts:
            with suppress(FileExistsError), _made(name, above):
                pass
            below = os.open(name, FOLDER, dir_fd=above)
            os.close(above)
            above = below
    except OSError as error:
        if error.errno not in _SWAPPED:
            raise
        raise TqunitsError(f"{path} can not be a folder of its own: a part of it is a file or a link") from None
    finally:
        os.close(above)
