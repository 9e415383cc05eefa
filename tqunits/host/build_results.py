"""Takes the results of a build from its workspace into the worker's folder, as root's files.

The owners of both sides may try to make root read or write where they may not: the build made every
name in its workspace, and the owner of the worker's folder may rename in it at any time. So a path
is used only where root alone can rename. Below that, each folder is opened in the one before
(openat(2) with O_NOFOLLOW), and only what is already open is examined, by fstat(2).

A first pass looks at everything, within bounds. A second pass copies it to a folder of root's
beside the destination. What has arrived there completely is then moved, by one rename(2) for each
new name. Results of an earlier build are replaced, or removed if this build does not make them.
They are put aside first, so that a failure on the way can be undone. A power cut between the
renames may leave some of them done; then the record (built.py) is unfinished and the next install
builds again. The worker's command comes last. Files that somebody else has put into a build's
folders stay.

A source stays as it is, even if the build has changed its copy of it. The one exception is the
worker's command, because it is what the build is for.

Symbolic links are copied as links and belong to the build's user. A link of root's in a folder of
root's would count as root's decision about where a path leads (ownership.py); this decision is the
build's.

What is not taken: anything but regular files, folders and links of the build's own user; names that
begin with "-", contain a control character or are not UTF-8, because somebody's script may read
them; `.git`, because git runs its hooks and settings; and names that begin with a dot, unless they
lie in a folder that the build has made or the command of the build or of the worker names them.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.host.hostile_files import Untaken, file_copy, is_strange, is_taken_kind
from tqunits.host.made import NOTHING, Made
from tqunits.light_dataclass import dataclass
from tqunits.system.files import is_temporary, temporary_name
from tqunits.system.survey import READ, Bounds, Tally, opened, opened_below, opened_for_root


class NotMade(TqunitsError):
    """The build has not made the worker's command. The message is its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The outcome of a harvest."""

    made: Made
    kept: Untaken  # sources that the build has changed
    left: Untaken  # what is not taken


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
    """Move the content of `built` to `folder`; `last`, the worker's command, comes after everything
    else.

    `named`: paths below the folder whose names may begin with a dot; `last` is one of them.
    `before`: what an earlier harvest has brought. `intend` is called before the first change, with
    what this harvest brings. Raises OSError, TqunitsError beyond a bound, and NotMade when `last`
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
    """What is taken, and what it may replace."""

    owner: int  # the build's uid: a file of another owner is a hard link that the build made, and not its work
    named: frozenset[str]
    last: str
    before: Made

    def take(self, name: str, path: str, found: os.stat_result, *, is_within: bool) -> bool:
        """Whether this file or folder is taken, by its name, type and owner. `is_within`: it lies
        in a folder that the build has made."""
        if found.st_uid != self.owner or not is_taken_kind(found) or is_strange(name):
            return False
        is_named = not name.startswith(".") or is_within
        return is_named or any(n == path or n.startswith(f"{path}/") for n in self.named)

    def is_replaced(self, path: str, there: int) -> bool:
        """Whether the file or folder in the worker's folder is replaced."""
        return path in self.before.roots | self.before.whole or (path == self.last and stat.S_ISREG(there))

    def is_before(self, path: str) -> bool:
        """Whether an earlier build has made this path."""
        return self.before.has(path)


@dataclass(slots=True)
class _Look:
    """A pass over the workspace, in parallel with the worker's folder. This class only counts."""

    rules: _Rules
    tally: Tally
    has_last: bool = False
    kept: Untaken = field(default_factory=Untaken)
    left: Untaken = field(default_factory=Untaken)

    def walk(self, source: int, target: int | None, path: str, depth: int) -> None:
        """Visit everything in an open folder that is taken. `target` is the worker's folder of the
        same name, None when there is none."""
        self.tally.descend(depth)
        with os.scandir(source) as entries:
            for entry in entries:
                here = f"{path}{entry.name}"
                self.tally.add(0, here)
                self._entry(entry.name, entry.stat(follow_symlinks=False), (source, target), here, depth)

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
        elif there is None or stat.S_ISDIR(there.st_mode):  # a file or a link in its place stays as it is
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
        """A link counts no bytes."""

    def file(self, name: str, source: int, found: os.stat_result, path: str) -> None:
        """Counts the apparent size. A file with holes takes no blocks in the workspace, but all of
        them after it is copied."""
        self.tally.add_size(found.st_size)

    def folder(self, _name: str, source: int, target: int | None, path: str, depth: int) -> None:
        """A folder, whether it is new or the worker has it too."""
        self.walk(source, target, f"{path}/", depth)


