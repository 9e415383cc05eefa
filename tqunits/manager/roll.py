"""Replaces the instances of a worker by ones that run another release, so that no request fails.

Each instance is taken out of the traffic before it is stopped: the routers are told, and have to
say so, before systemd is asked. Then the unit's own ExecStop= waits for the requests that run, and
the start ends when the instance is healthy (alone/leave.py, alone/gate.py). Where memory is there,
a surge runs the new release first: it shows that the release is healthy before any other
is touched, and takes requests meanwhile. Without it requests wait in the router while the only
instance starts.

Before all of this the release.command of a deploy is run, which decides whether anything else is
done. Every step can be taken twice. A failure takes those that were replaced back to what they ran
before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tqunits.control.protocol import Use
from tqunits.errors import TqunitsError
from tqunits.lifecycle.outcome import STOPS
from tqunits.lifecycle.release import FOLDER
from tqunits.lifecycle.state import State
from tqunits.manager import unit_jobs
from tqunits.manager.hands import Hands
from tqunits.manager.harvests import DeployFailed
from tqunits.manager.release_command import ReleaseCommand
from tqunits.manager.usage import usage_of
from tqunits.model import Instance
from tqunits.system import memory
from tqunits.units import name

TOLD_S: Final = 10.0
"""How long a roll waits until all routers say that they send nothing more to an instance: one that
hangs holds up no roll."""

ANSWERED_S: Final = 1.0
"""How long it waits for the answers of that instance: what is just being sent gets there before the
stop is asked for. What takes longer, as a WebSocket does, has its `timeouts.drain` in the
instance's own stop, and no more than that."""

_FIRST_LOOK_S: Final = 0.002
_LONGEST_LOOK_S: Final = 0.05

Say = Callable[[str, str, int | None], None]
"""Writes a step down: its kind (lifecycle/deploys.py), a sentence, the number of the instance."""


