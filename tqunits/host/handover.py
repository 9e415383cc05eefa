"""Makes the file `serving` for an instance that runs without it (units/environment.py).

The instance's own unit makes the file at each start. Somebody may have removed it; and an instance
that has run since an earlier release never had one. In that release a mark in /run/tqunits/draining
said that a worker took no requests.
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
    """Instances with a runtime folder that holds neither of the two files; for each the path of its
    `serving`."""
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
    """Make the file for an instance that runs, and let the routers look into the folder.

    The folder is the worker's, and its parent is root's. So the folder is opened first, and no link
    in it is followed.
    """
    try:
        folder = os.open(file.parent, _FOLDER)
    except OSError:
        return  # the instance has just ended; its next start makes the file
    try:
        if os.fstat(folder).st_mode & 0o777 == 0o700:
            os.fchmod(folder, 0o755)
        with suppress(FileExistsError):
            os.close(os.open(file.name, _NEW, 0o644, dir_fd=folder))
    finally:
        os.close(folder)


def dismiss(file: PurePosixPath) -> None:
    """Undo `admit`."""
    with suppress(OSError):
        folder = os.open(file.parent, _FOLDER)
        try:
            os.unlink(file.name, dir_fd=folder)
        finally:
            os.close(folder)


def marks(layout: Layout) -> tuple[Path, ...]:
    """The marks of earlier releases. No program reads them any more, and no installed unit removes
    them."""
    folder = Path(layout.runtime) / "draining"
    return (folder,) if os.path.lexists(folder) else ()
