"""Bring home what a build has made: from its workspace into the worker's folder, as root's.

Both sides belong to somebody who may want root to write, or to read, where he can not: the build
made every name in its workspace, and the owner of a worker's folder may rename in it meanwhile. So
nothing is reached by its path but what only root can rename: each folder is opened below the one
before (openat(2) with O_NOFOLLOW), and what was opened is looked at, not what has the name.

First all of it is looked at, within bounds. Then it is copied to a folder of root's beside its
place, and only what arrived there whole is moved, by a rename(2) for each name that is new. What an
earlier build has made is replaced, or removed where it is made no more; it is put aside first, so
what goes wrong on the way leaves everything as it was. A power cut in the middle of the renames may
leave some, and the record (built.py) without its end: so the next install builds again. The
worker's command comes last. Files that somebody else has put between those of a build stay.

A source stays as it is, also where the build has written to its copy of it; but for the worker's
command, which is the one thing that a build is there for.

Links come as what they say, and belong to the build's user: a link of root's in a folder of root's
would be root's word for where a path leads (ownership.py), and what this one leads to is the
build's.

What stays behind: whatever is no regular file, folder or link, or not the build's own; names that
begin with "-" or have a control character, or are no UTF-8, for somebody's script will be given
them; `.git`, whose hooks and settings are run by whoever asks it something; and all that begins
with a dot, unless it is in a folder that the build has made itself, or the build's or the worker's
command names it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host.made import NOTHING, Made
from tqunits.system.files import temporary_name
from tqunits.system.survey import Bounds, Tally, opened, opened_below, opened_for_root

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not hang us
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 20

_STAGING = re.compile(r"\.tqunits-[0-9a-f]{16}\.tmp")
_STRANGE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # an undecodable byte is a surrogate (PEP 383)


MAX_NAMED: Final = 5
"""Names that are told one by one."""


class NotMade(TqunitsError):
    """The build has not made the worker's command; the message is its path."""


