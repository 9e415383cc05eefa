"""Reads the release that an instance runs from its file `serving`: 12 hexadecimal digits and a
newline, as alone/join.py writes them.

The file lies in a folder that the worker may write. It may be a link to a file of somebody else's,
a FIFO that nobody writes to, or as long as the disk. So nothing but a regular file of exactly that
size is read, and of that no more (open(2), O_NOFOLLOW, O_NONBLOCK).
"""

from __future__ import annotations

import os
import stat
from typing import Final

from tqunits.lifecycle.release import is_release_id

_SIZE: Final = 13
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def release_in(serving: str) -> str | None:
    """The ID; None for a file that has none, or can not be read."""
    try:
        descriptor = os.open(serving, _FLAGS)
    except OSError:
        return None
    try:
        return _read(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> str | None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size != _SIZE:
        return None
    text = os.read(descriptor, _SIZE).decode("latin-1")
    return text[:-1] if text.endswith("\n") and is_release_id(text[:-1]) else None
