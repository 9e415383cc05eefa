"""Which folder on a path is closed to this process, and what opens it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tqunits.errors import NotPermitted
from tqunits.layout import HOMES


def refusal(folder: Path) -> NotPermitted:
    """Why this process may not list a folder, after the kernel has said so. Reads the host, and
    raises nothing."""
    real = Path(os.path.realpath(folder))
    for each in reversed(real.parents):
        if not os.access(each, os.X_OK, effective_ids=True):
            return _closed(each, "enter", "o+x")
    return _closed(real, "list", "o+rx")


def _closed(folder: Path, what: str, mode: str) -> NotPermitted:
    if str(folder) in HOMES and not stat.S_IMODE(folder.stat().st_mode):
        return NotPermitted(f"{folder} is hidden by the sandbox", hint="keep the worker's folder below /srv")
    return NotPermitted(f"others may not {what} {folder}", hint=f"chmod {mode} {folder}")
