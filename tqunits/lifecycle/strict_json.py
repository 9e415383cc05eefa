"""Reads JSON objects of our own files without trust: exact keys, types, bounds.

A file that a less trusted user writes for root is read with this, and one of root's that a daemon
reads. Whatever is not exactly what was agreed is a ValueError that names the key. The bounds are
the caller's: each kind of file has its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Final

from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass

MAX_INTEGER: Final = (1 << 63) - 1
"""Of a number whose bound is only that other programs can read it."""

_ANY: Final = late_pattern(r"(?s).*")


@dataclass(frozen=True, slots=True)
class StrictObject:
    """A JSON object that has exactly the keys that were asked for. Each method raises
    ValueError."""

    members: Mapping[str, object]

    def text(self, key: str, most: int, pattern: re.Pattern[str] = _ANY) -> str:
        """A printable text of at most `most` characters, which matches the whole pattern."""
        return text(self.members[key], key, most, pattern)

    def text_or_none(self, key: str, most: int, pattern: re.Pattern[str] = _ANY) -> str | None:
        """The same, or null."""
        return None if self.members[key] is None else self.text(key, most, pattern)

    def any_text(self, key: str, most: int) -> str:
        """A text of at most `most` characters, a stranger's: whoever prints it makes it
        printable."""
        found = self.members[key]
        if not isinstance(found, str) or len(found) > most:
            raise ValueError(f"{key}: not a text of at most {most} characters")
        return found

    def lines(self, key: str, most: int) -> str:
        """A text of printable lines."""
        found = self.members[key]
        if not isinstance(found, str) or len(found) > most or not found.replace("\n", "").isprintable():
            raise ValueError(f"{key}: not printable lines of at most {most} characters")
        return found

    def number(self, key: str, least: int = 0, most: int = MAX_INTEGER) -> int:
        """A whole number within both bounds."""
        found = self.members[key]
        if type(found) is not int or not least <= found <= most:  # true is an int too
            raise ValueError(f"{key}: not a whole number from {least} to {most}")
        return found

    def number_or_none(self, key: str, least: int = 0, most: int = MAX_INTEGER) -> int | None:
        """The same, or null."""
        return None if self.members[key] is None else self.number(key, least, most)

    def flag(self, key: str) -> bool:
        """True or false."""
        found = self.members[key]
        if not isinstance(found, bool):
            raise ValueError(f"{key}: neither true nor false")
        return found

    def flag_or_none(self, key: str) -> bool | None:
        """The same, or null."""
        return None if self.members[key] is None else self.flag(key)

    def rows(self, key: str, most: int) -> list[object]:
        """A list of at most `most` values."""
        found = self.members[key]
        if not isinstance(found, list) or len(found) > most:
            raise ValueError(f"{key}: not a list of at most {most}")
        return found

    def table(self, key: str, most: int) -> Mapping[str, object]:
        """An object of at most `most` members with any keys."""
        found = self.members[key]
        if not isinstance(found, dict) or len(found) > most:
            raise ValueError(f"{key}: not an object of at most {most}")
        return found


def strict_object(document: str | bytes, most: int, keys: Collection[str]) -> StrictObject:
    """The object in a text of at most `most` bytes or characters, with these keys and no others."""
    if len(document) > most:
        raise ValueError(f"longer than {most}")
    try:
        decoded = document.decode("utf-8") if isinstance(document, bytes) else document
        return exactly(json.loads(decoded, object_pairs_hook=_once, parse_constant=_no_number), "it", keys)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def exactly(value: object, key: str, keys: Collection[str]) -> StrictObject:
    """A value that was read from JSON, as an object with these keys and no others. `key`: where it
    stands."""
    if not isinstance(value, dict):
        raise ValueError(f"{key}: not an object")
    if value.keys() != set(keys):
        odd = sorted(value.keys() ^ set(keys))
        raise ValueError(f"{key}: has not exactly the keys {', '.join(keys)}: see {ascii(odd[0])[:60]}")
    return StrictObject(value)


def text(value: object, key: str, most: int, pattern: re.Pattern[str] = _ANY) -> str:
    """A printable text of at most `most` characters, which matches the whole pattern."""
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise ValueError(f"{key}: not a printable text of at most {most} characters")
    if not pattern.fullmatch(value):
        raise ValueError(f"{key}: {ascii(value)[:60]} is none")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is given twice")
    return members


def _no_number(word: str) -> object:
    raise ValueError(f"{word} is no number of JSON")
