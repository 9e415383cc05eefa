"""Instances that are held for no reason that shows here, and sockets of this process that somebody
has removed.

One without `serving` and without `leaving` may have crashed, may be starting, or somebody has
removed its file while it runs. systemd knows, and a router may not ask it. So the router asks for
`tqunits repair`, which may: it writes to an open file that systemd has given it, and that
tq-repair.path watches. What is written does not matter.

A start looks the same as a loss until it ends, so who is lost for long is asked for less and less
often. And one that is served again, and loses its file once more, is not asked for before
SHORTEST seconds are over: it may remove the file itself, and what is started for it is root's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Final

from tqunits.system.files import is_absent

FIRST: Final = 2.0
"""Seconds from a loss to the first question: most starts are over by then."""

LONGEST: Final = 3600.0
"""Seconds between two questions about one that stays lost: it is stopped, most likely."""

SHORTEST: Final = 10.0
"""Seconds from the last question about one loss of a worker to the first about the next."""

_OWN: Final = ""
"""In the place of an instance's name: the sockets of this process."""


class Lost:
    """Who is lost, and when that is to be looked into."""

    def __init__(
        self,
        asking: int | None,
        sockets: Sequence[Path],
        complain: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`asking`: the descriptor to write to; None where nobody would notice. `sockets`: of this
        process."""
        self._asking = asking
        self._sockets = sockets
        self._complain = complain
        self._now = now
        self._due: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def see(self, name: str, *, is_lost: bool) -> None:
        """What a look has shown."""
        if not is_lost:
            self._due.pop(name, None)
        elif name not in self._due:
            self._begin(name)

    def hurry(self, name: str) -> None:
        """Something has happened to that one."""
        if name in self._due:
            self._begin(name)

    def keep_only(self, names: Container[str]) -> None:
        """Forget those that are in no route any more."""
        for known in (self._due, self._pause, self._asked):
            for name in [name for name in known if name != _OWN and name not in names]:
                del known[name]

    def ask(self) -> None:
        """Ask, if it is time to: once for all."""
        self.see(_OWN, is_lost=any(map(is_absent, self._sockets)))
        now = self._now()
        due = [name for name, then in self._due.items() if then <= now]
        for name in due:
            self._asked[name] = now
            self._pause[name] = min(2 * self._pause[name], LONGEST)
            self._due[name] = now + self._pause[name]
        if due and self._asking is not None:
            self._write(self._asking)

    def _begin(self, name: str) -> None:
        now = self._now()
        self._pause[name] = FIRST
        self._due[name] = max(now + FIRST, self._asked.get(name, now - SHORTEST) + SHORTEST)

    def _write(self, asking: int) -> None:
        try:
            os.pwrite(asking, b"\n", 0)
        except OSError as error:
            self._asking = None
            self._complain(f"nobody can be asked to repair what is lost: {error.strerror}")
