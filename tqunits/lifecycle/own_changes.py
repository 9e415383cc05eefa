"""Whether a worker is replaced again and again for changes of its own making. Values, without I/O.

Such a worker writes a file of its folder each time that it starts: the change is noticed, a new
instance starts, and writes the file again. Nobody else can be told from it by one change. But a
file that changes right after each roll, MOST times in a row, is not edited by a human.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tqunits.light_dataclass import dataclass

MOST: Final = 3
"""Rolls in a row that were followed by such a change."""


@dataclass(frozen=True, slots=True)
class OwnChanges:
    """What is known so far."""

    suspects: frozenset[str] = frozenset()  # files that have changed each time
    count: int = 0  # changes in a row, each soon after the roll for the one before

    def after(self, changed: Collection[str], *, is_soon: bool) -> OwnChanges:
        """These files have changed. `is_soon`: while the worker was replaced for the change before,
        or right after that."""
        again = self.suspects & frozenset(changed)
        if is_soon and again:
            return OwnChanges(again, self.count + 1)
        return OwnChanges(frozenset(changed), 0)

    @property
    def culprit(self) -> str:
        """The file for whose sake the worker is not replaced any more; "" while it is."""
        return min(self.suspects) if self.count >= MOST else ""
