"""Replaces the instances of a worker, one after the other, so that no request fails. What the new
ones are to be is its goal: another release (release_goal.py), or new runs (restart_goal.py).

Each instance is taken out of the traffic before it is stopped: the routers are told, and have to
say so, before systemd is asked. Then the unit's own ExecStop= waits for the requests that run, and
the start ends when the instance is healthy (alone/leave.py, alone/gate.py). Where memory is there,
a surge is started first: it shows that an instance gets healthy before any other is touched, and
takes requests meanwhile. Without it requests wait in the router while the only instance starts.

Every step can be taken twice. After a failure the goal says who is taken back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tqunits.control.protocol import Use
from tqunits.errors import TimedOut, TqunitsError
from tqunits.lifecycle.outcome import STOPS
from tqunits.manager import unit_jobs
from tqunits.manager.hands import Hands
from tqunits.manager.harvests import DeployFailed
from tqunits.manager.record import InstanceRecord
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


class Goal(Protocol):
    """What the instances are to be at the end of a roll. The coroutines raise TqunitsError."""

    unmet: str  # what to say of one that was started and is not as it should be, as a clause

    def lacking(self) -> tuple[Instance, ...]:
        """Those that run and are to be replaced."""
        ...

    def has(self, whose: Instance) -> bool:
        """Whether an instance that was started is as it should be."""
        ...

    async def prepare(self, whose: Instance) -> None:
        """Let this instance be as it should at its next start."""
        ...

    async def proven(self) -> None:
        """The surge is healthy: so the others may be like it, also one that starts by itself."""
        ...

    async def give_up(self) -> None:
        """Let all instances be as before at their next start."""
        ...

    def to_take_back(self, touched: Sequence[Instance]) -> tuple[Instance, ...]:
        """Those that run and have to be as before, in the order in which they are replaced.
        `touched`: those that this roll has begun to replace."""
        ...


class Roll:
    """One roll of one worker."""

    def __init__(self, hands: Hands, worker: str, say: Say, goal: Goal) -> None:
        self._hands = hands
        self._worker = worker
        self._say = say
        self._goal = goal
        self._touched: list[Instance] = []
        self._others: set[Instance] = set()  # somebody else has stopped or started them meanwhile
        self._has_surge = False

    async def perform(self) -> None:
        """Reach the goal. Raises TqunitsError; then those that the goal takes back are as they were
        before."""
        try:
            await self._replace_all()
        except Exception as error:  # whatever it is: no instance may be left half way
            await self._hands.stay_while_host_ends()
            stays = await self._back()
            await self._end_surge()
            if stays:
                hint = error.hint if isinstance(error, TqunitsError) else None
                raise DeployFailed(f"{error}; and the way back failed: {stays}", hint=hint) from error
            raise
        await self._end_surge()

    async def _replace_all(self) -> None:
        """Replace those that lack something, one after the other, each once. Meanwhile an install
        may add some, and somebody may stop some."""
        if self._next() is not None and await self._surged():
            await self._goal.proven()
        while (whose := self._next()) is not None:
            self._touched.append(whose)
            await self._goal.prepare(whose)
            await self._renew(whose)
        lacking = self._goal.lacking()
        if lacking:
            raise self._not_as_wanted(lacking[0])

    def _next(self) -> Instance | None:
        return next((whose for whose in self._goal.lacking() if whose not in self._touched), None)

    async def _surged(self) -> bool:
        """Start the surge; whether there is one, and memory for it. Raises TqunitsError."""
        surge = self._hands.surge(self._worker)
        if surge is None:
            return False
        lack = self._lacks_memory()
        if lack:
            self._say("note", f"{lack}, so requests wait while an instance is replaced", None)
            return False
        await self._start(surge)
        return True

    async def _start(self, surge: InstanceRecord) -> None:
        """Start the surge. One that runs already, because somebody or an earlier manager has
        started it, has to be as it should: otherwise it would prove nothing."""
        whose = surge.place.whose
        is_old = not surge.rests and not self._goal.has(whose)
        self._say("surge", "is started beside the others, and takes requests once it is healthy", whose.number)
        await self._goal.prepare(whose)
        self._has_surge = True
        await self._run("RestartUnit" if is_old else "StartUnit", whose)
        if not self._goal.has(whose):
            raise self._not_as_wanted(whose)

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
        """Restart one instance, which gets no more requests before. One that somebody stops
        meanwhile stays stopped."""
        self._say("drain", "gets no more requests, and finishes those that it has", whose.number)
        try:
            await self._take_out(whose)
            if not self._hands.is_to_run(whose):
                self._say("note", "is not restarted: somebody has stopped it meanwhile", whose.number)
                return
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

    async def _back(self) -> str:
        """Have the instances that were touched be as before. What goes wrong with one is said, and
        keeps no other from its way back. Why an instance does not run what it ran; "" where all
        do."""
        try:
            await self._goal.give_up()
        except Exception as error:
            self._say("note", f"the way back failed: {error}", None)
            return str(error)
        stays = ""
        for whose in filter(self._is_ours, self._goal.to_take_back(self._touched)):
            self._say("back", "runs again what it ran before", whose.number)
            try:
                await self._renew(whose)
            except Exception as error:
                self._say("note", f"the way back failed: {error}", whose.number)
                stays = stays or str(error)
        return stays

    def _is_ours(self, whose: Instance) -> bool:
        """Whether nobody else has stopped it meanwhile: then it stays as it is."""
        return whose not in self._others and self._hands.is_to_run(whose)

    async def _run(self, method: str, whose: Instance) -> None:
        """Raises TqunitsError, with the sentence that `why` has; TimedOut when it did not get
        healthy in time."""
        ended = await unit_jobs.replace_instance(self._hands.bus, method, name.service(whose))
        if ended.result == "canceled":
            self._others.add(whose)
        if ended.result not in (STOPS if method == "StopUnit" else {"done"}):
            why = await unit_jobs.why(ended, self._hands.layout)
            failure = TimedOut if why.is_slow else DeployFailed
            raise failure(f"{why.sentence} ({whose})", hint=why.lines)

    def _not_as_wanted(self, whose: Instance) -> DeployFailed:
        return DeployFailed(f"{whose} {self._goal.unmet}", hint=f"systemctl cat {name.service(whose)}")


def goes_on(use: Use, seconds: float) -> bool:
    """Whether a roll waits on before it stops an instance that has been out of the traffic for so
    long."""
    return seconds < TOLD_S if use.sends else use.waits and seconds < ANSWERED_S
