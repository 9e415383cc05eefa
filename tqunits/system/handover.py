"""From an earlier release to this one, while workers run: what says that a worker takes requests.

Earlier, a mark in /run/tqunits/draining said that a worker did not. A worker that has been running since then has no
file `serving` (units/environment.py) until its next start, and the routers would hold its requests.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tqunits.model import Layout
from tqunits.system import files
from tqunits.units import environment

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def without_serving(layout: Layout) -> frozenset[str]:
    """Workers that have a runtime folder, and no such file in it."""
    workers = Path(layout.runtime) / "workers"
    try:
        return frozenset(own.name for own in workers.iterdir() if own.is_dir() and not os.path.lexists(own / "serving"))
    except FileNotFoundError:
        return frozenset()


def admit(layout: Layout, workers: Iterable[str]) -> None:
    """Make the file for workers that run, and let the routers see it.

    A folder is its worker's, and the one above is root's: so it is opened first, and nothing in it is followed.
    """
    for worker in workers:
        _admit(layout, worker)


def _admit(layout: Layout, worker: str) -> None:
    file = Path(environment.serving_file(worker, layout.runtime))
    try:
        folder = os.open(file.parent, _FOLDER)
    except OSError:
        return  # it has just ended; its next start makes the file itself
    try:
        if os.fstat(folder).st_mode & 0o777 == 0o700:
            os.fchmod(folder, 0o755)
        with suppress(FileExistsError):
            os.close(os.open(file.name, _NEW, 0o644, dir_fd=folder))
    finally:
        os.close(folder)


def remove_marks(layout: Layout) -> None:
    """Remove the marks of before: nothing reads them any more, and no unit that is installed takes one away."""
    folder = Path(layout.runtime) / "draining"
    if folder.exists():
        files.remove_tree(folder)