@dataclass(slots=True)
class Untaken:
    """Names that are told, up to MAX_NAMED, and counted."""

    names: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, path: str) -> None:
        """One more."""
        self.count += 1
        if len(self.names) < MAX_NAMED:
            self.names.append(path)

    def __str__(self) -> str:
        more = self.count - len(self.names)
        return ", ".join(self.names) + (f" and {more} more" if more else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """What came of a harvest."""

    made: Made
    kept: Untaken  # sources that the build has written to
    left: Untaken  # what does not come home


def bring_home(
    built: Path,
    folder: Path,
    *,
    last: str,
    bounds: Bounds,
    named: Collection[str] = (),
    before: Made = NOTHING,
    intend: Callable[[Made], None] = lambda _: None,
) -> Harvest:
    """Move what stands in `built` to `folder`; `last`, the worker's command, after everything else.

    `named`: paths below the folder whose names may begin with a dot; `last` is one of them.
    `before` is what an earlier harvest has brought; `intend` is told what there will be besides,
    ahead of the first change. Raises OSError, TqunitsError beyond a bound, and NotMade where `last`
    would be gone.
    """
    last = os.path.normpath(last)
    paths = {os.path.normpath(path) for path in named} | {last}
    with opened_for_root(built) as source, opened_for_root(folder) as target:
        rules = _Rules(owner=os.fstat(source).st_uid, named=frozenset(paths), last=last, before=before)
        look = _Look(rules, Tally(bounds))
        look.walk(source, target, "", 1)
        if not look.has_last and rules.is_before(last):
            raise NotMade(last)
        _remove_leftovers(target)
        with _staging(target) as staging, _staging(target) as aside:
            copy = _Copy(rules, Tally(bounds), staging=staging)
            copy.walk(source, target, "", 1)
            move = _Move(target, rules, aside)
            made = Made(frozenset(move.roots_of(staging, target, "")), frozenset(copy.names))
            intend(made)
            move.all_of(staging, gone=before.roots - made.roots)
            move.carry_foreign()
    return Harvest(made=made, kept=look.kept, left=look.left)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What comes home, and what it may replace."""

    owner: int  # the build's uid: a hard link to a file of somebody else's is no work of the build's
    named: frozenset[str]
    last: str
    before: Made

    def take(self, name: str, path: str, found: os.stat_result, *, is_within: bool) -> bool:
        """Whether this file or folder does, as far as it goes by itself; `is_within` a folder of
        the build's own."""
        if found.st_uid != self.owner or stat.S_IFMT(found.st_mode) not in _TAKEN:
            return False
        if name.startswith("-") or name == ".git" or _STRANGE.search(name):
            return False
        is_named = not name.startswith(".") or is_within
        return is_named or any(n == path or n.startswith(f"{path}/") for n in self.named)

    def is_replaced(self, path: str, there: int) -> bool:
        """Whether what the worker's folder has there gives way."""
        return path in self.before.roots | self.before.whole or (path == self.last and stat.S_ISREG(there))

    def is_before(self, path: str) -> bool:
        """Whether an earlier build has made that."""
        return self.before.has(path)


_TAKEN: Final = frozenset({stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})


@dataclass(slots=True)
class _Look:
    """A pass over the workspace, beside the worker's folder; this one only counts."""

    rules: _Rules
    tally: Tally
    has_last: bool = False
    kept: Untaken = field(default_factory=Untaken)
    left: Untaken = field(default_factory=Untaken)

    def walk(self, source: int, target: int | None, path: str, depth: int) -> None:
        """Everything in an open folder that comes home; `target` is the worker's by that name, if
        there is one."""
        self.tally.descend(depth)
        with os.scandir(source) as entries:
            for entry in entries:
                self.tally.add(0)
                self._entry(
                    entry.name, entry.stat(follow_symlinks=False), (source, target), f"{path}{entry.name}", depth
                )

    def _entry(self, name: str, found: os.stat_result, places: tuple[int, int | None], path: str, depth: int) -> None:
        source, target = places
        there = _status(name, target)
        if not self.rules.take(name, path, found, is_within=target is None):
            if there is None:
                self.left.add(path)
            return
        if there is not None and self.rules.is_replaced(path, there.st_mode):
            is_copy = not self.rules.is_before(path) and _is_same(there, found)
            there = there if is_copy else None
        if not stat.S_ISDIR(found.st_mode):
            self._leaf(name, found, places, path, there)
        elif there is None or stat.S_ISDIR(there.st_mode):  # anything else, a link above all, is left alone
            with opened(name, source) as inner, _opened_if(name, target, there) as outer:
                self.folder(name, inner, outer, path, depth + 1)
        else:
            self.kept.add(path)

    def _leaf(
        self, name: str, found: os.stat_result, places: tuple[int, int | None], path: str, there: os.stat_result | None
    ) -> None:
        self.has_last = self.has_last or path == self.rules.last
        if there is not None:
            if not _is_same(there, found) and not (stat.S_ISLNK(there.st_mode) and stat.S_ISLNK(found.st_mode)):
                self.kept.add(path)
        elif stat.S_ISLNK(found.st_mode):
            self.link(name, places[0], path)
        else:
            self.file(name, places[0], found, path)

    def link(self, _name: str, _source: int, _path: str) -> None:
        """A link takes no room."""

    def file(self, name: str, source: int, found: os.stat_result, path: str) -> None:
        """As it says its size: one with holes takes no room in the workspace, and all of it in the
        worker's folder."""
        self.tally.add_size(found.st_size)

    def folder(self, _name: str, source: int, target: int | None, path: str, depth: int) -> None:
        """A folder, which is new or which the worker has too."""
        self.walk(source, target, f"{path}/", depth)


@dataclass(slots=True, kw_only=True)
class _Copy(_Look):
    """The pass that copies, into `staging`. It counts again, for it believes nobody."""

    staging: int
    names: list[str] = field(default_factory=list)

    def link(self, name: str, source: int, path: str) -> None:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=self.staging)
        os.chown(name, self.rules.owner, -1, dir_fd=self.staging, follow_symlinks=False)
        self.names.append(path)

    def file(self, name: str, source: int, found: os.stat_result, path: str) -> None:
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
        self.names.append(path)

    def folder(self, name: str, source: int, target: int | None, path: str, depth: int) -> None:
        os.mkdir(name, 0o755, dir_fd=self.staging)
        if target is None:
            self.names.append(path)
        above = self.staging
        with opened(name, above) as self.staging:
            os.fchmod(self.staging, 0o755)  # whatever our umask takes off
            self.walk(source, target, f"{path}/", depth)
            os.fsync(self.staging)
        self.staging = above


@dataclass(frozen=True, slots=True)
class _Step:
    """A name that was changed in the worker's folder."""

    path: str
    old: str | None  # what was there has this name aside
    is_new: bool  # something is there now


