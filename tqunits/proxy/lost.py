"""Instances that are held without a known reason, and sockets of this process that somebody has
removed.

An instance without `serving` and without `leaving` may have crashed or may be starting; or somebody
has removed its file while it runs. Only systemd knows, and a router may not ask systemd. So the
router asks for `tqunits repair`: it writes to an open file that systemd has passed to it, and that
tq-repair.path watches. The written bytes do not matter.

A start looks like a loss until it ends. So the longer an instance is lost, the more rarely the
router asks. And if an instance loses its file again, the router waits for SHORTEST seconds before
it asks: the instance may remove the file itself, and the repair runs as root.
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
"""Seconds between two questions about an instance that stays lost; most likely it is stopped."""

SHORTEST: Final = 10.0
"""Seconds from the last question about one loss of an instance to the first question about its next
loss."""

_OWN: Final = ""
"""Stands for the sockets of this process, in the place of an instance's name."""


class Lost:
    """Which instances are lost, and when the router asks about each."""

    def __init__(
        self,
        asking: int | None,
        sockets: Sequence[Path],
        complain: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`asking`: the descriptor to write to; None when nothing watches it. `sockets`: those of
        this process."""
        self._asking = asking
        self._sockets = sockets
        self._complain = complain
        self._now = now
        self._due: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def see(self, name: str, *, is_lost: bool) -> None:
        """Note what a look has found."""
        if not is_lost:
            self._due.pop(name, None)
        elif name not in self._due:
            self._begin(name)

    def hurry(self, name: str) -> None:
        """Something has changed for that instance: ask soon."""
        if name in self._due:
            self._begin(name)

    def keep_only(self, names: Container[str]) -> None:
        """Forget instances that are in no route any more."""
        for known in (self._due, self._pause, self._asked):
            for name in [name for name in known if name != _OWN and name not in names]:
                del known[name]

    def ask(self) -> None:
        """Ask, if it is time: one question for all of them."""
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
