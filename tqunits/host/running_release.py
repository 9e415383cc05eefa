"""Which release an instance runs: the content of its file `serving`, which its own unit has written
(alone/join.py).

The file is the worker's own, so what it says is true of that worker alone, or a lie about itself.
"""

from __future__ import annotations

import os
import stat
from pathlib import PurePosixPath

from tqunits.lifecycle.release import is_release_id
from tqunits.model import Instance
from tqunits.units.environment import serving_file

_SIZE = 13


def running_release(whose: Instance, runtime: PurePosixPath) -> str | None:
    """The ID; None for an instance that does not serve, or runs from its worker's own folder."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(serving_file(whose, runtime), flags)
    except OSError:
        return None
    try:
        text = os.read(descriptor, _SIZE) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return None
    finally:
        os.close(descriptor)
    found = text.decode("latin-1").removesuffix("\n")
    return found if is_release_id(found) else None
