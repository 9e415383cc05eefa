"""Makes the file that says that a worker takes requests, for a worker that runs and has none
(units/environment.py).

Its own unit makes it in each start. Somebody may remove it, and a worker that has been running
since an earlier release never had one: then a mark in /run/tqunits/draining said that a worker
takes no requests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from tqunits.layout import Layout
from tqunits.model import Instance
from tqunits.units import environment, name

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unserved(layout: Layout) -> Mapping[Instance, PurePosixPath]:
    """Who has a runtime folder, and none of the two files in it; with the path of `serving`."""
    workers = Path(layout.runtime) / "workers"
    try:
        folders = [name.instance(folder.name) for folder in workers.iterdir() if folder.is_dir()]
    except FileNotFoundError:
        return {}
    return {whose: PurePosixPath(_serving(whose, layout)) for whose in folders if whose and _has_neither(whose, layout)}


def _has_neither(whose: Instance, layout: Layout) -> bool:
    leaving = environment.leaving_file(whose, layout.runtime)
    return not os.path.lexists(_serving(whose, layout)) and not os.path.lexists(leaving)


def _serving(whose: Instance, layout: Layout) -> str:
    return environment.serving_file(whose, layout.runtime)


def admit(file: PurePosixPath) -> None:
    """Make the file for a worker that runs, and let the routers see it.

    The folder is the worker's, and the one above is root's: so it is opened first, and nothing in
    it is followed.
    """
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


def dismiss(file: PurePosixPath) -> None:
    """Take back what `admit` has made."""
    with suppress(OSError):
        folder = os.open(file.parent, _FOLDER)
        try:
            os.unlink(file.name, dir_fd=folder)
        finally:
            os.close(folder)


def marks(layout: Layout) -> tuple[Path, ...]:
    """The marks of before: nothing reads them any more, and no unit that is installed takes one
    away."""
    folder = Path(layout.runtime) / "draining"
    return (folder,) if os.path.lexists(folder) else ()
