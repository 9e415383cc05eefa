"""One look at the folder of a worker, in a thread: what its sources and its settings are now, and
why the kernel does not tell of their changes, where it does not.

The settings are the worker.yaml and the files that it names. Both may lie outside of what
`watch.paths` names, behind links, or in a folder that is ignored. So each of them is watched by the
way to it, too (system/path_watch.py).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.host import watched_tree
from tqunits.host.checkout_lock import is_checkout_running
from tqunits.host.configuration_files import MAX_BYTES
from tqunits.host.source_tree import Sources
from tqunits.host.watched_tree import TreeLook
from tqunits.layout import WORKER_YAML
from tqunits.light_dataclass import dataclass
from tqunits.system import closed_folders, files
from tqunits.system.path_watch import WatchedPath
from tqunits.system.remote_files import remote_type
from tqunits.system.tree_watch import Renewal
from tqunits.system.watch_limits import WatchLimit, beyond_share, fair_share, limit_of
from tqunits.units.watch_note import WatchNote


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSubject:
    """What is watched."""

    worker: str
    source: str  # its worker.yaml
    note: WatchNote
    copied: tuple[str, ...] = ()  # files that its settings name, and that root copies for it; absolute

    @property
    def folder(self) -> Path:
        """The worker's own."""
        return Path(self.source).parent.parent

    @property
    def settings(self) -> tuple[Path, ...]:
        """The files that its settings come from."""
        return Path(self.source), *map(Path, self.copied)

    def is_setting(self, path: str) -> bool:
        """Whether a path below the folder is one of its settings, and no source."""
        return path == WORKER_YAML or f"{self.folder}/{path}" in self.copied


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledFolder:
    """What lies in the folder."""

    look: TreeLook
    settings: str  # what tells its worker.yaml, and the files that this names, from others; hex
    is_remote: bool  # its file system is another host's
    unwatched: str  # why the kernel does not tell of changes; "" where it does


@dataclass(slots=True)
class FolderLook:
    """The look."""

    subject: WatchSubject
    known: Sources
    results: Callable[[str], Collection[str]]
    tree: Renewal
    ways: Sequence[tuple[WatchedPath, Renewal]]  # to its settings
    may_wait: bool = True  # for the end of a checkout
    took: int = 0  # µs of a CPU

    def perform(self) -> SettledFolder | None:
        """None: git is changing the files. Raises TqunitsError, OSError."""
        begin = time.thread_time_ns()
        try:
            return self._perform()
        finally:
            self.took = (time.thread_time_ns() - begin) // 1000

    def _perform(self) -> SettledFolder | None:
        subject, adding = self.subject, _Adding(self.tree)
        try:
            for path, renewal in self.ways:
                path.follow(partial(adding.add, to=renewal))
        except OSError as error:
            adding.limit = _limit(error)
        if self.may_wait and is_checkout_running(subject.folder, time.time_ns()):
            return None
        settings = _settings(subject)
        remote = remote_type(subject.folder)
        look = watched_tree.look(
            subject.folder, subject.note, self.known, results=self.results(subject.worker), watch=adding.add
        )
        if not look.folders:
            raise TqunitsError(
                f"nothing of {subject.folder} is watched", hint="watch.paths names no folder that is there"
            )
        told = f"{remote} does not tell what other hosts change" if remote else ""
        if adding.limit is not None:
            told = f"{adding.limit} ({adding.limit.hint})"
        return SettledFolder(look=look, settings=settings, is_remote=remote is not None, unwatched=told)


class _Adding:
    """Adds watches, as long as there are some, and it has not had its share."""

    def __init__(self, tree: Renewal) -> None:
        self.limit: WatchLimit | None = None
        self._tree = tree
        self._most = fair_share()
        self._count = 0

    def add(self, descriptor: int, path: str, to: Renewal | None = None) -> None:
        """Watch this folder. `to`: None: the tree's own. Raises OSError for another reason than a
        limit."""
        self._count += 1
        if self._count > self._most and self.limit is None:
            self.limit = beyond_share(self._most)
        if self.limit is None:
            try:
                (to or self._tree).add(descriptor, path)
            except OSError as error:
                self.limit = _limit(error)


def _limit(error: OSError) -> WatchLimit:
    """Raises it for another reason than a limit."""
    limit = limit_of(error)
    if limit is None:
        raise error
    return limit


def _settings(subject: WatchSubject) -> str:
    """What tells these settings from others, in hex: the content of worker.yaml and the times of
    the files that it names. Raises TqunitsError when there is no worker.yaml."""
    yaml, digest = Path(subject.source), hashlib.sha256()
    try:
        digest.update(files.read_regular(yaml, MAX_BYTES))
    except FileNotFoundError:
        raise TqunitsError(f"{yaml} is not there, and what is installed stays") from None
    except PermissionError:
        try:
            digest.update(_times(yaml))
        except PermissionError:
            is_open = os.access(subject.folder, os.X_OK, effective_ids=True)
            raise closed_folders.refusal(yaml.parent if is_open else subject.folder) from None
    for each in subject.copied:
        with suppress(OSError):  # it is not there: a start has the copy
            digest.update(b"\0" + _times(Path(each)))
    return digest.hexdigest()


def _times(path: Path) -> bytes:
    """What tells a file from what it was, for those who may not read it. Raises OSError."""
    status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode()
