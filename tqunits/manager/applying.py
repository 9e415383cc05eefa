"""Has root apply the configuration: starts tq-apply.service, or tq-apply@NAME.service for an
installed worker, and tells why it failed.

The units take no argument: root's files decide what is done. A start while the same unit runs joins
that run, which may have read the files already, so then it is started once more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tqunits.errors import TqunitsError
from tqunits.host import left_out
from tqunits.layout import Layout
from tqunits.lifecycle import outcome
from tqunits.manager.unit_jobs import run_once
from tqunits.manager.work_meter import WorkMeter
from tqunits.system.bus import Bus
from tqunits.units import name

_IS_DONE = "done"


class Applying:
    """The runs of tq-apply, one after the other: they have one lock."""

    def __init__(self, bus: Bus, layout: Layout) -> None:
        self._bus = bus
        self._layout = layout
        self._turn = asyncio.Lock()

    async def apply(self, worker: str | None, cost: WorkMeter | None = None) -> str:
        """Apply the settings of an installed worker, or (None) all of the configuration. Returns
        why something was not applied; "" when all of it was. `cost`: the meter of who has caused
        it; what it waits for others is not on it."""
        unit = name.APPLY if worker is None else name.apply(worker)
        async with self._turn, _measured(cost):
            try:
                runs_already = any(each.active == "activating" for each in self._bus.list_units([unit]))
                ended = await run_once(self._bus, unit)
                if runs_already:
                    ended = await run_once(self._bus, unit)
            except TqunitsError as error:
                return str(error)
        if ended.result == _IS_DONE:
            return ""
        left = left_out.read(self._layout).workers.get(worker) if worker else None
        if left is not None:
            return left.reason
        return f"{unit} {outcome.of_job(ended.result, ended.message)}: 'journalctl -u {unit}' tells why"


@asynccontextmanager
async def _measured(cost: WorkMeter | None) -> AsyncIterator[None]:
    begin = time.monotonic_ns()
    try:
        yield
    finally:
        if cost is not None:
            cost.charge((time.monotonic_ns() - begin) // 1000)
