"""Texts that can not be read, and how to say so: for whoever reads a text and does not know where it stands.

Imports nothing, so that the router reads a time span without a YAML parser in its process.
"""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 60
"""A value is quoted up to this many characters: the source line shows the rest."""


class Reject(ValueError):
    """A text that can not be read as what it should be; the caller knows where it stands."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def shown(text: str) -> str:
    """`text` in quotes for a message, shortened."""
    return f"'{text}'" if len(text) <= SHOWN else f"'{text[:SHOWN]}…'"


def did_you_mean(text: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest known word, if any is near."""
    if len(text) > SHOWN:
        return None  # get_close_matches is quadratic in the length
    from difflib import get_close_matches  # costs 8 ms: only when somebody mistyped

    near = get_close_matches(text, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else None
