"""Runs inside the machine, on the router's own event loop: waits for jobs while the same loop runs
other coroutines.

python loop_driver.py SCENARIO UNIT... ; the answer is JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence

from tqunits.lifecycle.outcome import JobResult
from tqunits.system import loop
from tqunits.system.async_jobs import AsyncJobs
from tqunits.system.bus import Bus
from tqunits.system.signals import Signals

PORT = 7171
"""Where the units of the tests ask for permission to continue. This loop gives it."""

SHORT_US = 300_000


class Porter:
    """Another coroutine on the same loop: a unit that starts or stops continues when it has
    answered."""

    def __init__(self) -> None:
        self.visits = 0
        self.is_in = asyncio.Event()

    async def visit(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.is_in.wait()
        self.visits += 1
        writer.write(b"go on\n")
        await writer.drain()
        writer.close()


async def one_after_the_other(jobs: AsyncJobs, units: Sequence[str]) -> object:
    """Start, restart and stop; after each, how the job ended and how often the other coroutine has
    run."""
    porter = Porter()
    porter.is_in.set()
    async with await asyncio.start_server(porter.visit, "127.0.0.1", PORT):
        return [[told(await ask(units)), porter.visits] for ask in (jobs.start, jobs.restart, jobs.stop)]


async def at_once(jobs: AsyncJobs, units: Sequence[str]) -> object:
    """Everything that several coroutines can request for several units at the same time; each unit
    is requested twice."""
    return [told(each) for each in await asyncio.gather(*(jobs.start([unit]) for unit in (*units, *units)))]


async def failing(jobs: AsyncJobs, units: Sequence[str]) -> object:
    (result,) = await jobs.start(units)
    return [result.result, result.failure.main_status if result.failure else None]


async def impatient(jobs: AsyncJobs, units: Sequence[str]) -> object:
    """Our time-out ends before the job does. The opposite request afterwards still gets its
    result."""
    return [told(await jobs.start(units, timeout_us=SHORT_US)), told(await jobs.stop(units))]


async def cancelled(jobs: AsyncJobs, units: Sequence[str]) -> object:
    """A coroutine that no longer waits does not affect another one that waits for the same job."""
    porter = Porter()
    async with await asyncio.start_server(porter.visit, "127.0.0.1", PORT):
        first, second = asyncio.create_task(jobs.start(units)), asyncio.create_task(jobs.start(units))
        await asyncio.sleep(0)  # both have sent their request
        first.cancel()
        porter.is_in.set()
        await asyncio.wait([first, second])
    return [first.cancelled(), told(second.result())]


async def bus_restarted(jobs: AsyncJobs, units: Sequence[str]) -> object:
    """The bus restarts while the first one's job runs."""
    return [told(await jobs.start([unit])) for unit in units]


def told(results: Sequence[JobResult]) -> dict[str, str]:
    return {each.unit: each.result for each in results}


def renewed(units: Sequence[str]) -> object:
    """Signals without a loop: of a lost connection, and of the one after it."""
    heard: list[str] = []
    with Signals(user_mode=False) as signals:
        signals.on_job_removed(lambda path, result: heard.append(result))
        print("asked", flush=True)
        while signals.process():
            signals.wait(60)
        is_silent = signals.fileno() < 0
        sys.stdin.readline()  # D-Bus runs again
        signals.renew()
        heard.clear()
        with Bus() as bus:
            for unit in units:
                bus.queue("StartUnit", unit)
        while len(heard) < len(units):
            signals.wait(60)
    return [is_silent, heard]


SCENARIOS: dict[str, Callable[[AsyncJobs, Sequence[str]], Awaitable[object]]] = {
    each.__name__: each for each in (one_after_the_other, at_once, failing, impatient, cancelled, bus_restarted)
}


def main() -> int:
    scenario, *units = sys.argv[1:]

    async def answer() -> object:
        with Bus() as bus:
            async with AsyncJobs(bus) as jobs:
                return await SCENARIOS[scenario](jobs, units)

    told = renewed(units) if scenario == "renewed" else loop.run(lambda _: answer())
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
