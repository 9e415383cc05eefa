"""Has root carry out what a deploy needs on disk: an order in a file of the manager's, a start of
tq-harvest@NAME.service, and the result in a file of root's (host/harvesting.py)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.lifecycle import outcome
from tqunits.lifecycle.release import (
    MAX_DOCUMENT,
    BuildRequest,
    HarvestOrder,
    HarvestResult,
    order_text,
    parse_result,
)
from tqunits.manager.unit_jobs import run_once
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import name

_MODE: Final = 0o600


class DeployFailed(TqunitsError):
    """A deploy can not go on. The message is a sentence without a subject, which `history` shows;
    the hint has what a build has said, or advice."""


class Harvests:
    """The orders to root."""

    def __init__(self, bus: Bus, layout: Layout) -> None:
        self._bus = bus
        self._layout = layout
        self._last = 0
        self._turns: dict[str, asyncio.Lock] = {}  # by worker: it has one file for an order

    async def make(self, worker: str, asked: BuildRequest) -> HarvestResult:
        """Have a release made of the worker's sources as they are. Raises TqunitsError."""
        return await self._carry_out(worker, HarvestOrder(number=0, build=asked, runs={}, stable=None))

    async def point(self, worker: str, runs: Mapping[int, str], stable: str | None = None) -> None:
        """Decide which release instances run at their next start, and which one is stable. Raises
        TqunitsError."""
        await self._carry_out(worker, HarvestOrder(number=0, build=None, runs=runs, stable=stable))

    async def prune(self, worker: str, stable: str | None, *, clear: bool) -> bool:
        """Have old releases removed, and with `clear` the caches of its builds: whether there were
        any. Raises TqunitsError."""
        order = HarvestOrder(number=0, build=None, runs={}, stable=stable, clear=clear)
        return (await self._carry_out(worker, order)).cleared

    async def _carry_out(self, worker: str, order: HarvestOrder) -> HarvestResult:
        async with self._turns.setdefault(worker, asyncio.Lock()):
            return await self._ordered(worker, order)

    async def _ordered(self, worker: str, order: HarvestOrder) -> HarvestResult:
        path = Path(self._layout.harvest_order(worker))
        self._last = max(self._last + 1, time.time_ns() // 1000)  # unique, after a restart of the manager too
        order = replace(order, number=self._last)
        try:
            files.make_folder(path.parent, mode=0o700)
            files.write_atomically(path, order_text(order), _MODE)
            ended = await run_once(self._bus, name.harvest(worker))
            if self._result(worker, order.number) is None and ended.result == "done":
                ended = await run_once(
                    self._bus, name.harvest(worker)
                )  # it ran already, for an earlier manager's order
        except OSError as error:
            raise DeployFailed(f"the order is not written: {error}") from None
        found = self._result(worker, order.number)
        if found is None:
            is_silent = ended.result == "done"  # it has been uninstalled meanwhile
            sentence = "did nothing" if is_silent else outcome.of_job(ended.result, ended.message)
            raise DeployFailed(f"root was asked in vain: {name.harvest(worker)} {sentence}", hint=_advice(worker))
        if found.why:
            raise DeployFailed(found.why, hint=found.hint or None)
        return found

    def _result(self, worker: str, number: int) -> HarvestResult | None:
        """What came of this order; None when nothing did."""
        try:
            found = parse_result(files.read_regular(Path(self._layout.harvest_result(worker)), MAX_DOCUMENT))
        except (OSError, ValueError, TqunitsError):
            return None
        return found if found.number == number else None


def _advice(worker: str) -> str:
    return f"journalctl -u {name.harvest(worker)}"
