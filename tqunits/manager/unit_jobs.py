"""Has systemd start, stop and restart units for the manager, waits for what comes of it, and finds
out why it failed.

The jobs go on whether somebody waits for them or not. They have the mode `replace`, but for the
restarts of a roll (`replace_instance`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tqunits.errors import NotPermitted
from tqunits.host import endings, pauses
from tqunits.layout import Layout
from tqunits.lifecycle.outcome import JobResult
from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY
from tqunits.system.async_jobs import AsyncJobs
from tqunits.system.bus import Bus

_PAUSE_US: Final = 5_000_000
"""For the end of a pause after a failed start, which takes no time."""


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job has failed."""

    sentence: str
    lines: str | None  # that explain it further, if there are any
    is_slow: bool  # it took too long, or the health check failed


async def run_workers(
    bus: Bus, method: str, units: Sequence[str], *, timeout_us: int = INFINITY
) -> Sequence[JobResult]:
    """What came of a job for each of these units of workers. One that has failed and waits for its
    next start is started now. Raises TqunitsError."""
    async with _jobs(bus) as jobs:
        await _clear_pauses(jobs, bus, method, units)
        return await jobs.run(method, units, timeout_us=timeout_us)


async def replace_instance(bus: Bus, method: str, unit: str) -> JobResult:
    """The same for one unit in a roll, whose worker goes on serving.

    So a restart does not pass to those who require the unit (Requires=): systemd would restart all
    of them at once, without taking them out of the traffic, and for each instance of the roll anew.
    The job then starts nothing that the unit itself requires either. Raises TqunitsError.
    """
    async with _jobs(bus) as jobs:
        is_required = method == "RestartUnit" and bus.property_of(unit, "Unit", "RequiredBy", "as")
        await _clear_pauses(jobs, bus, method, [unit])
        mode = "ignore-requirements" if is_required else "replace"
        (ended,) = await jobs.run(method, [unit], timeout_us=INFINITY, mode=mode)
    return ended


async def run_once(bus: Bus, unit: str) -> JobResult:
    """What came of a start of a unit that ends by itself. Raises TqunitsError."""
    async with _jobs(bus) as jobs:
        (ended,) = await jobs.start([unit])
    return ended


async def why(ended: JobResult, layout: Layout) -> JobFailure:
    """Why a job has failed. The journal is read, so it is done in a thread."""
    (ending,) = await asyncio.to_thread(endings.judged, [ended], layout, user_mode=False)
    lines = "\n".join(f"{label}: {text}" if label else text for label, text in ending.details)
    return JobFailure(ending.sentence, lines or None, ending.is_slow)


async def _clear_pauses(jobs: AsyncJobs, bus: Bus, method: str, units: Sequence[str]) -> None:
    if method != "StopUnit":
        await jobs.stop(pauses.cleared(bus, units), timeout_us=_PAUSE_US)


@asynccontextmanager
async def _jobs(bus: Bus) -> AsyncIterator[AsyncJobs]:
    try:
        async with AsyncJobs(bus) as jobs:
            yield jobs
    except NotPermitted:
        raise NotPermitted("polkit lets the manager start and stop nothing: 'tqunits doctor' tells why") from None
