"""Which instances have had no request for a while, so that their health may be asked less often. No
I/O, no clock.

A check costs little here, but it wakes a program that would sleep, and on a host with hundreds of
small workers most sleep most of the time. What an instance does is what the routers tell: the
answers that it has begun, and the requests that it has, of which a WebSocket is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tqunits.lifecycle.liveness import Work
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance

IDLE_AFTER_US: Final = 300 * 1_000_000
"""An instance is idle after so long without a request."""


@dataclass(frozen=True, slots=True)
class _Rest:
    """The time since the last request that was seen."""

    answers: int
    since: int  # µs


class Idleness:
    """What was seen of all instances, up to now."""

    def __init__(self) -> None:
        self._rests: Mapping[Instance, _Rest] = {}
        self._idle: frozenset[Instance] = frozenset()

    def see(self, works: Mapping[Instance, Work] | None, now: int) -> frozenset[Instance]:
        """Note what all instances do now (µs); None: the routers do not say, so nobody is idle.
        Gives those that were idle and are not any more."""
        before, self._rests = self._rests, {}
        for whose, work in (works or {}).items():
            rest = before.get(whose)
            goes_on = rest is not None and rest.answers == work.answers and not work.in_flight
            self._rests[whose] = rest if rest is not None and goes_on else _Rest(work.answers, now)
        idle = frozenset(whose for whose, rest in self._rests.items() if now - rest.since >= IDLE_AFTER_US)
        woken, self._idle = self._idle - idle, idle
        return woken

    def is_idle(self, whose: Instance) -> bool:
        """Whether no request for it was seen in the last IDLE_AFTER_US."""
        return whose in self._idle
