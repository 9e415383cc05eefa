"""Which files have been edited since `install` copied them. `ls` asks for every worker: it costs a
glance at each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tqunits.units.unitfile import Copy


def changed(copies: Iterable[Copy]) -> tuple[str, ...]:
    """The files that no longer look as they did when they were copied; what may not be looked at is
    not among them."""
    return tuple(copy.source for copy in copies if _has_changed(copy))


def _has_changed(copy: Copy) -> bool:
    """By its time: nothing is opened, so nothing can make this wait."""
    try:
        return Path(copy.source).lstat().st_mtime_ns != copy.modified
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
