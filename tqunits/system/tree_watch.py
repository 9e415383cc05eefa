"""Watches trees of folders on the event loop, all of them with one inotify instance.

An event only says "look". The owner of a tree looks: it walks the tree in a thread, and `add`s each
folder before it lists it. So what changes after the listing is told, and what changed before it is
in the listing. A folder is added by its open descriptor, so that nothing that is renamed meanwhile
is watched instead of it.

What inotify(7) means here:
- A folder keeps its watch when it is renamed. Until the next look its events have its old path.
- A folder has one watch, however many trees it is in.
- Renamed and removed folders, an unmount, an overflow of the kernel's queue: anything may have
  changed. The owner gets None instead of a path.
- Not told: changes on other hosts (system/remote_files.py), a mount over a folder
  (system/mount_bell.py), a write through a hard link from elsewhere.

Whoever writes in a tree can make events without end. An event costs 1.5 µs of CPU. So one turn
of the loop reads 512, and a tree with more than MAX_RATE of them in a second loses its watches: the
owner is told, and looks again after a while.

Threads: `Renewal.add` is called in the owner's thread, everything else on the loop. The lock is
never held while a file system is asked, which may be a server that does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from tqunits.system.inotify_queue import (
    ATTRIBUTES,
    CHANGES,
    IGNORED,
    ONLY_FOLDERS,
    OVERFLOW,
    OWN,
    EventRate,
    FolderEvent,
    InotifyQueue,
)

OnEvent = Callable[[str | None], None]
"""Gets a path below the tree's folder, or None: anything may have changed."""

MAX_RATE: Final = 5000
"""Events of one tree in a second: less than 1 % of a CPU. A checkout of 1500 files is below this. A
larger one loses nothing: the owner looks at a tree without watches, too."""

_SLICE: Final = 500
"""Watches that are removed in one turn of the loop: some 1 ms of CPU."""

_MASK: Final = CHANGES | ATTRIBUTES | OWN | ONLY_FOLDERS  # ATTRIBUTES: chmod makes a program of a file


class WatchedTree:
    """One tree; TreeWatches.tree() makes it. It has watches when it was looked at."""

    def __init__(self, watches: TreeWatches, on_event: OnEvent) -> None:
        self._watches = watches
        self._on_event: OnEvent | None = on_event
        self._rate = EventRate()
        self.is_too_busy = False
        """Whether it has lost its watches by too many events. The next look adds them anew."""

        self.paths = dict[int, str]()  # by the watch's number
        self.renewal: Renewal | None = None
        self.alone = (self,)  # one tuple for all its folders

    @property
    def folders(self) -> int:
        """How many folders are watched."""
        return len(self.paths)

    def begin_look(self) -> Renewal:
        """The owner is going to look at everything. A look that goes on adds nothing more."""
        if self.is_too_busy:
            self.is_too_busy, self._rate = False, EventRate()
        self.renewal = Renewal(self._watches, self)
        return self.renewal

    def close(self) -> None:
        """Watch it no more; nothing more is told."""
        self._on_event = None
        self._watches.forget(self)

    def tell(self, paths: Iterable[str | None], events: int, second: int) -> None:
        """Called with what the kernel told of this tree."""
        if self._rate.count(events, second) > MAX_RATE and not self.is_too_busy:
            self.is_too_busy = True
            self._watches.drop(self)
            paths = (None,)
        for path in paths:
            if self._on_event is not None:  # it may be closed by what it is told
                self._on_event(path)


class Renewal:
    """The watches of a tree as one look finds its folders."""

    def __init__(self, watches: TreeWatches, tree: WatchedTree) -> None:
        self._watches = watches
        self.tree = tree
        self.numbers = set[int]()

    @property
    def counts(self) -> bool:
        """Whether no later look has begun, and the tree still has a right to watches."""
        return self.tree.renewal is self

    def add(self, descriptor: int, path: str) -> None:
        """Watch this folder from now on; to be called before it is listed. Any thread may call it.

        `path` is that below the tree's folder, which itself is "". Raises OSError: it can not be
        read, or no watch is left (ENOSPC). If the tree was closed meanwhile or has lost its
        watches, nothing happens.
        """
        self._watches.add(self, descriptor, path)

    def end(self) -> None:
        """Remove the watches of folders that this look has not added. A look that failed is not
        ended: what was watched before still is."""
        self._watches.end(self)


