"""The sources of a worker: the part of its folder that a build sees. Used to tell a changed content
from a changed time.

The outcome of a build can depend on each file's name, its content, its executable bit, and the text
of each link. Files that a build does not see are not sources: files that not everybody may read,
because a build's account has no rights of its own. Nor are these: worker.yaml, whose settings for
the build count separately (built.py), `.git`, Python's byte code, and the results of builds.

The owner of the folder may make names without end, and rename them while we look. So the folder is
walked below an open descriptor without following links, within bounds, and only what is already
open is examined. As in git's index, a file is read only if its size or one of its times has
changed; nobody can set a change time.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import field
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from tqunits.errors import TqunitsError
from tqunits.light_dataclass import dataclass
from tqunits.system.survey import MAX_DEPTH, MAX_ENTRIES, MAX_PATHS, READ, opened, opened_below, opened_for_root

MAX_READ: Final = 1 << 30
"""How many bytes of one worker's files are read. Files beyond that are known by size and time
only."""

MAX_READ_EXACTLY: Final = 16 << 30
"""The same where each byte counts: half a minute of a CPU. What is larger is data, no sources."""

MAX_RECORD: Final = 512 << 20
"""Bytes of a file that remembers paths: half a million of 1 KiB."""

MAX_RESULTS: Final = 500
"""How many files of a build are looked at: those nearest to the worker's folder."""

NEVER: Final = frozenset({".git", "__pycache__"})
"""Names that are no sources, at any depth."""

_MAX_LEVEL: Final = 20 * MAX_RESULTS  # names of one depth; somebody may have put millions into a build's folder
_CHUNK: Final = 1 << 20
_RACY_NS: Final = 50_000_000  # a file that changed so recently may change again and keep its times

LINK, FILE, PROGRAM = "l", "f", "x"


class TreeEntry(NamedTuple):
    """One file or link, as it was found."""

    kind: str  # LINK, FILE, PROGRAM
    size: int
    modified: int  # ns since 1970
    changed: int  # ns since 1970; 0: the file must be read again
    content: str  # a digest, or what stands for one

    @property
    def is_what(self) -> tuple[str, str]:
        """The part that counts in a comparison."""
        return self.kind, self.content


Sources = Mapping[str, TreeEntry]
"""Path below the worker's folder -> the file or link there."""


class Result(NamedTuple):
    """A file that a build has made."""

    size: int
    modified: int  # ns since 1970


class Guide(Protocol):
    """Decides what counts among the names in one folder. Its methods may raise TqunitsError."""

    def entered(self, folder: int, path: str) -> Guide:
        """The guide of a folder, which is opened and not listed yet; `path` ends in "/", or is
        empty for the first one."""
        ...

    def counts(self, path: str, *, is_folder: bool) -> bool:
        """Whether a name in this folder counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which part of a folder counts."""

    without: Collection[str] = frozenset()  # paths, with everything below them
    all_may_read: bool = True  # only files that everybody may read
    is_exact: bool = False  # every file is known by its content: more than MAX_READ_EXACTLY is an error
    most: int = MAX_ENTRIES  # files and folders
    most_paths: int = MAX_PATHS  # characters of their paths, all together
    guide: Guide | None = None  # what else decides


def sources(folder: Path, known: Sources, scope: Scope) -> dict[str, TreeEntry]:
    """All sources. `known`: the earlier entries, so that only changed files are read.

    Raises OSError, and TqunitsError beyond a bound.
    """
    walk = _TreeWalk(known, scope, MAX_READ_EXACTLY if scope.is_exact else MAX_READ)
    with opened_for_root(folder) as descriptor:
        walk.folder(descriptor, "", 1, scope.guide)
    return walk.found


def digest_of(found: Sources) -> str:
    """A digest of all that counts in a comparison, in hex."""
    parts = (part for path in sorted(found) for part in (path, *found[path].is_what))  # no part has a NUL
    return _digest(b"".join(os.fsencode(part) + b"\0" for part in parts))


def row_text(path: str, entry: TreeEntry) -> str:
    """A line of a record; the path may have any character but NUL."""
    return f"{entry.kind} {entry.size} {entry.modified} {entry.changed} {entry.content} {path}"


def parse_row(text: str) -> tuple[str, TreeEntry]:
    """The inverse. Raises ValueError."""
    kind, size, modified, changed, content, path = text.split(" ", 5)
    return path, TreeEntry(kind, int(size), int(modified), int(changed), content)


def differences(before: Sources, now: Sources) -> list[str]:
    """What has changed, in words, in the order of the paths."""
    return [f"{path} {_how(path in before, path in now)}" for path in changed_paths(before, now)]


def changed_paths(before: Sources, now: Sources) -> list[str]:
    """What is new, gone, or has another content or kind, in the order of the paths."""
    return sorted(path for path in before.keys() | now.keys() if _has_changed(before.get(path), now.get(path)))


def results(folder: Path, paths: Collection[str]) -> dict[str, Result]:
    """How the files look that a build has made; missing ones are left out. Raises OSError."""
    found: dict[str, Result] = {}
    with opened_for_root(folder) as descriptor:
        for path in paths:
            status = _status_below(descriptor, path)
            if status is not None and not stat.S_ISDIR(status.st_mode):
                found[path] = Result(status.st_size, status.st_mtime_ns)
    return found


