"""Replaces the instances of a worker by ones that run another release, so that no request fails.

Each instance is taken out of the traffic before it is stopped: the routers are told, and have to
say so, before systemd is asked. Then the unit's own ExecStop= waits for the requests that run, and
the start ends when the instance is healthy (alone/leave.py, alone/gate.py). Where memory is there,
a surge runs the new release first: it shows that the release is healthy before any other
is touched, and takes requests meanwhile. Without it requests wait in the router while the only
instance starts.

Every step can be taken twice. A failure takes those that were replaced back to what they ran
before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tqunits.errors import NotPermitted, TqunitsError
from tqunits.host import endings, pauses
from tqunits.layout import Layout
from tqunits.lifecycle.outcome import STOPS, JobResult
from tqunits.lifecycle.release import FOLDER
from tqunits.lifecycle.state import State
from tqunits.light_dataclass import dataclass
from tqunits.manager.harvests import DeployFailed, Harvests
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.record import InstanceRecord
from tqunits.manager.registry import Registry
from tqunits.manager.router_status import Routers
from tqunits.manager.usage import usage_of
from tqunits.model import INFINITY, Instance
from tqunits.system import memory
from tqunits.system.async_jobs import AsyncJobs
from tqunits.system.bus import Bus
from tqunits.units import name

ACKNOWLEDGED_S: Final = 2.0
"""How long routers may take to say that they send nothing more: they do within milliseconds. One
that hangs holds up no roll: the instance's own stop waits for its requests."""

_FIRST_LOOK_S: Final = 0.002
_LONGEST_LOOK_S: Final = 0.05

_PAUSE_US: Final = 5_000_000
"""For the end of a pause after a failed start, which takes no time."""

_RESTS: Final = frozenset({State.STOPPED, State.FAILED})

Say = Callable[[str, str, int | None], None]
"""Writes a step down: its kind (lifecycle/deploys.py), a sentence, the number of the instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a roll acts with."""

    bus: Bus
    layout: Layout
    registry: Registry
    readiness: ReadinessFile
    routers: Routers
    harvests: Harvests

    def replicas(self, worker: str) -> tuple[InstanceRecord, ...]:
        """The worker's instances, but its surge."""
        return tuple(each for each in self._all(worker) if not each.place.is_surge)

    def surge(self, worker: str) -> InstanceRecord | None:
        """The instance that runs only while the others are replaced."""
        return next((each for each in self._all(worker) if each.place.is_surge), None)

    def _all(self, worker: str) -> Iterable[InstanceRecord]:
        return (record for whose, record in self.registry.records.items() if whose.worker == worker)


