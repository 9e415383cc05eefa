"""Counts the work that changes of one owner's files cause, and has the next act wait when it has
been too much (lifecycle/work_share.py). It forgets with the manager's process, which nobody who
changes files can end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tqunits.lifecycle.work_share import WorkDone, WorkShare


class WorkMeter:
    """The work of one owner."""

    def __init__(self, share: WorkShare) -> None:
        self._share = share
        self._done = WorkDone(at=_now())

    @property
    def pause_s(self) -> float:
        """Seconds until the next act may begin."""
        return max(0, self._done.next_at(self._share) - _now()) / 1e6

    def charge(self, took_us: int) -> None:
        """An act has ended."""
        self._done = self._done.after(took_us, _now(), self._share)

    async def wait(self, tell: Callable[[float], None]) -> bool:
        """Wait until the next act may begin, which is told first; whether there was a pause."""
        pause = self.pause_s
        if not pause:
            return False
        tell(pause)
        await asyncio.sleep(pause)
        return True


def _now() -> int:
    return time.monotonic_ns() // 1000
