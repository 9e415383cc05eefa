"""The error for a text that can not be parsed, for code that parses a text without knowing its
place in a file.

It imports nothing, so that the router can parse a time span without a YAML parser in its process.
"""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 60
"""A value is quoted up to this many characters: the source line shows the rest."""


_BEGINNING = 3
_PER_SLIP = 4


class Reject(ValueError):
    """A text that can not be parsed as the expected kind of value. The caller knows its place."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def shown(text: str) -> str:
    """`text` in quotes for a message, shortened."""
    return f"'{text}'" if len(text) <= SHOWN else f"'{text[:SHOWN]}…'"


def did_you_mean(text: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest known word, if one is near."""
    if len(text) > SHOWN:
        return None  # get_close_matches is quadratic in the length
    from difflib import get_close_matches  # costs 8 ms: only after a mistyped word

    names = list(known)
    same = [name for name in names if name.lower() == text.lower()]
    near = same or [name for name in get_close_matches(text, names, n=3) if _is_near(text, name)]
    return f"did you mean '{near[0]}'?" if near else None


def _is_near(text: str, name: str) -> bool:
    """Whether one may be meant by the other: it is its beginning, or has at most one typing error
    for every four letters."""
    is_beginning = len(text) >= _BEGINNING and name.startswith(text)
    return is_beginning or _distance(text, name) <= max(1, len(text) // _PER_SLIP)


def _distance(one: str, other: str) -> int:
    """The number of letters inserted, deleted, replaced, or exchanged with their neighbour (optimal
    string alignment)."""
    before, row = list[int](), list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        older, before, row = before, row, [i]
        for j, b in enumerate(other, start=1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, older[j - 2] + 1)
            row.append(best)
    return row[-1]
