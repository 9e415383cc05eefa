"""What a watched worker's changes lead to, written down instead of done: a real folder, and
managers that come and go."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from host.releases import layout_in, written
from manager.watched_folder import ALL, WORKER, Bench, subject_of, worker_folder

from tqunits.manager.watched_files import WatchedFiles
from tqunits.manager.watched_worker import WatchedWorker
from tqunits.manager.work_meter import WorkMeter
from tqunits.units.watch_note import WatchNote


class WrittenActs:
    """Writes down what it is asked for, and says that it is done."""

    def __init__(self, bench: Bench) -> None:
        self.done: list[str] = []
        self.refusal = ""
        self.is_accepting = True
        self.runs_from: int | None = None
        self.took = 0  # µs of a deploy
        self.goes_on = asyncio.Event()  # of `apply`
        self.goes_on.set()
        self._bench = bench

    async def apply(self, worker: str, cost: WorkMeter) -> str:
        cost.charge(0)
        assert worker == WORKER
        self._note("apply")
        await self.goes_on.wait()
        return self.refusal

    def deploy(self, worker: str, message: str) -> int | None:
        assert worker == WORKER
        self._note(message)
        return len(self.done) if self.is_accepting else None

    def ended_us(self, worker: str, number: int) -> int | None:
        assert (worker, number <= len(self.done)) == (WORKER, True)
        return time.time_ns() // 1000

    def took_us(self, worker: str, number: int) -> int | None:
        assert (worker, number <= len(self.done)) == (WORKER, True)
        return self.took

    def runs_from_us(self, worker: str) -> int | None:
        assert worker == WORKER
        return self.runs_from

    def _note(self, what: str) -> None:
        self.done.append(what)
        self._bench.ring()


class Desk:
    """One worker, and managers that come and go."""

    def __init__(self, bench: Bench, place: Path) -> None:
        self.bench, self.folder = bench, worker_folder(place)
        layout = layout_in(place / "state")
        self.kept, self.file = WatchedFiles(layout), Path(layout.watched(WORKER))
        self.acts = WrittenActs(bench)
        self.watched: WatchedWorker | None = None

    def begin(self, note: WatchNote = ALL) -> WatchedWorker:
        """A manager starts."""
        self.watched = WatchedWorker(
            subject_of(self.folder, note), self.bench.tools, self.kept, self.acts, self.bench.ring
        )
        return self.watched

    def end(self) -> None:
        """It ends."""
        if self.watched is not None:
            self.watched.close()
            self.watched = None

    def edit(self, **files: str) -> None:
        written(self.folder, **files)

    async def looked(self) -> None:
        """Wait until the present state was looked at, and what is due was begun. A look that goes
        on already may be one too many, so it is waited for first."""
        watched = self.watched
        assert watched is not None
        for _ in range(2):
            before = len(self.bench.looks)
            watched.watch.look_again()
            async with asyncio.timeout(60):
                while len(self.bench.looks) <= before:
                    await asyncio.sleep(0)
            await self.bench.look_is_over()

    async def did(self, count: int) -> list[str]:
        """What was done, once it is so much."""
        await self.bench.until(lambda: len(self.acts.done) >= count)
        return self.acts.done
