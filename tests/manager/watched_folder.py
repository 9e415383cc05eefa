"""The watch of a worker as the manager has it, with real folders and a real inotify; and what it
has told."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from host.releases import written
from tree_owner import Bells

from tqunits.manager.folder_look import SettledFolder, WatchSubject
from tqunits.manager.source_room import SourceRoom
from tqunits.manager.worker_watch import WatchTools, WorkerWatch
from tqunits.system.inotify_queue import InotifyQueue
from tqunits.system.tree_watch import TreeWatches
from tqunits.units.watch_note import WatchNote

ALL = WatchNote(paths=(".",), ignore=(), without=(), debounce=20_000, max_wait=5_000_000, may_write=False)
WORKER = "api"
YAML = "config/worker.yaml"
PATIENCE = 60  # seconds


def worker_folder(folder: Path) -> Path:
    """A worker's folder with some sources."""
    return written(folder / WORKER, **{YAML: "type: http\n", "main.py": "1", "lib/deep/er.py": "2"})


def subject_of(folder: Path, note: WatchNote = ALL, copied: tuple[str, ...] = ()) -> WatchSubject:
    return WatchSubject(worker=folder.name, source=str(folder / YAML), note=note, copied=copied)


@dataclass
class Bench:
    """What the watches of one test have."""

    tools: WatchTools
    bells: Bells
    said: list[str]
    looks: list[str]  # the worker of each look that went as far as its sources
    results: set[str] = field(default_factory=set)  # of builds
    found: list[SettledFolder] = field(default_factory=list)
    _happened: asyncio.Event = field(default_factory=asyncio.Event)

    def watch(self, subject: WatchSubject) -> WorkerWatch:
        return WorkerWatch(subject, self.tools, self.on_found)

    def on_found(self, found: SettledFolder) -> None:
        self.found.append(found)
        self.ring()

    def ring(self) -> None:
        """Something has happened that a test may wait for."""
        self._happened.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until it is so. It is asked each time that something was found or said."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._happened.clear()
                await self._happened.wait()

    async def look_is_over(self) -> None:
        """Wait until a look that goes on was told: each thread does one thing after the other."""
        for thread in (self.tools.local, self.tools.remote):
            await asyncio.get_running_loop().run_in_executor(thread, int)

    async def has_found(self, count: int) -> SettledFolder:
        """What the look with this number, from 1, has found."""
        await self.until(lambda: len(self.found) >= count)
        return self.found[count - 1]

    async def finds(self, condition: Callable[[SettledFolder], object]) -> SettledFolder:
        """Wait until this is the last that was found."""
        await self.until(lambda: self.found and condition(self.found[-1]))
        return self.found[-1]

    def said_of(self, words: str) -> int:
        """How often something with these words was said."""
        return sum(words in each for each in self.said)


@asynccontextmanager
async def watch_bench(queue: InotifyQueue | None = None) -> AsyncIterator[Bench]:
    """What is shared by all watches of a test."""
    trees = TreeWatches(asyncio.get_running_loop(), queue)
    said, looks, results = list[str](), list[str](), set[str]()
    threads = ThreadPoolExecutor(1), ThreadPoolExecutor(1)

    def of_builds(worker: str) -> Collection[str]:
        looks.append(worker)
        return results

    def say(line: str) -> None:
        said.append(line)
        bench.ring()

    with tempfile.TemporaryDirectory() as folder:
        tools = WatchTools(
            trees=trees,
            local=threads[0],
            slow=threads[0],
            remote=threads[1],
            results=of_builds,
            say=say,
            room=SourceRoom(),
        )
        bench = Bench(tools, Bells(trees, Path(folder)), said, looks, results)
        try:
            yield bench
        finally:
            trees.close()
            for each in threads:
                each.shutdown()