def below(folder: Path, roots: Collection[str]) -> list[str]:
    """The files below these paths, and those of the paths that are files. The nearest come first,
    up to MAX_RESULTS."""
    found: list[str] = []
    level = sorted(roots)
    with opened_for_root(folder) as descriptor:
        while level and len(found) < MAX_RESULTS:
            deeper: list[str] = []
            for path in level:
                status = _status_below(descriptor, path)
                if status is not None and stat.S_ISDIR(status.st_mode):
                    names = _names(descriptor, path, _MAX_LEVEL - len(deeper))
                    deeper += (f"{path}/{name}" for name in names if name not in NEVER)
                elif status is not None:
                    found.append(path)
            level = deeper
    return found[:MAX_RESULTS]


def _has_changed(before: TreeEntry | None, now: TreeEntry | None) -> bool:
    return before is None or now is None or before.is_what != now.is_what


def _how(was: bool, is_: bool) -> str:  # noqa: FBT001 - a row of a truth table
    return "has changed" if was and is_ else "is new" if is_ else "is gone"


@dataclass(slots=True)
class _TreeWalk:
    known: Sources
    scope: Scope
    _left: int  # bytes that may still be read
    found: dict[str, TreeEntry] = field(default_factory=dict)
    _entries: int = 0
    _paths: int = 0  # characters
    _begin: int = field(default_factory=time.time_ns)

    def folder(self, folder: int, path: str, depth: int, above: Guide | None) -> None:
        if depth > MAX_DEPTH:
            raise TqunitsError(f"it has folders more than {MAX_DEPTH} deep")
        guide = None if above is None else above.entered(folder, path)
        with os.scandir(folder) as entries:
            for entry in entries:
                here = f"{path}{entry.name}"
                self._count(here)
                if entry.name not in NEVER and here not in self.scope.without:
                    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # it may change meanwhile
                        if guide is None or guide.counts(here, is_folder=entry.is_dir(follow_symlinks=False)):
                            self._entry(entry, folder, here, depth, guide)

    def _count(self, path: str) -> None:
        self._entries += 1
        self._paths += len(path)
        if self._entries > self.scope.most:
            raise TqunitsError(f"it has more than {self.scope.most} files and folders")
        if self._paths > self.scope.most_paths:
            raise TqunitsError(f"the paths of its files have more than {self.scope.most_paths >> 20} Mi characters")

    def _entry(self, entry: os.DirEntry[str], folder: int, path: str, depth: int, guide: Guide | None) -> None:
        name, found = entry.name, entry.stat(follow_symlinks=False)
        mode = found.st_mode
        if stat.S_ISLNK(mode):
            self.found[path] = _row(found, LINK, _digest(os.fsencode(os.readlink(name, dir_fd=folder))))
        elif stat.S_ISDIR(mode) and self._is_seen(mode, stat.S_IROTH | stat.S_IXOTH):
            with opened(name, folder) as below_:
                self.folder(below_, f"{path}/", depth + 1, guide)
        elif stat.S_ISREG(mode) and self._is_seen(mode, stat.S_IROTH):
            self.found[path] = self._file(name, found, folder, path)

    def _is_seen(self, mode: int, bits: int) -> bool:
        return not self.scope.all_may_read or mode & bits == bits

    def _file(self, name: str, found: os.stat_result, folder: int, path: str) -> TreeEntry:
        kind = PROGRAM if found.st_mode & stat.S_IXUSR else FILE
        known, row = self.known.get(path), _row(found, kind, "")
        if known is not None and known.changed and known[:4] == row[:4] and not self._is_vague(known):
            return known
        content = self._content(name, found, folder)
        is_racy = self._begin - row.changed < _RACY_NS
        return row._replace(content=content, changed=0 if is_racy else row.changed)

    def _is_vague(self, known: TreeEntry) -> bool:
        """Whether an earlier walk did not read the file, and this one has to."""
        return self.scope.is_exact and "-" in known.content

    def _content(self, name: str, found: os.stat_result, folder: int) -> str:
        if found.st_size > self._left and self.scope.is_exact:
            raise TqunitsError(f"it has more than {MAX_READ_EXACTLY >> 30} GiB in files")
        if found.st_size > self._left:
            return f"{found.st_size}-{found.st_mtime_ns}"
        digest = hashlib.blake2b(digest_size=20)
        with os.fdopen(os.open(name, READ, dir_fd=folder), "rb", buffering=0) as reader:
            opened_ = os.fstat(reader.fileno())
            if not stat.S_ISREG(opened_.st_mode) or not self._is_seen(opened_.st_mode, stat.S_IROTH):
                raise PermissionError  # another file has this name now
            while self._left > 0 and (chunk := reader.read(_CHUNK)):
                self._left -= len(chunk)
                digest.update(chunk)
        return digest.hexdigest()


def _row(found: os.stat_result, kind: str, content: str) -> TreeEntry:
    return TreeEntry(kind, found.st_size, found.st_mtime_ns, found.st_ctime_ns, content)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=20).hexdigest()


def _status_below(folder: int, path: str) -> os.stat_result | None:
    """The status of a path, without following links; None when there is nothing."""
    *above, name = path.split("/")
    try:
        with opened_below(folder, above) as descriptor:
            return os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return None


def _names(folder: int, path: str, most: int) -> list[str]:
    """The names in a folder, but no more than so many, which are read one by one."""
    try:
        with opened_below(folder, path.split("/")) as descriptor, os.scandir(descriptor) as entries:
            return sorted(entry.name for entry in islice(entries, most))
    except OSError:
        return []
