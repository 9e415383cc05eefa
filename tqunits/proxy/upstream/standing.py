"""Whether an endpoint's kept connections can be relied on, as far as their ends tell.

A worker may close a connection that it has let us keep at any moment, and need not say so before
(RFC 9112 §9.5): a request that crosses with it is lost, and nobody knows whether it was seen. What
may be sent twice is sent again; what may not goes on a kept connection only where those are known
to last. Known is that of an endpoint of which one has been idle for a while, or many were found
standing; where one died young it is forgotten, for long.
"""

from __future__ import annotations

from typing import Final

from tqunits.proxy.reactor.timers import ticks_of

LASTED: Final = 2
"""Ticks an idle connection must have stood to count: a quarter of a second at least. Who closes
after each answer has done so long before (uWSGI and uvicorn without keep-alive within a
millisecond, on a busy machine within twenty)."""

FOUND_STANDING: Final = 100
"""Times in a row that a connection was still open when the next request came, which may be at once:
of a program that closes after each answer one in five is, measured under four clients. Of 32
clients those of one moment are found open together, before the program has come to close any: so of
connections that were used once, one counts in a tick."""

WARY: Final = ticks_of(3_600_000_000)
"""How long an end is remembered. gunicorn ends a process of its own accord after `max_requests` of
them, which may take many minutes; and what it costs meanwhile is a new local connection for each
request that can not be repeated."""

TOLD: Final = 3
"""Ends after which it is said: those of one crash are one, for all of them were opened before
it."""


class Standing:
    """What is known of one endpoint's kept connections."""

    __slots__ = ("_ends", "_found", "_found_at", "_opened_at_end", "_told", "_wary_until", "opened", "relied_on")

    def __init__(self) -> None:
        self.opened = 0  # connections so far; each has its number
        self.relied_on = False
        self._opened_at_end = 0  # how many there were when one last ended
        self._ends = 0
        self._found = 0
        self._found_at = -1  # tick
        self._told = False
        self._wary_until = 0  # tick

    def ended(self, number: int, tick: int) -> None:
        """The worker has closed a kept connection, or one that was used again: that of this
        number."""
        self.relied_on = False
        self._found = 0
        self._wary_until = tick + WARY
        if number > self._opened_at_end:
            self._opened_at_end = self.opened
            self._ends += 1

    def lasted(self, tick: int) -> bool:
        """One has been idle for LASTED and stands. Gives whether they are relied on now."""
        if tick >= self._wary_until:
            self.relied_on = True
        return self.relied_on

    def found(self, uses: int, tick: int) -> bool:
        """One stands that has served so often, the last time a moment ago perhaps. Gives the
        same."""
        if uses > 1 or tick != self._found_at:
            self._found += uses
            self._found_at = tick
        return self._found >= FOUND_STANDING and self.lasted(tick)

    def is_to_be_told(self) -> bool:
        """Whether they end again and again, and nobody has been told; the question counts as the
        telling."""
        if self._told or self._ends < TOLD:
            return False
        self._told = True
        return True