class Roll:
    """One roll of one worker."""

    def __init__(self, hands: Hands, worker: str, say: Say, before: Mapping[int, str]) -> None:
        """`before`: what each instance runs until now: a release, or FOLDER."""
        self._hands = hands
        self._worker = worker
        self._say = say
        self._before = before
        self._touched: list[Instance] = []
        self._others: set[Instance] = set()  # somebody else has stopped or started them meanwhile
        self._has_surge = False

    async def prepare(self, release: str) -> None:
        """Run the worker's `release.command`, if it has one. No instance is touched before it has
        ended well. Raises TqunitsError."""
        command = ReleaseCommand(self._hands.bus, self._hands.layout, self._hands.harvests, self._worker)
        slot = command.slot
        if slot is not None:
            self._say("release_command", "its release.command is run", None)
            await command.run(slot, release, self._before.get(slot, FOLDER))

    async def to(self, release: str) -> bool:
        """Have all instances run this release, and remember it as stable: whether it is. It is not
        for a worker that does not run. Raises TqunitsError; then they run what they ran before."""
        try:
            await self._replace_all(release)
        except Exception as error:  # whatever it is: no instance may be left half way
            stays = await self._back(release)
            await self._end_surge()
            if stays:
                hint = error.hint if isinstance(error, TqunitsError) else None
                raise DeployFailed(f"{error}; and the way back failed: {stays}", hint=hint) from error
            raise
        await self._end_surge()
        is_stable = bool(self._hands.running(self._worker))
        if is_stable:
            self._say("stable", f"release {release} is stable: all instances that run have it", None)
        else:
            self._say("note", "does not run; its next start runs this release", None)
        runs = dict.fromkeys(self._numbers(), release)
        await self._hands.harvests.point(self._worker, runs, stable=release if is_stable else None)
        return is_stable

    async def _replace_all(self, release: str) -> None:
        """Replace those that run something else, one after the other, each once. Meanwhile an
        install may add some, and somebody may stop some."""
        is_proven = self._next(release) is not None and await self._surged(release)
        if is_proven:
            await self._point(release, self._numbers())
        while (whose := self._next(release)) is not None:
            self._touched.append(whose)
            if not is_proven or whose.number not in self._before:
                await self._point(release, (whose.number,))
            await self._renew(whose)
        lacking = self._hands.lacking(self._worker, release)
        if lacking:
            raise _not_run(lacking[0])

    def _next(self, release: str) -> Instance | None:
        lacking = self._hands.lacking(self._worker, release)
        return next((whose for whose in lacking if whose not in self._touched), None)

    async def _surged(self, release: str) -> bool:
        """Start the surge with this release; whether there is one, and memory for it. Raises
        TqunitsError."""
        surge = self._hands.surge(self._worker)
        if surge is None:
            return False
        whose = surge.place.whose
        lack = self._lacks_memory()
        if lack:
            self._say("note", f"{lack}, so requests wait while an instance is replaced", None)
            return False
        self._say("surge", "is started with the release, and takes requests once it is healthy", whose.number)
        await self._point(release, (whose.number,))
        self._has_surge = True
        await self._run("StartUnit", whose)
        if not self._hands.has(whose, release):
            raise _not_run(whose)
        return True

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
        try:
            await self._take_out(whose)
            self._say("restart", "is restarted", whose.number)
            await self._run("RestartUnit", whose)
        finally:
            self._hands.readiness.let_in([whose])
        self._say("healthy", "is healthy", whose.number)

    async def _take_out(self, whose: Instance) -> None:
        """Tell the routers, and wait until all of them say that they send nothing more, and for a
        moment until what they have sent is answered."""
        self._hands.readiness.take_out([whose])
        begin, pause = time.monotonic(), _FIRST_LOOK_S
        while goes_on(await self._hands.routers.use_of(whose), time.monotonic() - begin):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_S)

    async def _end_surge(self) -> None:
        """Stop the surge, if one runs: an earlier manager may have left it. What goes wrong is no
        reason to undo anything: it is said."""
        surge = self._hands.surge(self._worker)
        if surge is None or (surge.rests and not self._has_surge):
            return
        whose = surge.place.whose
        self._say("drain", "is not needed any more: it finishes its requests and is stopped", whose.number)
        try:
            await self._take_out(whose)
            await self._run("StopUnit", whose)
        except Exception as error:
            self._say("note", f"is not stopped: {error}", whose.number)
        finally:
            self._hands.readiness.let_in([whose])

    def to_take_back(self, release: str) -> tuple[Instance, ...]:
        """The instances that this roll to a release has touched, or one of an earlier manager, the
        last ones first; none that somebody else has stopped meanwhile."""
        lacking = self._hands.lacking(self._worker, release)
        replaced = (each.place.whose for each in self._hands.running(self._worker))
        earlier = [w for w in replaced if w not in lacking and self._before.get(w.number) != release]
        return tuple(filter(self._is_ours, dict.fromkeys((*reversed(self._touched), *reversed(earlier)))))

    async def _back(self, release: str) -> str:
        """Have all instances run what they ran before. What goes wrong with one is said, and keeps
        no other from its way back. Why an instance does not run what it ran; "" where all do."""
        by_release: dict[str, list[int]] = {}
        usual = next(iter(self._before.values()), FOLDER)  # of one that an install has added
        for number in self._numbers():
            by_release.setdefault(self._before.get(number, usual), []).append(number)
        try:
            for run, numbers in by_release.items():
                await self._point(run, numbers)
        except Exception as error:
            self._say("note", f"the way back failed: {error}", None)
            return str(error)
        stays = ""
        for whose in self.to_take_back(release):
            self._say("back", "runs again what it ran before", whose.number)
            try:
                await self._renew(whose)
            except Exception as error:
                self._say("note", f"the way back failed: {error}", whose.number)
                stays = stays or str(error)
        return stays

    def _is_ours(self, whose: Instance) -> bool:
        """Whether nobody else has stopped it meanwhile: then it stays as it is."""
        record = self._hands.registry.records.get(whose)
        return record is not None and record.state is not State.STOPPED and whose not in self._others

    async def _point(self, release: str, numbers: Iterable[int]) -> None:
        await self._hands.harvests.point(self._worker, dict.fromkeys(numbers, release))

    def _numbers(self) -> tuple[int, ...]:
        return tuple(record.place.whose.number for record in self._hands.replicas(self._worker))

    async def _run(self, method: str, whose: Instance) -> None:
        """Raises TqunitsError, with the sentence that `why` has."""
        (ended,) = await unit_jobs.run_workers(self._hands.bus, method, [name.service(whose)])
        if ended.result == "canceled":
            self._others.add(whose)
        if ended.result not in (STOPS if method == "StopUnit" else {"done"}):
            sentence, lines = await unit_jobs.why(ended, self._hands.layout)
            raise DeployFailed(f"{sentence} ({whose})", hint=lines)


def goes_on(use: Use, seconds: float) -> bool:
    """Whether a roll waits on before it stops an instance that has been out of the traffic for so
    long."""
    return seconds < TOLD_S if use.sends else use.waits and seconds < ANSWERED_S


def _not_run(whose: Instance) -> DeployFailed:
    """Its unit may have been changed since the release was made (sandbox: writable-code)."""
    return DeployFailed(
        f"{whose} was started, and does not run the release", hint=f"systemctl cat {name.service(whose)}"
    )
