"""Checks the health of all instances while they run, and asks for the restart of those that are
dead.

An instance is checked once in `health.interval`, each with its own timer, and with 10 % of jitter
and a random first moment: 300 workers must not be asked at the same one. An instance whose start is
not complete has its gate, and one that stops has no health. While it fails, it is asked three times
as often, so that it is back, or known to be dead, sooner; and a third as often while it is idle
(lifecycle/idleness.py): who asks for the first request after that is asked within one interval.

An instance whose file `serving` is gone gets no traffic, so it is not healthy either; but no
restart is due for that, because somebody has removed the file, or the program has, to rest.

What the checks mean is lifecycle/liveness.py's. Before a restart the routers are asked whether the
instance has answered requests meanwhile, or has some: then it is busy, not dead.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import field
from functools import partial
from typing import Final

from tqunits.health import Health
from tqunits.lifecycle.liveness import Budget, Restarts, Streak, Work, is_at_work
from tqunits.lifecycle.state import OF_CHECKS, Event, State
from tqunits.light_dataclass import dataclass
from tqunits.manager import health_check
from tqunits.manager.health_check import CheckResult, HealthCheck
from tqunits.manager.record import Change, Checked, InstanceRecord
from tqunits.manager.registry import Registry
from tqunits.model import Instance
from tqunits.system.short_waits import ShortWaits

JITTER: Final = 0.1
"""Of an interval, up or down."""

HASTE: Final = 3
"""While an instance fails, it is asked so many times as often."""

LEISURE: Final = 3
"""While it is idle, so many times as seldom."""

LEAST_S: Final = 0.25
"""The shortest time between two checks of an instance."""

TOGETHER_S: Final = 0.2
"""Checks that are due within so long begin together. With 300 workers, one by one, they cost
almost twice as much: 2.85 instead of 1.47 % of a core."""

Restart = Callable[[InstanceRecord, str], bool]
"""Asks systemd to restart an instance, for a reason; False: it refuses."""

Hold = Callable[[Instance], bool]
"""Whether the routers hold the requests of a running instance, because its file `serving` is
gone."""

Idle = Callable[[Instance], bool]
"""Whether an instance has had no request for a while."""

HELD: Final = "its file 'serving' is gone, so it gets no traffic"

Working = Callable[[Instance], Awaitable[Work | None]]
"""What an instance does for the routers; None: they do not say."""


@dataclass(slots=True)
class _Watched:
    """An instance that serves, and its checks."""

    invocation: str
    rules: Health
    streak: Streak = field(default_factory=Streak)
    work: Work | None = None  # at the first failure in a row, or at its last answer since
    work_at: int = 0  # µs
    timer: asyncio.TimerHandle | None = None
    check: HealthCheck | None = None
    task: asyncio.Task[None] | None = None  # what follows a bad one

    def end(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.check is not None:
            self.check.cancel()
        if self.task is not None:
            self.task.cancel()


class HealthChecks:
    """The checks of all instances. Its methods run on the event loop."""

    def __init__(
        self,
        registry: Registry,
        *,
        restart: Restart,
        work: Working,
        is_held: Hold,
        is_idle: Idle,
        say: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._restart = restart
        self._work = work
        self._is_held = is_held
        self._is_idle = is_idle
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._waits = ShortWaits()
        self._watched: dict[Instance, _Watched] = {}
        self._restarts: dict[Instance, Restarts] = {}
        self._budget = Budget()
        self._is_spent = False
        self._dice = random.Random()  # noqa: S311 - it spreads checks over time
        registry.subscribe(self._on_change)

    def follow_all(self) -> None:
        """Watch what serves already, and take over rules that have changed. The installed files
        were read again."""
        for whose, record in self._registry.records.items():
            self._follow(whose, record)
        for whose in [whose for whose in self._watched if whose not in self._registry.records]:
            self._watched.pop(whose).end()
            self._restarts.pop(whose, None)

    def wake(self, whose: Instance) -> None:
        """An instance that was idle has requests: its next check is due within its interval."""
        watched = self._watched.get(whose)
        if watched is None or watched.timer is None or watched.timer.cancelled():
            return
        soon = self._dice.random() * watched.rules.interval / 1e6
        if watched.timer.when() > self._loop.time() + soon:
            watched.timer.cancel()
            self._after(watched, whose, soon)

    def close(self) -> None:
        """Check nothing more."""
        for watched in self._watched.values():
            watched.end()
        self._watched.clear()
        self._waits.close()

    def _on_change(self, change: Change) -> None:
        if change.event not in OF_CHECKS:
            self._follow(change.whose, self._registry.records[change.whose])

    def _follow(self, whose: Instance, record: InstanceRecord) -> None:
        """Check the instance while it serves."""
        is_wanted = record.seen.event is Event.READY and record.place.is_checked
        rules = record.place.health if is_wanted else None
        before = self._watched.get(whose)
        if before is not None and (before.invocation, before.rules) == (record.seen.invocation, rules):
            return
        if before is not None:
            before.end()
            del self._watched[whose]
        if rules is not None:
            streak = Streak(is_out=record.state is State.UNHEALTHY)  # an earlier manager has found it so
            self._watched[whose] = watched = _Watched(record.seen.invocation, rules, streak)
            self._after(watched, whose, self._dice.random() * rules.interval / 1e6)

    def _after(self, watched: _Watched, whose: Instance, seconds: float) -> None:
        watched.timer = self._loop.call_at(begin_at(self._loop.time(), seconds), self._begin, watched, whose)

    def _begin(self, watched: _Watched, whose: Instance) -> None:
        record = self._registry.records.get(whose)
        if record is not None:
            watched.check = HealthCheck(
                self._waits, record.place.address, watched.rules, partial(self._on_end, watched, whose)
            )

    def _on_end(self, watched: _Watched, whose: Instance, answer: CheckResult | None) -> None:
        record = self._registry.records.get(whose)
        if record is None or not self._is_current(watched, whose):
            return
        if answer is not None:
            checked = self._judge(watched, record, answer)
            if answer.wrong:
                watched.task = self._loop.create_task(self._doubt(watched, record, checked))
                return
        self._after(watched, whose, self._pause(watched, whose))

    async def _doubt(self, watched: _Watched, record: InstanceRecord, checked: Checked) -> None:
        """After a bad check: note what the instance does for the routers, or restart it."""
        whose = record.place.whose
        if watched.streak.failures == 1:
            watched.work, watched.work_at = await self._work(whose), checked.at
        if watched.streak.is_dead(watched.rules):
            await self._revive(watched, record, checked)
        if self._is_current(watched, whose):
            self._after(watched, whose, self._pause(watched, whose))

    def _is_current(self, watched: _Watched, whose: Instance) -> bool:
        """Whether it is still this run that is checked: it may have ended during a wait."""
        return self._watched.get(whose) is watched

    def _pause(self, watched: _Watched, whose: Instance) -> float:
        """Seconds until the next check."""
        interval = watched.rules.interval / 1e6 * (1 + JITTER * self._dice.uniform(-1, 1))
        if watched.streak.is_out:
            return max(LEAST_S, interval / HASTE)
        return max(LEAST_S, interval * LEISURE if self._is_idle(whose) else interval)

    def _judge(self, watched: _Watched, record: InstanceRecord, answer: CheckResult) -> Checked:
        """What this check says; the registry knows it then."""
        whose = record.place.whose
        is_well, is_held = not answer.wrong, self._is_held(whose)
        age = answer.at - (record.seen.started or 0)
        watched.streak, event = watched.streak.after(healthy=is_well, rules=watched.rules, age=age, is_held=is_held)
        checked = Checked(
            at=answer.at,
            elapsed=answer.elapsed,
            asked=health_check.asked(record.place.address, watched.rules),
            wrong=HELD if is_well and is_held else answer.wrong,
            failures=watched.streak.failures,
        )
        self._registry.checked(whose, watched.invocation, checked, event)
        if is_well and whose in self._restarts:
            self._restarts[whose] = self._restarts[whose].healthy(answer.at, watched.rules.interval)
        return checked

    def _known(self, whose: Instance) -> Restarts:
        return self._restarts.get(whose, Restarts())

    async def _revive(self, watched: _Watched, record: InstanceRecord, checked: Checked) -> None:
        """Restart it, unless it works, was restarted just now, or too many others were."""
        whose = record.place.whose
        work, now, known = await self._work(whose), time.time_ns() // 1000, self._known(whose)
        if is_at_work(watched.work, work, now - watched.work_at):
            if watched.work is not None and work is not None and work.answers != watched.work.answers:
                watched.work, watched.work_at = work, now
            return
        is_due = self._is_current(watched, whose) and known.may_restart(now, watched.rules.interval)
        if not is_due or not self._has_budget(whose, now):
            return
        reason = f"{checked.cause} ({checked.failures} checks failed in a row)"
        if self._restart(record, reason):
            self._budget.spend(now)
            self._restarts[whose] = known.after(now)
            self._registry.restarted(whose)

    def _has_budget(self, whose: Instance, now: int) -> bool:
        """Whether the host's restarts are not used up; where they are, it is said once."""
        is_spent, self._is_spent = self._is_spent, not self._budget.allows(now)
        if self._is_spent and not is_spent:
            self._say(f"{whose} is not restarted, nor others: so many fail that it is the host's fault")
        return not self._is_spent


def begin_at(now: float, seconds: float) -> float:
    """When a check begins that is due so many seconds from now, on the loop's clock: never later,
    and together with those that are due soon before or after it."""
    due = now + max(0.0, seconds)
    return due if seconds < 10 * TOGETHER_S else due - due % TOGETHER_S
