"""Bring home what a build has made: new regular files from its workspace into the worker's folder, as root's.

Both sides belong to somebody who may want root to write, or to read, where he can not: the build made every name in
its workspace, and the owner of a worker's folder may rename in it meanwhile. So nothing is reached by its path but
what only root can rename: each folder is opened below the one before (openat(2) with O_NOFOLLOW), and what was opened
is looked at, not what has the name.

First all of it is looked at, within bounds. Then it is copied to a folder of root's beside its place, and only what
arrived there whole is moved, by a rename(2) for each name that is new. What goes wrong on the way leaves nothing; a
power cut in the middle of the renames may leave some, and never the worker's command, which comes last: so the next
install builds again.

What stays behind: whatever is no regular file or folder, or not the build's own; names that begin with "-" or have a
control character, or are no UTF-8, for somebody's script will be given them; `.git`, whose hooks and settings are run
by whoever asks it something; and all that begins with a dot, unless the build's or the worker's command names it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tqunits.system import ownership
from tqunits.system.survey import FOLDER, Bounds, Tally, opened, opened_for_root

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not hang us
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 20

_STAGING = re.compile(r"\.tqunits-[0-9a-f]{16}\.tmp")
_STRANGE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # an undecodable byte is a surrogate (PEP 383)


def bring_home(built: Path, folder: Path, *, last: str, named: Collection[str] = (), bounds: Bounds) -> None:
    """Move what stands in `built` and not in `folder`; `last`, the worker's command, after everything else.

    `named`: paths below the folder whose names may begin with a dot; `last` is one of them. Raises OSError, and
    TqunitsError beyond a bound.
    """
    last = os.path.normpath(last)
    paths = {os.path.normpath(path) for path in named} | {last}
    with opened_for_root(built) as source, opened_for_root(folder) as target:
        rules = _Rules(owner=os.fstat(source).st_uid, named=frozenset(paths))
        _Look(rules, Tally(bounds)).walk(source, target, "", 1)
        _remove_leftovers(target)
        with _staging(target) as staging:
            _Copy(rules, Tally(bounds), staging).walk(source, target, "", 1)
            _Move(target, last).all_of(staging)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What comes home."""

    owner: int  # the build's uid: a hard link to a file of somebody else's is no work of the build's
    named: frozenset[str]

    def take(self, name: str, path: str, found: os.stat_result) -> bool:
        """Whether this file or folder does, as far as it goes by itself."""
        if found.st_uid != self.owner or not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return False
        if name.startswith("-") or name == ".git" or _STRANGE.search(name):
            return False
        return not name.startswith(".") or any(n == path or n.startswith(f"{path}/") for n in self.named)


@dataclass(slots=True)
class _Look:
    """A pass over the workspace, beside the worker's folder; this one only counts."""

    rules: _Rules
    tally: Tally

    def walk(self, source: int, target: int | None, path: str, depth: int) -> None:
        """Everything in an open folder that comes home; `target` is the worker's by that name, if there is one."""
        self.tally.descend(depth)
        with os.scandir(source) as entries:
            for entry in entries:
                found, here = entry.stat(follow_symlinks=False), f"{path}{entry.name}"
                self.tally.add(0)
                if not self.rules.take(entry.name, here, found):
                    continue
                there = _mode(entry.name, target)
                if stat.S_ISREG(found.st_mode):
                    if there is None:
                        self.file(entry.name, source, found)
                elif there is None or stat.S_ISDIR(there):  # anything else, a link above all, is left alone
                    with opened(entry.name, source) as inner, _opened_if(entry.name, target, there) as outer:
                        self.folder(entry.name, inner, outer, here, depth + 1)

    def file(self, _name: str, _source: int, found: os.stat_result) -> None:
        """As it says its size: one with holes takes no room in the workspace, and all of it in the worker's folder."""
        self.tally.add_size(found.st_size)

    def folder(self, _name: str, source: int, target: int | None, path: str, depth: int) -> None:
        """A folder, which is new or which the worker has too."""
        self.walk(source, target, f"{path}/", depth)


