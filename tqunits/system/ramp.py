"""How many starts go on at once. No I/O, no clock.

systemd begins all jobs that are queued. 300 starts at once on two processors hold each other up
until each has used up its time limit, and then all begin anew: the starts of sandboxes wait for the
same lock of the kernel's, and each reads the list of all mounts dozens of times. So only as many
are queued as the processors can start, and the next one when one of them has ended.

A start that takes much longer than those before it is counted no more: workers that never answer
hold nobody else up, but on a busy host, where all starts take long, no more begin.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

EACH: Final = 4
"""Starts at once for each processor: most of them wait for something else a part of their time."""

PATIENCE_S: Final = 5.0
"""A start that takes so long, and USUAL times as long as the last ones, is counted no more."""

USUAL: Final = 4

T = TypeVar("T")


class Ramp(Generic[T]):
    """What is to be started, and what was."""

    def __init__(self, wanted: Iterable[T], *, abreast: int) -> None:
        self._wanted = deque(wanted)
        self._abreast = abreast
        self._begun: list[tuple[T, float]] = []
        self._took = deque[float](maxlen=abreast)  # the last starts that have ended, in s

    def __bool__(self) -> bool:
        """Whether something is still to be started."""
        return bool(self._wanted)

    @property
    def wanted(self) -> tuple[T, ...]:
        """What is still to be started."""
        return tuple(self._wanted)

    def due(self, now: float, goes_on: Callable[[T], bool]) -> Iterable[T]:
        """What is to be started now (s). `goes_on`: whether the start of one has not ended."""
        self._took.extend(now - at for one, at in self._begun if not goes_on(one))
        patience = max(PATIENCE_S, USUAL * sum(self._took) / len(self._took) if self._took else 0)
        self._begun = [(one, at) for one, at in self._begun if now - at < patience and goes_on(one)]
        while self._wanted and len(self._begun) < self._abreast:
            one = self._wanted.popleft()
            self._begun.append((one, now))
            yield one

    def rest(self) -> Iterable[T]:
        """All that is still to be started, now: nobody waits any more."""
        while self._wanted:
            yield self._wanted.popleft()


def abreast() -> int:
    """How many starts go on at once on this host."""
    return EACH * max(2, len(os.sched_getaffinity(0)))
