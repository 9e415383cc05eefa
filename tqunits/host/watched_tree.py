"""A look at the sources of a worker whose folder is watched: what they are now, as a digest, and
which folders tell when they may have changed.

An event of a watch is only a reason to look: two looks with the same digest saw the same content.
The walk, and what is a source, are those of source_tree.py; here is what `watch` in worker.yaml and
the .gitignore files say besides. A folder that does not count is neither listed nor watched. A
folder that does is watched before it is listed: a file that appears in between is seen by one of
both.

The folder may be a stranger's, who wants us to read or to count for ever, so everything has a
bound. Also the time has: with all bounds used up, patterns and names could take an hour of a CPU.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Collection
from dataclasses import field
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host import source_tree
from tqunits.host.source_tree import Guide, Scope, Sources
from tqunits.layout import WORKER_YAML
from tqunits.lifecycle import ignoring
from tqunits.lifecycle.ignoring import IgnoreRules
from tqunits.light_dataclass import dataclass
from tqunits.printable import printable
from tqunits.system import closed_folders
from tqunits.system.survey import READ
from tqunits.units.watch_note import WatchNote

MAX_WATCHED: Final = 100_000
"""Files and folders that are listed, also ignored ones: five times a large project. Each row costs
400 bytes of the manager's memory."""

MAX_WATCHED_PATHS: Final = 16 << 20
"""Characters of all their paths: five times those of a large project."""

MAX_TREE_PATTERNS: Final = 5000
"""Patterns of all .gitignore files in a tree: 30 MB, when each is as long as it may be."""

MAX_TREE_TEXT: Final = 128 * 1024
"""Bytes of all .gitignore files in a tree: what is made of them stays in memory, some 2 MB."""

MAX_CPU_S: Final = 20
"""Seconds of a CPU for one look. With 20 000 files the first takes 0.4, and the next ones 0.2."""

GITIGNORE: Final = ".gitignore"
_ALL: Final = "."
_HINT: Final = "name what is no source in watch.ignore of its worker.yaml"
_UNREAD: Final = "name it in watch.ignore of its worker.yaml: then it is not read"
_NO_TEXT: Final = frozenset({errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENXIO})  # nothing, a link, closed, a socket
_ROW: Final = 256  # characters of paths for which as much memory counts as for a file
_TIMED: Final = 64  # after so many names the time is looked at
_MOST_NAMED, _LONGEST_NAME = 3, 200  # of the files that a message tells; it has less than release.MAX_MESSAGE


Watch = Callable[[int, str], None]
"""Is called with the descriptor and the path of each folder that counts; "" is the worker's own."""


@dataclass(frozen=True, slots=True)
class TreeRules:
    """Says quickly whether a name that an event tells can be a source."""

    paths: frozenset[str]  # what counts, with everything below
    ways: frozenset[str]  # the folders above them
    without: frozenset[str]
    by_folder: dict[str, IgnoreRules]  # of the folders that have a .gitignore, and of ""

    def is_ignored(self, path: str, *, is_folder: bool) -> bool:
        """Whether a name in a watched folder does not count. A .gitignore counts where it is read,
        also if it is no source: by it others become some, or are none."""
        folder, _, name = path.rpartition("/")
        if name in source_tree.NEVER or path in self.without:
            return True
        rules = self.by_folder[next(above for above in _upwards(folder) if above in self.by_folder)]
        if name == GITIGNORE and not is_folder:
            return rules.is_excluded(path)
        is_all = not self.paths.isdisjoint(_upwards(folder))
        is_wanted = is_all or self.is_on_the_way(path, is_folder=is_folder)
        return not is_wanted or rules.is_ignored(path, is_folder=is_folder)

    def is_on_the_way(self, path: str, *, is_folder: bool) -> bool:
        """Whether a path is named in watch.paths, or a folder above one that is."""
        return path in self.paths or (is_folder and path in self.ways)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLook:
    """What a look has found."""

    digest: str  # hex; another one for another content
    sources: Sources  # `known` of the next look
    rows: int  # how much room they take (manager/source_room.py)
    folders: int  # that are watched
    took: int  # µs of a CPU: on a busy host a look takes longer, and costs no more
    rules: TreeRules


def look(folder: Path, note: WatchNote, known: Sources, *, results: Collection[str], watch: Watch) -> TreeLook:
    """Look at the sources in a worker's folder.

    `known`: the sources of an earlier look; only files that have changed since are read. `results`:
    paths that its build makes. Raises OSError, what `watch` raises, and TqunitsError beyond a bound
    or for a folder that is closed to this process.
    """
    paths = frozenset("" if path == _ALL else path for path in note.paths)
    ways = frozenset(way for path in paths for way in _upwards(path))
    without = frozenset({WORKER_YAML, *note.without, *results})
    rules = ignoring.rules_of(note.ignore)
    tree = _Tree(TreeRules(paths, ways, without, {"": rules}), watch)
    guide = _FolderGuide(tree, rules, is_all=False)
    scope = Scope(without=without, most=MAX_WATCHED, most_paths=MAX_WATCHED_PATHS, guide=guide)
    try:
        sources = source_tree.sources(folder, known, scope)
    except PermissionError:
        raise closed_folders.refusal(folder) from None
    except TqunitsError as error:
        raise TqunitsError(f"{folder}: {printable(error.message)}", hint=error.hint or _HINT) from None
    return TreeLook(
        digest=source_tree.digest_of(sources),
        sources=sources,
        rows=len(sources) + sum(map(len, sources)) // _ROW,
        folders=tree.folders,
        took=tree.took(),
        rules=tree.rules,
    )


