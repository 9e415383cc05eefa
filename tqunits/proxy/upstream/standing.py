"""Whether the idle connections of an endpoint are reliable, judged by how earlier ones ended.

A worker may close an idle connection at any moment, without a word (RFC 9112 §9.5). A request that
crosses with the close is lost, and nobody knows whether the worker saw it. A request that may be
sent twice is sent again; any other uses an idle connection only if those are known to last. They
count as reliable when one of them has been idle for a while, or many were found open; when one ends
early, this is forgotten for a long time.
"""

from __future__ import annotations

from typing import Final

from tqunits.proxy.reactor.timers import ticks_of

LASTED: Final = 2
"""Ticks that an idle connection must have lasted to count: at least a quarter of a second. Programs
that close after each answer do it long before (uWSGI, and uvicorn without keep-alive, within a
millisecond, on a busy machine within twenty)."""

FOUND_STANDING: Final = 100
"""How many times in a row a connection must still be open when the next request comes, which may be
at once. With a program that closes after each answer one in five still is, measured with four
clients. With 32 clients all connections of one moment are found open, before the program has closed
any: so among connections that were used once, one per tick counts."""

WARY: Final = ticks_of(3_600_000_000)
"""How long an early end is remembered. gunicorn restarts a process after `max_requests` requests,
which may take many minutes. Meanwhile each request that can not be repeated costs a new local
connection."""

TOLD: Final = 3
"""After so many early ends a message is printed. The ends of one crash count as one, because all
those connections were opened before it."""


class Standing:
    """What is known of the idle connections of one endpoint."""

    __slots__ = ("_ends", "_found", "_found_at", "_opened_at_end", "_told", "_wary_until", "opened", "relied_on")

    def __init__(self) -> None:
        self.opened = 0  # connections so far, which number them
        self.relied_on = False
        self._opened_at_end = 0  # the count at the last early end
        self._ends = 0
        self._found = 0
        self._found_at = -1  # tick
        self._told = False
        self._wary_until = 0  # tick

    def ended(self, number: int, tick: int) -> None:
        """The worker has closed connection `number`, which was idle or was used again."""
        self.relied_on = False
        self._found = 0
        self._wary_until = tick + WARY
        if number > self._opened_at_end:
            self._opened_at_end = self.opened
            self._ends += 1

    def lasted(self, tick: int) -> bool:
        """A connection has been idle for LASTED and is open. Returns whether idle connections count
        as reliable now."""
        if tick >= self._wary_until:
            self.relied_on = True
        return self.relied_on

    def found(self, uses: int, tick: int) -> bool:
        """A connection is open that has served so often, the last time perhaps just now. Returns
        the same."""
        if uses > 1 or tick != self._found_at:
            self._found += uses
            self._found_at = tick
        return self._found >= FOUND_STANDING and self.lasted(tick)

    def is_to_be_told(self) -> bool:
        """Whether they end early again and again, and this was not reported. A call with the result
        True counts as the report."""
        if self._told or self._ends < TOLD:
            return False
        self._told = True
        return True