@dataclass(slots=True)
class _Copy(_Look):
    """The pass that copies, into `staging`. It counts again, for it believes nobody."""

    staging: int

    def file(self, name: str, source: int, found: os.stat_result) -> None:
        with os.fdopen(os.open(name, _READ, dir_fd=source), "rb") as reader:
            found = os.fstat(reader.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != self.rules.owner:
                return
            with os.fdopen(os.open(name, _CREATE, 0o600, dir_fd=self.staging), "wb") as writer:
                while chunk := reader.read(_CHUNK):
                    self.tally.add_size(len(chunk))
                    writer.write(chunk)
                writer.flush()
                os.fchmod(writer.fileno(), 0o755 if found.st_mode & stat.S_IXUSR else 0o644)
                os.fsync(writer.fileno())

    def folder(self, name: str, source: int, target: int | None, path: str, depth: int) -> None:
        os.mkdir(name, 0o755, dir_fd=self.staging)
        above = self.staging
        with opened(name, above) as self.staging:
            os.fchmod(self.staging, 0o755)  # whatever our umask takes off
            self.walk(source, target, f"{path}/", depth)
            os.fsync(self.staging)
        self.staging = above


@dataclass(slots=True)
class _Move:
    """From staging to its place, and back when it fails."""

    target: int
    last: str
    done: list[str] = field(default_factory=list)

    def all_of(self, staging: int) -> None:
        """Every name that is new; a folder that is new in one rename."""
        try:
            self._names(staging, self.target, "")
        except BaseException:
            for path in reversed(self.done):
                self._take_back(path)
            raise

    def _names(self, staging: int, target: int, path: str) -> None:
        names = sorted(os.listdir(staging), key=lambda name: self._holds_last(f"{path}{name}"))
        for name in names:
            there, here = _mode(name, target), f"{path}{name}"
            if there is None:
                os.rename(name, name, src_dir_fd=staging, dst_dir_fd=target)
                self.done.append(here)
            elif stat.S_ISDIR(there) and stat.S_ISDIR(_mode(name, staging) or 0):
                with opened(name, staging) as inner, opened(name, target) as outer:
                    self._names(inner, outer, f"{here}/")
        os.fsync(target)

    def _holds_last(self, path: str) -> bool:
        return self.last == path or self.last.startswith(f"{path}/")

    def _take_back(self, path: str) -> None:
        *above, name = path.split("/")
        with suppress(OSError):
            folder = ownership.open_below(self.target, above, FOLDER)
            try:
                _remove(name, folder)
            finally:
                os.close(folder)


_CLOSED = 0o700


@contextmanager
def _staging(target: int) -> Iterator[int]:
    """A new folder that nobody but root may enter, on the file system of the worker's."""
    name = f".tqunits-{secrets.token_hex(8)}.tmp"
    os.mkdir(name, _CLOSED, dir_fd=target)
    try:
        with opened(name, target) as staging:
            yield staging
    finally:
        _remove(name, target)


def _remove_leftovers(target: int) -> None:
    """What a harvest that was killed has left: ours, and closed to everybody else, as nothing is that was brought home.

    The owner of the worker's folder can give another folder of root's that name, and would lose it.
    """
    with os.scandir(target) as entries:
        found = [entry.name for entry in entries if _STAGING.fullmatch(entry.name) and _is_ours(entry)]
    for name in found:
        _remove(name, target)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    found = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == _CLOSED


def _remove(name: str, folder: int) -> None:
    """What we have made ourselves, without following links (shutil.rmtree, dir_fd=)."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=folder)


def _mode(name: str, folder: int | None) -> int | None:
    """The type and mode of a name in a folder, a link's own; None where there is nothing."""
    if folder is None:
        return None
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


@contextmanager
def _opened_if(name: str, folder: int | None, mode: int | None) -> Iterator[int | None]:
    if folder is None or mode is None:
        yield None
    else:
        with opened(name, folder) as descriptor:
            yield descriptor
