"""Asks the routers now and then what the instances do, and so knows which are idle
(lifecycle/idleness.py).

One question to each router process every LOOK_S seconds: a request to an instance that was idle is
known after so long, and its checks are as frequent as ever from then on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tqunits.lifecycle.idleness import Idleness
from tqunits.lifecycle.liveness import Work
from tqunits.model import Instance

LOOK_S: Final = 10.0

Works = Callable[[], Awaitable[Mapping[Instance, Work] | None]]
"""What all instances do for the routers; None: these do not say."""


class IdleWatch:
    """Which instances are idle. Its methods run on the event loop."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._idleness = Idleness()
        self._task: asyncio.Task[None] | None = None

    def is_idle(self, whose: Instance) -> bool:
        """Whether it has had no request for a while."""
        return self._idleness.is_idle(whose)

    def start(self, on_woken: Callable[[Instance], None]) -> None:
        """Look from now on. `on_woken` is called with each instance that is idle no more."""
        self._task = asyncio.get_running_loop().create_task(self._watch(on_woken))

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self, on_woken: Callable[[Instance], None]) -> None:
        while True:
            works = await self._works()
            for whose in self._idleness.see(works, time.monotonic_ns() // 1000):
                on_woken(whose)
            await asyncio.sleep(LOOK_S)
