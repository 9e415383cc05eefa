"""What a health check of a running instance means: readiness, and liveness. No I/O, no clock.

Readiness: one failed check says that the instance is not well now, and as many good ones in a row
as `health.success_threshold` that it is well again. Liveness: only `health.failure_threshold`
failed checks in a row are a reason for a restart, and even then not while the instance completes
requests: a busy program is no dead one (`is_at_work`). A restart that did not help makes the next
one come later (`Restarts`), and if many instances are unhealthy at once the fault is the host's, so
restarts have a budget (`Budget`)."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from tqunits.health import Health
from tqunits.lifecycle.state import Event
from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY

LONGEST_DELAY_US: Final = 3600 * 1_000_000
"""Between two restarts of an instance that never get it well."""

PATIENCE_US: Final = 10 * 1_000_000
"""How long an instance may need for the requests that it has, without answering one."""

BUDGET: Final = 10
"""Restarts on one host within BUDGET_SPAN_US, for the sake of health alone."""

BUDGET_SPAN_US: Final = 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Streak:
    """The checks of one run of an instance, as far as they matter for the next decision."""

    failures: int = 0  # in a row, up to now, without those of the start period
    passes: int = 0  # in a row, up to now
    is_out: bool = False  # the instance counts as unhealthy

    def after(
        self, *, healthy: bool, rules: Health, age: int = INFINITY, is_held: bool = False
    ) -> tuple[Streak, Event | None]:
        """After one more check: the streak, and the event if the state changes by it. `age`: µs
        since the start was complete; before `health.start_period` a failure is none for liveness.
        `is_held`: it answers well, but its file `serving` is gone; no restart is due for that."""
        if not healthy or is_held:
            counts = not healthy and age >= rules.start_period
            failures = self.failures + 1 if counts else 0
            return Streak(failures=failures, is_out=True), None if self.is_out else Event.MISSED
        streak = replace(self, failures=0, passes=self.passes + 1)
        if self.is_out and streak.passes >= rules.success_threshold:
            return replace(streak, is_out=False), Event.PASSED
        return streak, None

    def is_dead(self, rules: Health) -> bool:
        """Whether it failed so often in a row that only a restart can help."""
        return self.failures >= max(1, rules.failure_threshold)


@dataclass(frozen=True, slots=True)
class Work:
    """What an instance does for the routers."""

    answers: int  # that it has begun, other than 5xx
    in_flight: int  # requests that it has


def is_at_work(before: Work | None, now: Work | None, since: int) -> bool:
    """Whether an instance that fails its checks works nevertheless: it has answered a request since
    then, or has some, and may need longer for them. `before`: its work then, `since` µs ago. None:
    the routers do not say."""
    if now is None:
        return False
    if before is not None and now.answers != before.answers:
        return True
    return now.in_flight > 0 and since < PATIENCE_US


@dataclass(frozen=True, slots=True)
class Restarts:
    """The restarts of one instance for the sake of its health."""

    count: int = 0  # without a healthy time between them that was long enough
    last: int = 0  # µs

    def may_restart(self, now: int, delay: int) -> bool:
        """Whether the next one is due. `delay`: µs after the first one; it doubles with each."""
        if not self.count:
            return True
        wait: int = min(delay * 2 ** min(self.count - 1, 20), LONGEST_DELAY_US)
        return now - self.last >= wait

    def after(self, now: int) -> Restarts:
        """After a restart."""
        return Restarts(self.count + 1, now)

    def healthy(self, now: int, delay: int) -> Restarts:
        """After a good check: an instance that was well for longer than its delay begins anew."""
        return Restarts() if self.count and now - self.last >= max(delay, BUDGET_SPAN_US) else self


class Budget:
    """The restarts of all instances of a host within the last minute."""

    def __init__(self, most: int = BUDGET, span: int = BUDGET_SPAN_US) -> None:
        self._most = most
        self._span = span
        self._spent: deque[int] = deque(maxlen=most)

    def allows(self, now: int) -> bool:
        """Whether one more is allowed."""
        while self._spent and now - self._spent[0] >= self._span:
            self._spent.popleft()
        return len(self._spent) < self._most

    def spend(self, now: int) -> None:
        """There was one more."""
        self._spent.append(now)
