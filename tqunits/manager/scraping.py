"""Makes the text for one scrape: asks all router processes at once, adds up what they have counted,
and writes the manager's own part below it.

Whoever may connect to the address may ask as often as he likes. So questions that come together get
one answer, and an answer is given again for FRESH_S: the cost is bounded, whoever asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Final

from tqunits import __version__
from tqunits.host.running_release import running_release
from tqunits.manager.instance_metrics import (
    ManagerFacts,
    MeasuredInstance,
    MeasuredWatch,
    of_instances,
    of_manager,
    of_routers,
    of_watches,
)
from tqunits.manager.recent_changes import RecentChanges
from tqunits.manager.registry import Registry
from tqunits.manager.router_status import Routers
from tqunits.manager.usage import own_usage, usage_of
from tqunits.metrics.exposition_reader import read
from tqunits.metrics.openmetrics import END, encoded, families
from tqunits.metrics.totals import Totals

FRESH_S: Final = 1.0
"""Collectors ask every 5 to 60 s."""


class Scraping:
    """The metrics of this host. Its methods run on the event loop."""

    def __init__(
        self,
        registry: Registry,
        events: RecentChanges,
        routers: Routers,
        watches: Callable[[], Sequence[MeasuredWatch]],
        runtime: PurePosixPath,
    ) -> None:
        """`runtime`: the layout's."""
        self._watches = watches
        self._registry = registry
        self._events = events
        self._routers = routers
        self._runtime = runtime
        self._totals = Totals()
        self._started = time.time_ns() // 1000
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[bytes] | None = None  # the last one, which is over or not
        self._fresh_until = 0.0

    async def text(self) -> bytes:
        """The whole exposition."""
        if self._task is None or (self._task.done() and self._loop.time() >= self._fresh_until):
            self._task = self._loop.create_task(self._make())
        return await asyncio.shield(self._task)

    async def _make(self) -> bytes:
        answers = await self._routers.expositions(self._take)
        routers = self._totals.all([process for process, answered in answers.items() if answered])
        lines = [
            *families(routers.metrics, routers.now, process=None),
            *of_routers(answers),
            *of_instances(self._instances()),
            *of_watches(self._watches()),
            *of_manager(self._facts()),
            END,
        ]
        self._fresh_until = self._loop.time() + FRESH_S
        return encoded(lines)

    def _take(self, process: str, body: bytes) -> bool:
        try:
            self._totals.take(process, read(body, process))
        except ValueError:
            return False
        return True

    def _instances(self) -> Sequence[MeasuredInstance]:
        return [
            MeasuredInstance(record, usage_of(record.seen.cgroup), running_release(whose, self._runtime))
            for whose, record in self._registry.records.items()
            if not record.place.is_surge
        ]

    def _facts(self) -> ManagerFacts:
        return ManagerFacts(release=__version__, started=self._started, usage=own_usage(), changes=self._events.last)
