"""Who may enter a release besides root: everybody; the worker alone; or the worker, and everybody
the folder with the static files.

A release lies where everybody can get to it, because the router sends only what everybody may read
(system/published.py). What it is a copy of may lie below a folder that is closed to others. So the
modes in a release say what was so with the worker's folder when the release was made, or asked for
again:

    others can not enter the folder   ID/ 0750, of the worker's group
    they can, and there is no build   ID/ 0755: what is copied is what everybody may read
    they can, and there is a build    ID/ 0751, and so the folders down to the static files; what
                                      lies beside these is the worker's; ID/ 0750 if there are none

What a build makes has no mode that would tell who may read it (its umask is 0077, and a release has
0644), and `build-NAME` may be in groups that others are not in.
"""

from __future__ import annotations

import os
import stat
from itertools import pairwise
from pathlib import Path
from typing import Final

from tqunits.light_dataclass import dataclass
from tqunits.model import Worker, WorkerType
from tqunits.system import users
from tqunits.system.published import unserved
from tqunits.units import release_mount

_OPEN: Final = 0o755
_CLOSED: Final = 0o750
_CLOSED_FILE: Final = 0o640
_PASSAGE: Final = 0o751


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAccess:
    """Who may enter a release."""

    group: int | None = None  # the worker's; None: everybody
    way: tuple[str, ...] = ()  # the folders that lead others to the static files; empty: none does


def access_of(worker: Worker) -> ReleaseAccess:
    """To a release that is made now. Raises TqunitsError when the worker's group is not there."""
    is_open, has_build = unserved(str(worker.folder)) is None, bool(worker.build.command)
    if is_open and not has_build:
        return ReleaseAccess()
    part = release_mount.served_part(worker) if is_open else None
    group = 0 if worker.type is WorkerType.STATIC else users.gid_of(worker.group)
    return ReleaseAccess(group=group, way=() if part is None else part.parts)


def let_in(release: Path, access: ReleaseAccess) -> None:
    """Give a release these modes. Only root may change names in it, so no link comes in between; a
    link that is there is left alone. A worker that runs it can read it at any moment. Raises
    OSError."""
    if access.group is None:
        release.chmod(_OPEN)
        return
    below = _along(release, access.way)
    for folder, inner in pairwise((release, *below)):
        _close_beside(folder, inner, access.group)
        _give(inner, access.group, _OPEN if inner == below[-1] else _PASSAGE)
    _give(release, access.group, _PASSAGE if below else _CLOSED)


def unserved_files(worker: Worker, release: Path) -> str:
    """Why the router sends none of the files in a release that it would send, as a clause; "" where
    it does, or where the worker has none for it there."""
    part = release_mount.served_part(worker)
    if part is None:
        return ""
    missing = "" if _along(release, part.parts) else f"there is no folder {part} in the release"
    why = unserved(str(worker.folder)) or missing or unserved(str(release / part))
    return f"the router serves none of its static files: {why}" if why else ""


def _along(release: Path, way: tuple[str, ...]) -> tuple[Path, ...]:
    """The folders on the way to the last one; none where one of them is missing, or a link."""
    folders = tuple(release.joinpath(*way[: depth + 1]) for depth in range(len(way)))
    return folders if all(not folder.is_symlink() and folder.is_dir() for folder in folders) else ()


def _close_beside(folder: Path, way: Path, group: int) -> None:
    """Close what lies beside one name in a folder. What lies below that is closed with it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name != way.name and not entry.is_symlink():
                is_executable = entry.stat(follow_symlinks=False).st_mode & stat.S_IXUSR  # a folder is, too
                _give(Path(entry.path), group, _CLOSED if is_executable else _CLOSED_FILE)


def _give(path: Path, group: int, mode: int) -> None:
    """First the group, so that the worker's group can read it all the time."""
    if os.geteuid() == 0:
        os.chown(path, 0, group)
    path.chmod(mode)
