"""The changes of the last while, for whoever asks for them: a bounded list, and a wait for the
next.

A client names the number of the last change that it has seen, and gets those after it, or waits
for one: so a client that is slow, or away for a moment, misses nothing, and costs nothing. A gap in
the numbers says that there were more than are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final

from tqunits.manager.record import Change

KEPT: Final = 1000
"""Changes that are kept: a restart of 300 workers makes 900 of them."""


class RecentChanges:
    """The changes since the manager's start."""

    def __init__(self) -> None:
        self._kept: deque[Change] = deque(maxlen=KEPT)
        self._news = asyncio.Event()

    @property
    def last(self) -> int:
        """The number of the last change; 0: there was none."""
        return self._kept[-1].number if self._kept else 0

    @property
    def first(self) -> int:
        """The number of the oldest change that is kept; 0: there was none."""
        return self._kept[0].number if self._kept else 0

    def add(self, change: Change) -> None:
        """A change has happened. Wakes all who wait."""
        self._kept.append(change)
        self.wake()

    def wake(self) -> None:
        """End all waits: those who wait have something else to look at."""
        self._news.set()
        self._news = asyncio.Event()

    def after(self, number: int) -> Sequence[Change]:
        """The kept changes after this one. A number that is not reached yet is of an earlier
        manager: then all are new."""
        if number > self.last:
            number = 0
        return [change for change in self._kept if change.number > number]

    async def wait(self, number: int, seconds: float) -> Sequence[Change]:
        """The same, once there are some, or when the wait is ended or its time is over."""
        found = self.after(number)
        if not found and seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), seconds)
            found = self.after(number)
        return found