@dataclass(slots=True)
class _Move:
    """From staging to its place, and back when it fails."""

    target: int
    rules: _Rules
    aside: int
    done: list[_Step] = field(default_factory=list)

    def roots_of(self, staging: int, target: int, path: str) -> Iterator[str]:
        """What will be moved: every name that is new, a folder as one."""
        for name in self._sorted(staging, path):
            there, here = _status(name, target), f"{path}{name}"
            if there is None or self.rules.is_replaced(here, there.st_mode):
                yield here
            elif _is_folder(there) and _is_folder(_status(name, staging)):
                with opened(name, staging) as inner, opened(name, target) as outer:
                    yield from self.roots_of(inner, outer, f"{here}/")

    def all_of(self, staging: int, *, gone: Collection[str]) -> None:
        """Everything from there; and aside goes what is made no more."""
        try:
            for path in sorted(gone):
                self._remove_old(path)
            self._names(staging, self.target, "")
        except BaseException:
            for step in reversed(self.done):
                self._take_back(step)
            raise

    def carry_foreign(self) -> None:
        """What somebody else has put into a folder of the build's goes where it was, unless its
        place is taken."""
        for step in self.done:
            if step.old is not None and _is_folder(_status(step.old, self.aside)):
                with opened(step.old, self.aside) as old:
                    self._carry(old, f"{step.path}/")

    def _names(self, staging: int, target: int, path: str) -> None:
        for name in self._sorted(staging, path):
            there, here = _status(name, target), f"{path}{name}"
            if there is None:
                os.rename(name, name, src_dir_fd=staging, dst_dir_fd=target)
                self.done.append(_Step(here, None, is_new=True))
            elif self.rules.is_replaced(here, there.st_mode):
                self._replace(name, staging, target, here)
            elif _is_folder(there) and _is_folder(_status(name, staging)):
                with opened(name, staging) as inner, opened(name, target) as outer:
                    self._names(inner, outer, f"{here}/")
        os.fsync(target)

    def _replace(self, name: str, staging: int, target: int, path: str) -> None:
        """A file in one rename: there is always one of that name, for a worker that starts at this
        moment."""
        old: str | None = str(len(self.done))
        if _is_folder(_status(name, target)) or _is_folder(_status(name, staging)):
            os.rename(name, str(old), src_dir_fd=target, dst_dir_fd=self.aside)
            self.done.append(_Step(path, old, is_new=False))
            old = None
        else:
            os.link(name, str(old), src_dir_fd=target, dst_dir_fd=self.aside, follow_symlinks=False)
        os.rename(name, name, src_dir_fd=staging, dst_dir_fd=target)
        self.done.append(_Step(path, old, is_new=True))

    def _remove_old(self, path: str) -> None:
        old = str(len(self.done))
        with suppress(FileNotFoundError, NotADirectoryError), self._above(path) as (folder, name):
            os.rename(name, old, src_dir_fd=folder, dst_dir_fd=self.aside)
            self.done.append(_Step(path, old, is_new=False))

    def _take_back(self, step: _Step) -> None:
        with suppress(OSError), self._above(step.path) as (folder, name):
            if step.is_new:
                _remove(name, folder)
            if step.old is not None:
                os.rename(step.old, name, src_dir_fd=self.aside, dst_dir_fd=folder)

    def _carry(self, old: int, path: str) -> None:
        for name in os.listdir(old):
            here = f"{path}{name}"
            if not self.rules.is_before(here):
                self._put(name, old, here)
            elif _is_folder(_status(name, old)):
                with opened(name, old) as inner:
                    self._carry(inner, f"{here}/")

    def _put(self, name: str, old: int, path: str) -> None:
        with suppress(OSError), self._above(path, make=True) as (folder, _):
            if _status(name, folder) is None:
                os.rename(name, name, src_dir_fd=old, dst_dir_fd=folder)

    @contextmanager
    def _above(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that a path lies in, opened without following a link, and the name in it."""
        *names, name = path.split("/")
        for count in range(len(names) if make else 0):
            with opened_below(self.target, names[:count]) as above, suppress(FileExistsError):
                os.mkdir(names[count], 0o755, dir_fd=above)
        with opened_below(self.target, names) as folder:
            yield folder, name

    def _sorted(self, staging: int, path: str) -> list[str]:
        """The command last."""
        return sorted(os.listdir(staging), key=lambda name: self._holds_last(f"{path}{name}"))

    def _holds_last(self, path: str) -> bool:
        return self.rules.last == path or self.rules.last.startswith(f"{path}/")


_CLOSED = 0o700


@contextmanager
def _staging(target: int) -> Iterator[int]:
    """A new folder that nobody but root may enter, on the file system of the worker's."""
    name = temporary_name()
    os.mkdir(name, _CLOSED, dir_fd=target)
    try:
        with opened(name, target) as staging:
            yield staging
    finally:
        _remove(name, target)


def _remove_leftovers(target: int) -> None:
    """What a harvest that was killed has left: ours, and closed to everybody else, as nothing is
    that was brought home.

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


def _status(name: str, folder: int | None) -> os.stat_result | None:
    """What a name in a folder is, a link's own; None where there is nothing."""
    if folder is None:
        return None
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_folder(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _is_same(there: os.stat_result, found: os.stat_result) -> bool:
    """Whether a file is still the copy that was made of the source: it has kept its time
    (alone/workspace.py)."""
    both = stat.S_ISREG(there.st_mode) and stat.S_ISREG(found.st_mode)
    return both and (there.st_size, there.st_mtime_ns) == (found.st_size, found.st_mtime_ns)


@contextmanager
def _opened_if(name: str, folder: int | None, there: os.stat_result | None) -> Iterator[int | None]:
    if folder is None or there is None:
        yield None
    else:
        with opened(name, folder) as descriptor:
            yield descriptor