@dataclass(slots=True, kw_only=True)
class _Copy(_Look):
    """The pass that copies, into `staging`. It counts again, because the workspace may have
    changed."""

    staging: int
    names: list[str] = field(default_factory=list)

    def link(self, name: str, source: int, path: str) -> None:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=self.staging)
        os.chown(name, self.rules.owner, -1, dir_fd=self.staging, follow_symlinks=False)
        self.names.append(path)

    def file(self, name: str, source: int, found: os.stat_result, path: str) -> None:
        with os.fdopen(os.open(name, READ, dir_fd=source), "rb") as reader:
            found = os.fstat(reader.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != self.rules.owner:
                return
            with file_copy(reader, name, self.staging, self.tally) as copy:
                os.fsync(copy)
        self.names.append(path)

    def folder(self, name: str, source: int, target: int | None, path: str, depth: int) -> None:
        os.mkdir(name, 0o755, dir_fd=self.staging)
        if target is None:
            self.names.append(path)
        above = self.staging
        with opened(name, above) as self.staging:
            os.fchmod(self.staging, 0o755)  # independent of our umask
            self.walk(source, target, f"{path}/", depth)
            os.fsync(self.staging)
        self.staging = above


@dataclass(frozen=True, slots=True)
class _Step:
    """One change of a name in the worker's folder."""

    path: str
    old: str | None  # the name in `aside` of what was there before
    is_new: bool  # whether something new is there now


@dataclass(slots=True)
class _Move:
    """Moves everything from staging to its place, and back after a failure."""

    target: int
    rules: _Rules
    aside: int
    done: list[_Step] = field(default_factory=list)

    def roots_of(self, staging: int, target: int, path: str) -> Iterator[str]:
        """The paths that will be moved: every new name; a new folder is one path."""
        for name in self._sorted(staging, path):
            there, here = _status(name, target), f"{path}{name}"
            if there is None or self.rules.is_replaced(here, there.st_mode):
                yield here
            elif _is_folder(there) and _is_folder(_status(name, staging)):
                with opened(name, staging) as inner, opened(name, target) as outer:
                    yield from self.roots_of(inner, outer, f"{here}/")

    def all_of(self, staging: int, *, gone: Collection[str]) -> None:
        """Move everything from staging; put aside the paths in `gone`, which are not made any
        more."""
        try:
            for path in sorted(gone):
                self._remove_old(path)
            self._names(staging, self.target, "")
        except BaseException:
            for step in reversed(self.done):
                self._take_back(step)
            raise

    def carry_foreign(self) -> None:
        """Move back what somebody else had put into a build's old folder, where that name is
        free."""
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
        """Replace a name. A file is replaced in one rename, so that a worker that starts at this
        moment finds one of the two."""
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
        """The parent folder of a path, opened without following links, and the last name of the
        path."""
        *names, name = path.split("/")
        for count in range(len(names) if make else 0):
            with opened_below(self.target, names[:count]) as above, suppress(FileExistsError):
                os.mkdir(names[count], 0o755, dir_fd=above)
        with opened_below(self.target, names) as folder:
            yield folder, name

    def _sorted(self, staging: int, path: str) -> list[str]:
        """The names in order; the one that contains the worker's command comes last."""
        return sorted(os.listdir(staging), key=lambda name: self._holds_last(f"{path}{name}"))

    def _holds_last(self, path: str) -> bool:
        return self.rules.last == path or self.rules.last.startswith(f"{path}/")


_CLOSED = 0o700


@contextmanager
def _staging(target: int) -> Iterator[int]:
    """A new folder that only root may enter, on the file system of the worker's folder."""
    name = temporary_name()
    os.mkdir(name, _CLOSED, dir_fd=target)
    try:
        with opened(name, target) as staging:
            yield staging
    finally:
        _remove(name, target)


def _remove_leftovers(target: int) -> None:
    """Remove the folders of a harvest that was killed. They are root's and have mode 0700, which no
    harvested folder has.

    The owner of the worker's folder can give another such folder of root's this name, and it would
    be removed.
    """
    with os.scandir(target) as entries:
        found = [entry.name for entry in entries if is_temporary(entry.name) and _is_ours(entry)]
    for name in found:
        _remove(name, target)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    found = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == _CLOSED


def _remove(name: str, folder: int) -> None:
    """Remove what we have made ourselves, without following links (shutil.rmtree, dir_fd=)."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=folder)


def _status(name: str, folder: int | None) -> os.stat_result | None:
    """The status of a name in a folder, of a link itself; None when there is no such name."""
    if folder is None:
        return None
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_folder(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _is_same(there: os.stat_result, found: os.stat_result) -> bool:
    """Whether a file is still the unchanged copy of the source. A copy keeps the size and the time
    of its source (alone/workspace.py)."""
    both = stat.S_ISREG(there.st_mode) and stat.S_ISREG(found.st_mode)
    return both and (there.st_size, there.st_mtime_ns) == (found.st_size, found.st_mtime_ns)


@contextmanager
def _opened_if(name: str, folder: int | None, there: os.stat_result | None) -> Iterator[int | None]:
    if folder is None or there is None:
        yield None
    else:
        with opened(name, folder) as descriptor:
            yield descriptor
