"""Which files have been edited since `install` copied them. `ls` asks this for every worker, so
each costs one stat(2) only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tqunits.units.unitfile import Copy


def changed(copies: Iterable[Copy]) -> tuple[str, ...]:
    """The files that have changed since they were copied. A file that we may not look at is not
    among them."""
    return tuple(copy.source for copy in copies if _has_changed(copy))


def _has_changed(copy: Copy) -> bool:
    """Compares the time. Nothing is opened, so nothing can block."""
    try:
        return Path(copy.source).lstat().st_mtime_ns != copy.modified
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
