"""The owner of a watched tree, as the manager is one: it walks its folder in a thread, and keeps
what the tree tells it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tqunits.system.tree_watch import Renewal, TreeWatches


class Owner:
    """`told` is what was told since the last look began."""

    def __init__(self, watches: TreeWatches, folder: Path) -> None:
        self.folder = folder
        self.told: list[str | None] = []
        self.tree = watches.tree(self._on_event)
        self.seen: dict[str, bytes | None] = {}

    def _on_event(self, path: str | None) -> None:
        self.told.append(path)

    async def look(self) -> None:
        """Look once, and keep what is there: the content of files, None for folders and links."""
        self.told = []
        renewal = self.tree.begin_look()
        self.seen = await asyncio.to_thread(walked, self.folder, renewal)
        renewal.end()

    def covers(self, path: str) -> bool:
        """Whether what was told says that this path may have changed."""
        above = {path, *(str(parent) for parent in Path(path).parents)}
        return None in self.told or not above.isdisjoint(self.told)


def walked(folder: Path, renewal: Renewal | None = None) -> dict[str, bytes | None]:
    """Each folder is added before it is listed. What vanishes meanwhile is not in the result."""
    found: dict[str, bytes | None] = {}
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            descriptor = os.open(folder / below, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            if renewal is not None:
                renewal.add(descriptor, below)
            for name in os.listdir(descriptor):
                path = f"{below}/{name}" if below else name
                found[path] = content(folder / path)
                if (folder / path).is_dir() and not (folder / path).is_symlink():
                    waiting.append(path)
        finally:
            os.close(descriptor)
    return found


def content(path: Path) -> bytes | None:
    try:
        return None if path.is_symlink() or path.is_dir() else path.read_bytes()
    except FileNotFoundError:
        return None


class Bells:
    """The kernel's queue has an order: when an event of now is told, all earlier ones were."""

    def __init__(self, watches: TreeWatches, folder: Path) -> None:
        self._folder = folder
        self._rung = asyncio.Event()
        self._tree = watches.tree(lambda _: self._rung.set())
        self._hang()

    def _hang(self) -> None:
        renewal = self._tree.begin_look()
        walked(self._folder, renewal)
        renewal.end()

    async def all_is_told(self) -> None:
        """Return when everything that happened until now was told. Who asks in a loop rings so
        often that the bell loses its watch."""
        if self._tree.is_too_busy:
            self._hang()
        self._rung.clear()
        (self._folder / "bell").touch()
        await asyncio.wait_for(self._rung.wait(), 60)


@asynccontextmanager
async def watching(on_overflow: Callable[[], None] = lambda: None) -> AsyncIterator[tuple[TreeWatches, Bells]]:
    """Watches of this test, and what tells when all is told."""
    watches = TreeWatches(asyncio.get_running_loop(), on_overflow=on_overflow)
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield watches, Bells(watches, Path(folder))
        finally:
            watches.close()