def change_in_words(before: Sources, now: Sources) -> str:
    """What has changed between two looks, as the message of a deploy: one printable line."""
    changed = source_tree.changed_paths(before, now)
    if len(changed) == 1:
        [told] = source_tree.differences(before, now)
        return shortened(changed[0]) + told.removeprefix(changed[0])
    names = ", ".join(map(shortened, changed[:_MOST_NAMED]))
    more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
    return f"{len(changed)} files have changed: {names}{more}"


def shortened(path: str) -> str:
    """A path as it may be shown: printable, and no longer than a few lines. Its end says more than
    its beginning. A path in a watched folder may have 25 KB, six times as much when it is made
    printable."""
    text = printable(path)
    return text if len(text) <= _LONGEST_NAME else f"…{text[-_LONGEST_NAME:]}"


def _upwards(path: str) -> list[str]:
    """A path and all folders above it, up to ""."""
    names = path.split("/") if path else []
    return ["/".join(names[:count]) for count in range(len(names), -1, -1)]


@dataclass(slots=True)
class _Tree:
    """What one look counts."""

    rules: TreeRules
    watch: Watch
    folders: int = 0
    patterns: int = 0
    text: int = 0
    _names: int = 0
    _begin: float = field(default_factory=time.thread_time)  # seconds of a CPU

    def count_name(self) -> None:
        self._names += 1
        if self._names % _TIMED == 0 and time.thread_time() - self._begin > MAX_CPU_S:
            raise TqunitsError(f"a look at it takes more than {MAX_CPU_S} s of a CPU")

    def took(self) -> int:
        """The µs of a CPU so far."""
        return int((time.thread_time() - self._begin) * 1_000_000)

    def count_text(self, length: int) -> None:
        self.text += length
        if self.text > MAX_TREE_TEXT:
            raise TqunitsError(f"its .gitignore files have more than {MAX_TREE_TEXT >> 10} KiB", hint=_UNREAD)

    def count_patterns(self, count: int) -> None:
        self.patterns += count
        if self.patterns > MAX_TREE_PATTERNS:
            raise TqunitsError(f"its .gitignore files have more than {MAX_TREE_PATTERNS} patterns", hint=_UNREAD)


@dataclass(frozen=True, slots=True)
class _FolderGuide:
    """The guide of one folder."""

    _tree: _Tree
    _rules: IgnoreRules
    is_all: bool  # everything in it counts, and not only what is on the way to one of watch.paths

    def entered(self, folder: int, path: str) -> Guide:
        tree, here = self._tree, path.removesuffix("/")
        tree.folders += 1
        tree.watch(folder, here)
        rules, is_all = self._rules, self.is_all or here in tree.rules.paths
        text = None if rules.is_excluded(f"{path}{GITIGNORE}") else _gitignore(folder, f"{path}{GITIGNORE}")
        if text is not None:
            tree.count_text(len(text))
            rules = self._below(here, text)
            tree.count_patterns(rules.count - self._rules.count)
            tree.rules.by_folder[here] = rules
        return self if rules is self._rules and is_all == self.is_all else _FolderGuide(tree, rules, is_all)

    def counts(self, path: str, *, is_folder: bool) -> bool:
        self._tree.count_name()
        is_wanted = self.is_all or self._tree.rules.is_on_the_way(path, is_folder=is_folder)
        return is_wanted and not self._rules.is_ignored(path, is_folder=is_folder)

    def _below(self, here: str, text: str) -> IgnoreRules:
        try:
            return self._rules.below(here, text)
        except TqunitsError as error:
            raise TqunitsError(error.message, hint=_UNREAD) from None


def _gitignore(folder: int, path: str) -> str | None:
    """The text of a folder's .gitignore. None: there is none, or something that git would not read
    either (a link), or that not everybody may read."""
    try:
        descriptor = os.open(GITIGNORE, READ, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_TEXT:
            return None
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or not mode & stat.S_IROTH:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as reader:
            text = reader.read(ignoring.MAX_TEXT + 1)
    finally:
        os.close(descriptor)
    if len(text) > ignoring.MAX_TEXT:
        raise TqunitsError(f"{path} has more than {ignoring.MAX_TEXT >> 10} KiB", hint=_UNREAD)
    return os.fsdecode(text)
