"""Whether git is changing the files of a folder just now.

`git checkout`, `git pull`, `git stash` write many files, one after the other, while there is
`.git/index.lock`: what lies there meanwhile is half of a change. The repository is that above the
folder itself, wherever the links are that lead to the folder. Whether there is such a lock is all
that is asked of it: nothing in it is read, and no link in it is followed. In a worktree and in a
submodule `.git` is a file that names the folder with the lock (gitrepository-layout(5)). Whoever
wrote it could lead us anywhere, so that folder has to be his, or root's.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.lifecycle.settling import CHECKOUT_MAX_US
from tqunits.system.survey import opened_for_root, read_for_root

_GIT: Final = ".git"
_MOST_OF_NAME: Final = 5000
"""Bytes of a file `.git`: one path, of at most PATH_MAX (4096) bytes, and eight more."""

_MAX_ABOVE: Final = 40
"""Folders that are asked for a repository, upwards; more would only be work."""


def is_checkout_running(folder: Path, now_ns: int) -> bool:
    """Whether the repository that has the folder is locked. `now_ns`: ns since 1970. A lock that is
    older than CHECKOUT_MAX_US does not count; nobody can set the change time that says so. False
    for what can not be seen."""
    real = Path(os.path.realpath(folder))
    for place in islice((real, *real.parents), _MAX_ABOVE):
        try:
            with opened_for_root(place / _GIT) as repository:
                return _is_locked(repository, now_ns)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            return _is_locked_elsewhere(place, now_ns)
        except OSError:
            return False
    return False


def _is_locked_elsewhere(place: Path, now_ns: int) -> bool:
    """The same where `.git` is a file."""
    try:
        key, _, path = os.fsdecode(read_for_root(place / _GIT, _MOST_OF_NAME)).rstrip("\n").partition(": ")
        with opened_for_root(Path(os.path.normpath(place / path))) as repository:
            is_his = os.fstat(repository).st_uid in {0, os.lstat(place / _GIT).st_uid}
            return key == "gitdir" and is_his and _is_locked(repository, now_ns)
    except (OSError, ValueError, TqunitsError):  # ValueError: a path with a NUL
        return False


def _is_locked(repository: int, now_ns: int) -> bool:
    """Raises OSError."""
    try:
        lock = os.stat("index.lock", dir_fd=repository, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return now_ns - lock.st_ctime_ns < CHECKOUT_MAX_US * 1000
