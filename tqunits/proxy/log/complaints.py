"""Messages of the router on stderr, for the journal: failures that an operator must see, never one
line per request.

A worker that is down fails every request in the same way; the first few lines tell it all.
sd-daemon(3): a leading `<N>` sets the priority; the journal removes it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

MAX_ONCE: Final = 256
"""Messages that are printed once and remembered. They are about settings of proxies in front of the
router."""

SELDOM: Final = 60.0
"""Seconds until the same message is printed again for other requests: a client that scans the host
makes any number of them."""
MAX_SELDOM: Final = 256
"""Different messages that are remembered for so long. Further ones are in the access log only."""

MAX_LINES: Final = 10
"""Per second: enough to see several workers fail at once, far under journald's own limit (10 000 in
30 s)."""


class Complaints:
    """Prints lines on stderr, at most MAX_LINES per second. Left-out lines are counted, and their
    number is printed later."""

    def __init__(
        self, stream: TextIO | None = None, *, journal: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._journal = journal
        self._now = now
        self._second = 0
        self._lines = 0
        self._left_out = 0
        self._once: set[str] = set()
        self._seldom: dict[str, tuple[float, int]] = {}  # when it was last printed, and how often it has occurred since

    def seldom(self, what: str, before: str = "", behind: str = "") -> None:
        """A message about requests of one kind: printed for the first one, and then once a minute
        at most.

        `what` names the kind; `before` and `behind` are about the single request.
        """
        now = self._now()
        said, more = self._seldom.get(what, (-SELDOM, 0))
        if now - said < SELDOM:
            self._seldom[what] = said, more + 1
            return
        if len(self._seldom) >= MAX_SELDOM:
            self._seldom = {kind: known for kind, known in self._seldom.items() if now - known[0] < SELDOM}
            if len(self._seldom) >= MAX_SELDOM:
                return
        self._seldom[what] = now, 0
        self._write(5, f"{before}{what}{behind}{f' ({more} more like it before)' if more else ''}")

    def once(self, text: str) -> None:
        """A message that would come with every request: printed once, as long as it can be
        remembered."""
        if text not in self._once and len(self._once) < MAX_ONCE:
            self._once.add(text)
            self._write(4, text)

    def warn(self, text: str) -> None:
        """Something failed for a client."""
        second = int(self._now())
        if second != self._second:
            left_out, self._second, self._lines, self._left_out = self._left_out, second, 0, 0
            if left_out:
                self._write(4, f"{left_out} more like these left out")
        self._lines += 1
        if self._lines > MAX_LINES:
            self._left_out += 1
        else:
            self._write(4, text)

    def say(self, text: str, *, priority: int = 6) -> None:
        """A message about the router itself: always printed."""
        self._write(priority, text)

    def _write(self, priority: int, text: str) -> None:
        lead = f"<{priority}>" if self._journal else "tqunits proxy: "
        self._stream.write(f"{lead}{text}\n")
        self._stream.flush()
