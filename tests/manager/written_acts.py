"""What a watched worker's changes lead to, written down instead of done."""

from __future__ import annotations

import asyncio
import time

from manager.watched_folder import WORKER, Bench

from tqunits.manager.work_meter import WorkMeter


class WrittenActs:
    """Writes down what it is asked for, and says that it is done."""

    def __init__(self, bench: Bench) -> None:
        self.done: list[str] = []
        self.refusal = ""
        self.is_accepting = True
        self.runs_from: int | None = None
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
        return 0

    def runs_from_us(self, worker: str) -> int | None:
        assert worker == WORKER
        return self.runs_from

    def _note(self, what: str) -> None:
        self.done.append(what)
        self._bench.ring()