class Roll:
    """One roll of one worker."""

    def __init__(self, hands: Hands, worker: str, say: Say, before: Mapping[int, str]) -> None:
        """`before`: what each instance runs until now: a release, or FOLDER."""
        self._hands = hands
        self._worker = worker
        self._say = say
        self._before = before
        self._touched: list[Instance] = []

    async def to(self, release: str, *, is_there: bool) -> bool:
        """Have all instances run this release, and remember it as stable: whether it is. It is not
        for a worker that does not run. Raises DeployFailed; then they run what they ran before.
        `is_there`: they all run it, and only that is to be remembered."""
        is_stable = is_there or await self._replace_all(release)
        runs = dict.fromkeys(self._numbers(), release)
        if is_stable:
            self._say("stable", f"release {release} is stable: all instances run it", None)
        else:
            self._say("note", "does not run; its next start runs this release", None)
        await self._hands.harvests.point(self._worker, runs, stable=release if is_stable else None)
        return is_stable

    async def _replace_all(self, release: str) -> bool:
        """Whether any instance runs, and so has shown that the release is healthy."""
        running = [each.place.whose for each in self._hands.replicas(self._worker) if each.state not in _RESTS]
        if not running:
            return False
        surge = await self._surged(release)
        try:
            await self._replace(running, release, is_proven=surge is not None)
        except DeployFailed:
            await self._back()
            await self._end(surge)
            raise
        await self._end(surge)
        return True

    async def _replace(self, running: list[Instance], release: str, *, is_proven: bool) -> None:
        if is_proven:
            await self._point(release, self._numbers())
        for whose in running:
            self._touched.append(whose)
            if not is_proven:
                await self._point(release, (whose.number,))
            await self._renew(whose)

    async def _surged(self, release: str) -> Instance | None:
        """Start the surge with this release; None where there is none, or no memory for it. Raises
        DeployFailed."""
        surge = self._hands.surge(self._worker)
        if surge is None:
            return None
        whose = surge.place.whose
        lack = self._lacks_memory()
        if lack:
            self._say("note", f"{lack}, so requests wait while an instance is replaced", None)
            return None
        self._say("surge", "is started with the release, and takes requests once it is healthy", whose.number)
        await self._point(release, (whose.number,))
        try:
            await self._run("StartUnit", whose)
        except DeployFailed:
            await self._end(whose)
            raise
        return whose

    def _lacks_memory(self) -> str:
        """Why no instance more can run now, as a clause; "" when one can."""
        records = self._hands.replicas(self._worker)
        used = [usage_of(record.seen.cgroup) for record in records]
        needs = max((usage.memory_limit or 2 * (usage.memory or 0) for usage in used), default=0)
        there = memory.available()
        if there is None or there >= needs:
            return ""
        return f"{needs >> 20} MiB of memory for one instance more are not there ({there >> 20} MiB are)"

    async def _renew(self, whose: Instance) -> None:
        """Restart one instance, which gets no more requests before."""
        self._say("drain", "gets no more requests, and finishes those that it has", whose.number)
        await self._take_out(whose)
        self._say("restart", "is restarted", whose.number)
        try:
            await self._run("RestartUnit", whose)
        finally:
            self._hands.readiness.let_in([whose])
        self._say("healthy", "is healthy", whose.number)

    async def _take_out(self, whose: Instance) -> None:
        """Tell the routers, and wait until all of them say that they send nothing more."""
        self._hands.readiness.take_out([whose])
        until, pause = time.monotonic() + ACKNOWLEDGED_S, _FIRST_LOOK_S
        while not await self._hands.routers.are_closed(whose) and time.monotonic() < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_S)

    async def _end(self, surge: Instance | None) -> None:
        """Stop the surge, if there is one. What goes wrong is no reason to undo anything: it is
        said."""
        if surge is None:
            return
        self._say("drain", "is not needed any more: it finishes its requests and is stopped", surge.number)
        try:
            await self._take_out(surge)
            await self._run("StopUnit", surge)
        except DeployFailed as error:
            self._say("note", f"is not stopped: {error.message}", surge.number)
        finally:
            self._hands.readiness.let_in([surge])

    async def _back(self) -> None:
        """Have all instances run what they ran before. What goes wrong is said."""
        by_release: dict[str, list[int]] = {}
        for number in self._numbers():
            by_release.setdefault(self._before.get(number, FOLDER), []).append(number)
        try:
            for release, numbers in by_release.items():
                await self._point(release, numbers)
            for whose in reversed(self._touched):
                self._say("back", "runs again what it ran before", whose.number)
                await self._renew(whose)
        except DeployFailed as error:
            self._say("note", f"the way back failed: {error.message}", None)

    async def _point(self, release: str, numbers: Iterable[int]) -> None:
        await self._hands.harvests.point(self._worker, dict.fromkeys(numbers, release))

    def _numbers(self) -> tuple[int, ...]:
        return tuple(record.place.whose.number for record in self._hands.replicas(self._worker))

    async def _run(self, method: str, whose: Instance) -> None:
        """Raises DeployFailed, with the sentence that `why` has."""
        bus, unit = self._hands.bus, name.service(whose)
        try:
            async with AsyncJobs(bus) as jobs:
                if method != "StopUnit":
                    await jobs.stop(pauses.cleared(bus, [unit]), timeout_us=_PAUSE_US)
                (ended,) = await jobs.run(method, [unit], timeout_us=INFINITY)
        except NotPermitted:
            raise DeployFailed("polkit lets the manager start and stop nothing", hint="'tqunits doctor'") from None
        except TqunitsError as error:
            raise DeployFailed(str(error)) from None
        if ended.result not in (STOPS if method == "StopUnit" else {"done"}):
            raise await self._failure(whose, ended)

    async def _failure(self, whose: Instance, ended: JobResult) -> DeployFailed:
        """Why an instance has not started. It reads the journal, so it is done in a thread."""

        def judge() -> DeployFailed:
            (ending,) = endings.judged([ended], self._hands.layout, user_mode=False)
            hint = "\n".join(f"{label}: {text}" if label else text for label, text in ending.details)
            return DeployFailed(f"{ending.sentence} ({whose})", hint=hint or None)

        return await asyncio.to_thread(judge)
