"""Time on the data path: one coarse timer wheel for every deadline, and the current Date.

A timer per request would cost more than the request. Instead each connection has a `deadline`, a
plain number that is overwritten whenever something moves. The wheel looks at a connection only when
its slot comes up; usually the deadline has moved on by then, and the connection goes to another
slot. A deadline is never early, and at most two ticks late.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from mypy_extensions import mypyc_attr

from tqunits.http.dates import write_date
from tqunits.proxy.reactor.fault import give_up
from tqunits.proxy.reactor.watched import Watched

RESOLUTION: Final = 0.25
"""Seconds per tick: four wake-ups a second while there are connections, otherwise none."""

NEVER: Final = 2**62

BATCH: Final = 64
"""Deadlines handled in one turn of the loop. Connections that came together expire together, and
each may need an answer, which takes 20 µs; so a thousand of them hold nobody up."""


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Timed(Watched):
    """Something with a deadline."""

    __slots__ = ("deadline", "filed", "wheel")

    def __init__(self, wheel: Wheel) -> None:
        self.wheel = wheel
        self.deadline = NEVER  # tick
        self.filed = NEVER  # the slot in which it is

    def touch(self, ticks: int) -> None:
        """Set the deadline `ticks` from now."""
        self.deadline = deadline = self.wheel.tick + ticks
        if deadline < self.filed:
            self.wheel.file(self, ticks)

    def forget(self) -> None:
        """Remove the deadline, and the object from the wheel."""
        self.deadline = NEVER
        self.wheel.drop(self)

    def expire(self) -> None:
        """The deadline has passed."""
        raise AssertionError


class Wheel:
    """The slots, by their ticks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.tick = 0
        self._loop = loop
        self._start = loop.time()
        self._slots: dict[int, set[Timed]] = {}
        self._due: list[Timed] = []  # those whose slot has come up
        self._turning = False

    def file(self, timed: Timed, ticks: int) -> None:
        """Put it into a slot that comes up in `ticks` at the latest."""
        if ticks >= NEVER // 2:
            return
        if not self._turning:
            self.tick = self._now()
            self._turning = True
            self._loop.call_later(RESOLUTION, self._turn)
        timed.deadline = self.tick + ticks
        self._put(timed)

    def drop(self, timed: Timed) -> None:
        """Remove it."""
        slot = self._slots.get(timed.filed)
        if slot is not None:
            slot.discard(timed)
            if not slot:  # an empty set would keep its memory, for up to an hour
                del self._slots[timed.filed]
        timed.filed = NEVER

    def _put(self, timed: Timed) -> None:
        if timed.filed != NEVER:
            self.drop(timed)
        timed.filed = max(timed.deadline, self.tick + 1)
        self._slots.setdefault(timed.filed, set()).add(timed)

    def _turn(self) -> None:
        self.tick, last = self._now(), self.tick
        for tick in range(last + 1, self.tick + 1):
            self._due.extend(self._slots.pop(tick, ()))
        self._look_at_due()

    def _look_at_due(self) -> None:
        for _ in range(min(len(self._due), BATCH)):
            timed = self._due.pop()
            try:
                self._look_at(timed)
            except Exception as error:  # whatever it is, the other deadlines hold
                give_up(self._loop, timed, error)
        self._go_on()

    def _go_on(self) -> None:
        if self._due:
            self._loop.call_soon(self._look_at_due)
        elif self._slots:
            self._loop.call_later(RESOLUTION, self._turn)
        else:
            self._turning = False

    def _look_at(self, timed: Timed) -> None:
        timed.filed = NEVER
        if timed.deadline <= self.tick:
            timed.expire()
        elif timed.deadline < NEVER // 2:
            self._put(timed)

    def _now(self) -> int:
        return int((self._loop.time() - self._start) / RESOLUTION)


def ticks_of(microseconds: int) -> int:
    """A time span in ticks, rounded up so that it is never too short; 0: no limit."""
    return int(microseconds / 1e6 / RESOLUTION) + 2 if microseconds else NEVER


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Clock:
    """The value of the Date field (RFC 9110 §5.6.7), computed once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = b""

    def date(self) -> bytes:
        """The present time, as `Sun, 06 Nov 1994 08:49:37 GMT`."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._text = write_date(second)
        return self._text