class TreeWatches:
    """All trees that one process watches."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        queue: InotifyQueue | None = None,
        on_overflow: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_overflow` is called on the loop when the kernel's queue could not hold all events,
        and once more only after it was empty. Raises OSError: the user has no inotify instance
        left."""
        self._loop = loop
        self._queue = queue or InotifyQueue()
        self._on_overflow = on_overflow
        self._is_behind = False  # the queue has overflown, and was not empty since
        self._lock = threading.Lock()
        self._open = set[WatchedTree]()
        self._trees = dict[int, tuple[WatchedTree, ...]]()  # by the watch's number
        self._leaving = deque[tuple[WatchedTree, list[int]]]()
        self._adding = 0  # threads that ask the kernel for a watch
        self._removals = 0
        self._closed = False
        loop.add_reader(self._queue.fileno(), self._read)

    def tree(self, on_event: OnEvent) -> WatchedTree:
        """Another tree. `on_event` is called on the loop."""
        tree = WatchedTree(self, on_event)
        self._open.add(tree)
        return tree

    def close(self) -> None:
        """Watch nothing more."""
        self._loop.remove_reader(self._queue.fileno())
        with self._lock:
            self._closed = True
            self._close_if_unused()

    def add(self, renewal: Renewal, descriptor: int, path: str) -> None:
        """As Renewal.add."""
        removals = self._begin(renewal)
        while removals is not None:
            number = None
            try:
                number = self._queue.watch(f"/proc/self/fd/{descriptor}", _MASK)
            finally:
                removals = self._finish(renewal, number, path, removals)

    def end(self, renewal: Renewal) -> None:
        """As Renewal.end."""
        with self._lock:
            tree = renewal.tree
            if renewal.counts and not self._closed:
                tree.renewal = None
                self._let_go(tree, [number for number in tree.paths if number not in renewal.numbers])

    def drop(self, tree: WatchedTree) -> None:
        """Remove all watches of a tree."""
        with self._lock:
            tree.renewal = None
            if not self._closed:
                self._let_go(tree, list(tree.paths))

    def forget(self, tree: WatchedTree) -> None:
        """Nothing is told of this tree any more."""
        self._open.discard(tree)
        self.drop(tree)

    # Adding, in a thread

    def _begin(self, renewal: Renewal) -> int | None:
        """The removals until now; None: the look does not count any more."""
        with self._lock:
            if self._closed or not renewal.counts:
                return None
            self._adding += 1
            return self._removals

    def _finish(self, renewal: Renewal, number: int | None, path: str, removals: int) -> int | None:
        """Enter what the kernel gave. Not None: a watch has been removed meanwhile, and it may be
        this one; it has to be asked for again. A turn of the loop removes some at most once."""
        with self._lock:
            counts = renewal.counts and not self._closed
            if counts and number is not None and number not in self._trees and removals != self._removals:
                return self._removals
            self._adding -= 1
            if self._closed:
                self._close_if_unused()
            elif counts and number is not None:
                self._enter(renewal, number, path)
            elif number is not None and number not in self._trees:
                self._remove(number)
            return None

    def _enter(self, renewal: Renewal, number: int, path: str) -> None:
        tree = renewal.tree
        others = self._trees.get(number)
        if others is None:
            self._trees[number] = tree.alone
        elif tree not in others:
            self._trees[number] = (*others, tree)
        tree.paths[number] = path
        renewal.numbers.add(number)

    # Removing

    def _let_go(self, tree: WatchedTree, numbers: list[int]) -> None:
        """The watches are removed in slices; nothing of them is told from now on."""
        if len(numbers) == len(tree.paths):
            tree.paths = {}  # of twenty thousand folders, too, in no time
        else:
            for number in numbers:
                del tree.paths[number]
        if not self._leaving:
            self._loop.call_soon(self._remove_some)
        self._leaving.append((tree, numbers))

    def _remove_some(self) -> None:
        """One slice."""
        with self._lock:
            if self._closed:
                return
            for _ in range(_SLICE):
                if not self._leaving:
                    return
                self._remove_one(*self._leaving[0])
            self._loop.call_soon(self._remove_some)

    def _remove_one(self, tree: WatchedTree, numbers: list[int]) -> None:
        if not numbers:
            self._leaving.popleft()
            return
        number = numbers.pop()
        trees = self._trees.get(number, ())
        if number in tree.paths or tree not in trees:  # it was added anew meanwhile, or the kernel was first
            return
        if others := tuple(each for each in trees if each is not tree):
            self._trees[number] = others
        else:
            del self._trees[number]
            self._remove(number)

    def _remove(self, number: int) -> None:
        self._removals += 1
        with contextlib.suppress(OSError):  # it has just gone by itself
            self._queue.unwatch(number)

    def _close_if_unused(self) -> None:
        """Its number may be another file's as soon as it is closed, so no thread may use it."""
        if not self._adding:
            self._queue.close()

    # Telling

    def _read(self) -> None:
        """Report each path once, however often it has changed."""
        events = self._queue.read()
        second = int(self._loop.time())
        with self._lock:
            heard = self._heard(events)
        self._tell_overflow(events)
        for tree, (paths, count) in heard.items():
            tree.tell(paths, count, second)

    def _tell_overflow(self, events: Sequence[FolderEvent]) -> None:
        """Once, however often the queue overflows before it is read to its end."""
        has_overflown = any(event.mask & OVERFLOW for event in events)
        if has_overflown and not self._is_behind:
            self._on_overflow()
        self._is_behind = (has_overflown or self._is_behind) and not self._queue.is_empty()

    def _heard(self, events: Sequence[FolderEvent]) -> Mapping[WatchedTree, tuple[Collection[str | None], int]]:
        """What is to be told to each tree, and of how many events."""
        heard = dict[WatchedTree, tuple[dict[str | None, None], int]]()
        for (number, name), count in Counter((event.wd, event.name) for event in events).items():
            for tree in self._trees.get(number, ()):
                if (folder := tree.paths.get(number)) is not None:
                    paths, before = heard.get(tree, ({}, 0))
                    paths[joined(folder, name) if name else None] = None
                    heard[tree] = paths, before + count
        for event in events:
            if event.mask & IGNORED:
                self._gone(event.wd)
            elif event.mask & OVERFLOW:
                heard |= {tree: ({None: None}, 1) for tree in self._open if tree.folders}
        return heard

    def _gone(self, number: int) -> None:
        """The kernel has removed a watch; or told that we have, when nobody knows it any more."""
        self._removals += 1
        for tree in self._trees.pop(number, ()):
            tree.paths.pop(number, None)


def joined(folder: str, name: str) -> str:
    """The path of a name in a folder of a tree."""
    return f"{folder}/{name}" if folder else name
