"""Bring home what a build has made: new regular files from its workspace into the worker's folder, as root's.

Both sides belong to somebody who may want root to write, or to read, where he can not: the build made every name in
its workspace, and the owner of a worker's folder may rename in it meanwhile. So nothing is reached by its path: each
folder is opened below the one before (openat(2) with O_NOFOLLOW), and what was opened is looked at, not what has the
name. A file appears whole, by a rename. Depth, number and size are bounded.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqunits.errors import TqunitsError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 100
"""Folders in folders: nested node_modules come to 30. Each level holds two descriptors, of 1024."""

MAX_ENTRIES = 500_000
"""Ten times a large node_modules."""

MAX_BYTES = 4 << 30
"""As files say their size: one with holes takes no room in the workspace, and all of it in the worker's folder."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not hang us
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Harvest:
    """One pass; `skip` is a path relative to the top that stays behind."""

    skip: str = ""
    entries: int = 0
    size: int = 0

    def count(self, size: int) -> None:
        self.entries += 1
        self.size += size
        if self.entries > MAX_ENTRIES:
            raise TqunitsError(f"it made more than {MAX_ENTRIES} files and folders")
        if self.size > MAX_BYTES:
            raise TqunitsError(f"it made more than {MAX_BYTES >> 30} GiB")


def bring_home(built: Path, folder: Path, *, last: str) -> None:
    """Copy what stands in `built` and not in `folder`; `last`, the worker's command, after everything else.

    While it is missing the next run builds again: so a run that is cut off leaves no half of a build that would pass.
    Raises OSError, and TqunitsError beyond a bound.
    """
    last = os.path.normpath(last)
    for harvest in (_Harvest(skip=last), _Harvest()):
        with _opened(built) as source, _opened(folder) as target:
            _merge(source, target, "", harvest, MAX_DEPTH)


def _merge(source: int, target: int, path: str, harvest: _Harvest, depth: int) -> None:
    if depth == 0:
        raise TqunitsError(f"it made folders more than {MAX_DEPTH} deep")
    there = set(os.listdir(target))
    for name in os.listdir(source):
        here = f"{path}{name}"
        mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
        harvest.count(0)
        if stat.S_ISDIR(mode):
            _merge_folder(name, source, target, here, harvest, depth)
        elif stat.S_ISREG(mode) and name not in there and here != harvest.skip:
            _copy(name, source, target, harvest)
    os.fsync(target)


def _merge_folder(name: str, source: int, target: int, path: str, harvest: _Harvest, depth: int) -> None:
    """A folder; where the worker has something else by that name, a link above all, it is left alone."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=target)
    if not stat.S_ISDIR(os.stat(name, dir_fd=target, follow_symlinks=False).st_mode):
        return
    with _opened(name, source) as inner, _opened(name, target) as outer:
        _merge(inner, outer, f"{path}/", harvest, depth - 1)


def _copy(name: str, source: int, target: int, harvest: _Harvest) -> None:
    with os.fdopen(os.open(name, _READ, dir_fd=source), "rb") as reader:
        found = os.fstat(reader.fileno())
        if not stat.S_ISREG(found.st_mode):
            return
        harvest.count(found.st_size)
        temporary = f".tqunits-{secrets.token_hex(8)}.tmp"
        try:
            with os.fdopen(os.open(temporary, _CREATE, 0o600, dir_fd=target), "wb") as writer:
                shutil.copyfileobj(reader, writer)
                writer.flush()
                os.fchmod(writer.fileno(), 0o755 if found.st_mode & stat.S_IXUSR else 0o644)
                os.fsync(writer.fileno())
            os.rename(temporary, name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=target)
            raise


@contextmanager
def _opened(path: Path | str, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, _FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
