"""Has something done soon after events, however many there are: once for all that come at once, and
so rarely that it takes a small part of the event loop's time.

Whoever may make files in a folder makes events without end, each with another name. A look at a
folder of ten thousand names for each of them would leave the loop no time for anything else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from tqunits.lifecycle.settling import REST

QUIET_S: Final = 0.05
"""Seconds between the first event and what is done about it."""

AGAIN_S: Final = 60.0
"""Seconds until it is done anyway: a folder where too much has happened is not watched any more
(system/inotify.py), and nobody tells so."""


class Seldom:
    """One thing that is done again and again, on the event loop."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do
        self._loop = asyncio.get_running_loop()
        self._not_before = 0.0  # of the loop's clock
        self.due = float("inf")
        """When it is done next, by the loop's clock."""

        self._timer: asyncio.TimerHandle | None = None

    def ask(self, _: str | None = None) -> None:
        """Have it done soon."""
        self._arm(max(self._loop.time() + QUIET_S, self._not_before))

    def now(self) -> None:
        """Do it at once, for somebody who can not ask often."""
        self.close()
        begin = time.thread_time()
        self._do()
        self._not_before = self._loop.time() + REST * (time.thread_time() - begin)
        self._arm(self._loop.time() + AGAIN_S)

    def close(self) -> None:
        """Do it no more, until it is asked for."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.due = None, float("inf")

    def _arm(self, due: float) -> None:
        if due < self.due:
            self.close()
            self._timer, self.due = self._loop.call_at(due, self.now), due
