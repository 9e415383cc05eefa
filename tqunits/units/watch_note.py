"""The line in a drop-in's ledger with what of a worker's files is watched: the manager watches by
it, and reads no YAML. It is there only where the files are watched (watch_scope.py).

It is not part of what a running worker gets by a restart: a change of `watch` restarts nobody.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Final

from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass

_LONGEST: Final = 64 * 1024
"""Characters of a line: no more can be written (quote.py)."""

_MOST: Final = 4096
"""Values of a list, and characters of one: of a path the kernel takes no more."""

_MOST_US: Final = 600_000_000
"""The longest watch.max_wait."""

_TEXT: Final = late_pattern(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
"""What a unit file can hold, and a file system name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchNote:
    """What of a worker's files is watched, and when a change of them counts."""

    paths: tuple[str, ...]  # below the worker's folder, "." is all of it
    ignore: tuple[str, ...]  # patterns as in a .gitignore
    without: tuple[str, ...]  # paths below the folder, with all below them, that are no sources
    debounce: int  # µs
    max_wait: int  # µs, at least `debounce`
    may_write: bool  # the worker may write its own folder


def note(watched: WatchNote) -> str:
    """The line."""
    return json.dumps(asdict(watched), ensure_ascii=False)


def read(line: str) -> WatchNote | None:
    """The inverse of `note`; None for anything else."""
    try:
        return _read(json.loads(line)) if len(line) <= _LONGEST else None
    except (ValueError, TypeError, RecursionError):
        return None


def _read(members: object) -> WatchNote:
    """Raises ValueError or TypeError."""
    if not isinstance(members, dict) or members.keys() != {each.name for each in fields(WatchNote)}:
        raise TypeError
    debounce = _span(members["debounce"], 0)
    return WatchNote(
        paths=_paths(members["paths"]),
        ignore=_texts(members["ignore"]),
        without=_paths(members["without"]),
        debounce=debounce,
        max_wait=_span(members["max_wait"], debounce),
        may_write=_flag(members["may_write"]),
    )


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise TypeError
    return tuple(map(_text, value))


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MOST or not _TEXT.fullmatch(value):
        raise ValueError
    return value


def _paths(value: object) -> tuple[str, ...]:
    """Paths that stay below the folder."""
    found = _texts(value)
    if any(path.startswith("/") or ".." in path.split("/") for path in found):
        raise ValueError
    return found


def _span(value: object, least: int) -> int:
    if type(value) is not int or not least <= value <= _MOST_US:  # true is an int too
        raise ValueError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
