"""Whether an address that a worker listens on takes requests, and how many are in flight there.

One that takes no connections is left alone for pauses that grow, and one request at a time finds
out whether it is back. One that drains gets nothing new.
"""

from __future__ import annotations

import asyncio
from typing import Final

from mypy_extensions import trait

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Wheel
from tqunits.proxy.upstream.standing import Standing
from tqunits.routing.endpoint import Address

FIRST_PAUSE: Final = 0.005
PAUSE_GROWTH: Final = 1.5
LONGEST_PAUSE: Final = 0.25
"""Seconds between attempts at an endpoint that takes no connections: a compiled worker is back in
milliseconds, and one that is gone for good costs four attempts a second while somebody waits for
it."""

MAX_FAILURES: Final = 20
"""Counted no further: the pause is at its longest by then."""

TOGETHER: Final = 0.1
"""Seconds within which connections end that end with one process; a process that is started anew
takes longer."""

TRIAL: Final = 2.5
"""Seconds an attempt may take before another request tries: longer than a connection may take to
stand."""


@trait
class Watcher:
    """Who sends requests to an endpoint."""

    def refresh(self) -> None:
        """Something has changed that decides whether a request may go there the short way."""
        raise AssertionError

    def release(self) -> None:
        """It may take requests again: let begin who waits."""
        raise AssertionError


class Availability:
    """One address, as far as requests get there."""

    __slots__ = (
        "_waiting",
        "address",
        "died_at",
        "down_until",
        "draining",
        "failures",
        "in_flight",
        "label",
        "poller",
        "standing",
        "trying",
        "watchers",
        "wheel",
    )

    def __init__(self, address: Address, poller: Poller, wheel: Wheel) -> None:
        self.address = address
        self.label = str(address)
        self.poller = poller
        self.wheel = wheel
        self.in_flight = 0
        self.standing = Standing()
        self.watchers: set[Watcher] = set()  # the workers whose endpoint it is
        self.failures = 0  # connections that failed, one after the other
        self.trying = False  # one request finds out whether it is back
        self.down_until = 0.0  # loop time; until then it is left alone
        self.died_at = -TOGETHER  # loop time: when a connection last ended under a request
        self.draining = False
        self._waiting: list[asyncio.Future[None]] = []  # for its last request to end

    @property
    def takes_requests(self) -> bool:
        """Whether a request may be sent here now."""
        return not self.draining and (not self.failures or self.poller.loop.time() >= self.down_until)

    def on_trial(self) -> None:
        """One request finds out whether it is back; until then nobody else is sent here."""
        self.down_until = self.poller.loop.time() + TRIAL
        self.trying = True

    def untried(self) -> None:
        """The trial found an idle connection, which says nothing of new ones: it is the next one's
        turn."""
        self.down_until = 0.0
        self.trying = False
        for watcher in self.watchers:
            watcher.release()

    def failed(self) -> None:
        """It took no connection: leave it alone for a while that grows. Those that fail together
        count once."""
        if self.failures and not self.trying and self.poller.loop.time() < self.down_until:
            return
        self.trying = False
        pause = min(FIRST_PAUSE * PAUSE_GROWTH**self.failures, LONGEST_PAUSE)
        self.failures = min(self.failures + 1, MAX_FAILURES)
        self.down_until = self.poller.loop.time() + pause
        for watcher in self.watchers:
            watcher.refresh()

    @property
    def is_gone(self) -> bool:
        """Whether it is known that no process serves it: it takes no connections, or has left."""
        return self.draining or bool(self.failures)

    def died_under_one(self) -> bool:
        """A connection has ended under a request: whether no other was under way, and nobody had
        asked it to leave."""
        now = self.poller.loop.time()
        alone = not self.in_flight and now - self.died_at >= TOGETHER
        self.died_at = now
        return alone and not self.draining

    def came_up(self) -> None:
        """It took a connection again."""
        self.failures = 0
        self.trying = False
        self.down_until = 0.0
        for watcher in self.watchers:
            watcher.release()

    def drain(self) -> None:
        """Send nothing new here; what runs is finished."""
        self.draining = True
        for watcher in self.watchers:
            watcher.refresh()

    def undrain(self) -> None:
        """Send requests here again."""
        self.draining = False
        self.came_up()

    async def drained(self) -> None:
        """Wait until no request is in flight here."""
        if self.in_flight:
            self._waiting.append(last := self.poller.loop.create_future())
            await last

    def settle(self) -> None:
        """A request has ended while the endpoint drains."""
        if not self.in_flight:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
