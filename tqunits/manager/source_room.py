"""The room for what the manager remembers of all sources that it watches: a row for each file, some
500 bytes; a long path counts as several rows.

Whoever may write a watched folder decides how many files it has. If all could have as many as a
look takes, three of them would use up the manager's memory (MemoryMax= of its unit). So there is
room for MOST rows, and nobody is refused who has no more than his share of them.
"""

from __future__ import annotations

from typing import Final

from tqunits.errors import TqunitsError

MOST: Final = 200_000
"""Rows, 100 MB. With the shares that are always given it may be twice as much."""


class SourceRoom:
    """Who has how many rows."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._taken: dict[object, int] = {}

    def take(self, owner: object, rows: int) -> None:
        """He has so many from now on. Raises TqunitsError when there is no room for them; then he
        keeps what he had."""
        before = self._taken.setdefault(owner, 0)
        others = sum(self._taken.values()) - before
        if rows > self._most // len(self._taken) and others + rows > self._most:
            raise TqunitsError(
                f"it has {rows} files, and all watched folders together more than {self._most}",
                hint="name what is no source in watch.ignore of its worker.yaml",
            )
        self._taken[owner] = rows

    def leave(self, owner: object) -> None:
        """He needs no room any more."""
        self._taken.pop(owner, None)
