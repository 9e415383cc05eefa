"""Tells who asks, by the uid that the kernel reports (SO_PEERCRED), and bounds how often an
operator asks.

The names of a uid are asked of the host's own database, in a thread: where that is another host's,
an answer may take seconds, and the event loop does not wait for it. Root and the manager's own user
are known without it, so they can always ask.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tqunits.control.protocol import Problem
from tqunits.manager import rights
from tqunits.manager.rights import Caller
from tqunits.system.members import Person, person

MOST_REQUESTS: Final = 100
"""Requests of an operator in SPAN_S. Each is a line in the journal, and there a service has 10000
lines in 30 s (RateLimitBurst= of journald.conf(5))."""

SPAN_S: Final = 10.0

LOOKUP_S: Final = 5.0
"""For an answer of the database."""

Operators = Mapping[str, Collection[str]]
"""Worker -> its operators: users, and groups as %group."""


class Callers:
    """Everybody who asks."""

    def __init__(self, operators: Callable[[], Operators]) -> None:
        """`operators`: those of the workers that are installed now."""
        self._operators = operators
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="callers")
        self._asked: Counter[int] = Counter()  # by uid, in this span
        self._until = 0.0

    async def who(self, uid: int) -> Caller:
        """Who this is. Raises Problem for who may ask for nothing, or asks too often."""
        if uid in {0, os.geteuid()}:
            return Caller(uid)
        operators = self._operators()
        found = await self._person(uid) if operators else None
        workers = rights.operated(operators, found) if found is not None else frozenset()
        if found is None or not workers:
            raise Problem(403, rights.NOBODY)
        self._count(uid)
        return Caller(uid, found.user, workers)

    def close(self) -> None:
        """Ask the database no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _person(self, uid: int) -> Person | None:
        asked = asyncio.get_running_loop().run_in_executor(self._thread, person, uid)
        try:
            return await asyncio.wait_for(asked, LOOKUP_S)
        except TimeoutError:
            raise Problem(503, "this host's database of users does not answer") from None

    def _count(self, uid: int) -> None:
        now = time.monotonic()
        if now >= self._until:
            self._asked, self._until = Counter(), now + SPAN_S
        self._asked[uid] += 1
        if self._asked[uid] > MOST_REQUESTS:
            raise Problem(429, f"{MOST_REQUESTS} requests in {SPAN_S:.0f} s are the most")
