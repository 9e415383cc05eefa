"""Whether an address of a worker takes requests, how many are in flight there, and how many it has
answered.

An address that accepts no connections is left alone for growing pauses, and then one request tries
whether it is back. An address that drains gets no new requests.
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
"""The longest pause between attempts, in seconds. A compiled worker is back in milliseconds, and
one that is gone for good costs four attempts a second while a request waits for it."""

MAX_FAILURES: Final = 20
"""Not counted further: by then the pause is at its longest."""

TOGETHER: Final = 0.1
"""Seconds in which all connections of an ended process end. A new process takes longer to start."""

TRIAL: Final = 2.5
"""Seconds that an attempt may take before another request tries: longer than the limit for
connecting."""


@trait
class Watcher:
    """A worker that sends requests to an endpoint."""

    def sort_out(self) -> None:
        """The endpoint begins or ends to drain."""
        raise AssertionError

    def refresh(self) -> None:
        """Something has changed that decides whether a request may go there the short way."""
        raise AssertionError

    def release(self) -> None:
        """The endpoint may take requests again: let waiting requests begin."""
        raise AssertionError


class Availability:
    """One address, and whether it can be reached."""

    __slots__ = (
        "_waiting",
        "address",
        "answers",
        "died_at",
        "down_until",
        "draining",
        "failures",
        "in_flight",
        "label",
        "poller",
        "release",
        "standing",
        "trying",
        "watchers",
        "wheel",
    )

    def __init__(self, address: Address, poller: Poller, wheel: Wheel) -> None:
        self.address = address
        self.label = str(address)
        self.release = ""  # the ID of the one that it serves with; "": of none, or nobody knows
        self.poller = poller
        self.wheel = wheel
        self.in_flight = 0
        self.answers = 0  # final responses that it has begun, other than 5xx
        self.standing = Standing()
        self.watchers: set[Watcher] = set()  # the workers that have this endpoint
        self.failures = 0  # failed connections in a row
        self.trying = False  # a request tries whether it is back
        self.down_until = 0.0  # loop time until which it is left alone
        self.died_at = -TOGETHER  # loop time: when a connection last ended under a request
        self.draining = False
        self._waiting: list[asyncio.Future[None]] = []  # callers that wait for its last request

    @property
    def takes_requests(self) -> bool:
        """Whether a request may be sent here now."""
        return not self.draining and (not self.failures or self.poller.loop.time() >= self.down_until)

    def on_trial(self) -> None:
        """A request tries whether it is back; until then no other is sent here."""
        self.down_until = self.poller.loop.time() + TRIAL
        self.trying = True

    def untried(self) -> None:
        """The trial used an idle connection, which proves nothing about new ones: the next request
        tries."""
        self.down_until = 0.0
        self.trying = False
        for watcher in self.watchers:
            watcher.release()

    def failed(self) -> None:
        """It accepted no connection: pause, longer each time. Failures at the same time count
        once."""
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
        """Whether it is known that no process serves it: it accepts no connections, or it was
        stopped."""
        return self.draining or bool(self.failures)

    def died_under_one(self) -> bool:
        """A connection has ended under a request. Returns whether no other request was under way,
        and the endpoint was not draining."""
        now = self.poller.loop.time()
        alone = not self.in_flight and now - self.died_at >= TOGETHER
        self.died_at = now
        return alone and not self.draining

    def came_up(self) -> None:
        """It accepted a connection again."""
        self.failures = 0
        self.trying = False
        self.down_until = 0.0
        for watcher in self.watchers:
            watcher.release()

    def drain(self) -> None:
        """Send no new requests here; running ones are finished."""
        self.draining = True
        for watcher in self.watchers:
            watcher.sort_out()

    def undrain(self) -> None:
        """Send requests here again."""
        self.draining = False
        for watcher in self.watchers:
            watcher.sort_out()
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
