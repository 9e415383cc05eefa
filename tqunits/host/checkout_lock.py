"""Whether git is changing the files of a folder just now.

`git checkout`, `git pull`, `git stash` write many files, one after the other, while there is
`.git/index.lock`: what lies there meanwhile is half of a change. The repository is that above the
folder itself, wherever the links are that lead to the folder. Whether there is such a lock is all
that is asked of it: nothing in it is read, and no link in it is followed. Where `.git` is a file (a
worktree, a submodule), the lock lies elsewhere and is not found.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Final

from tqunits.lifecycle.settling import CHECKOUT_MAX_US
from tqunits.system.survey import opened_for_root

_MAX_ABOVE: Final = 40
"""Folders that are asked for a repository, upwards; more would only be work."""


def is_checkout_running(folder: Path, now_ns: int) -> bool:
    """Whether the repository that has the folder is locked. `now_ns`: ns since 1970. A lock that is
    older than CHECKOUT_MAX_US does not count; nobody can set the change time that says so. False
    for what can not be seen."""
    real = Path(os.path.realpath(folder))
    for place in islice((real, *real.parents), _MAX_ABOVE):
        try:
            with opened_for_root(place / ".git") as repository:
                return _is_locked(repository, now_ns)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return False


def _is_locked(repository: int, now_ns: int) -> bool:
    """Raises OSError."""
    try:
        lock = os.stat("index.lock", dir_fd=repository, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return now_ns - lock.st_ctime_ns < CHECKOUT_MAX_US * 1000
