"""Says what a stranger can cause again and again, and no more of it than the journal should have
(lifecycle/work_share.py). What is not said is left out: `show` always tells how it is.
"""

from __future__ import annotations

from collections.abc import Callable

from tqunits.lifecycle.work_share import OF_WORDS
from tqunits.manager.work_meter import WorkMeter


class FewWords:
    """The lines about one thing."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._meter = WorkMeter(OF_WORDS)

    def say(self, line: str) -> None:
        """Say it, unless too much was said."""
        if not self._meter.pause_s:
            self._meter.charge(0)
            self._say(line)
