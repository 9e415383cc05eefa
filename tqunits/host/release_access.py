"""Who may enter a release besides root: everybody; the worker alone; or the worker, and everybody
the folder with the static files.

A release lies where everybody can get to it, because the router sends only what everybody may read
(system/published.py). What it is a copy of may lie below a folder that is closed to others. So the
modes in a release say what was so with the worker's folder when the release was made, or asked for
again:

    others can not enter the folder   ID/ 0750, of the worker's group
    they can, and there is no build   ID/ 0755: what is copied is what everybody may read
    they can, and there is a build    ID/ 0751, and so the folders down to the static files; what
                                      lies beside these is the worker's; ID/ 0750 if there are none,
                                      and 0755 if it is them itself (`static.directory: .`)

What a build makes has no mode that would tell who may read it (its umask is 0077, and a release has
0644), and `build-NAME` may be in groups that others are not in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from tqunits.light_dataclass import dataclass
from tqunits.model import Worker, WorkerType
from tqunits.system import users
from tqunits.system.published import unserved
from tqunits.units import release_mount

_OPEN: Final = 0o755
_OPEN_FILE: Final = 0o644
_CLOSED: Final = 0o750
_CLOSED_FILE: Final = 0o640
_PASSAGE: Final = 0o751


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAccess:
    """Who may enter a release."""

    group: int | None = None  # the worker's; None: everybody
    way: tuple[str, ...] | None = None  # from the release down to the static files, for others; None: there is none


def access_of(worker: Worker) -> ReleaseAccess:
    """To a release that is made now. Raises TqunitsError when the worker's group is not there."""
    is_open, has_build = unserved(str(worker.folder)) is None, bool(worker.build.command)
    if is_open and not has_build:
        return ReleaseAccess()
    part = release_mount.served_part(worker) if is_open else None
    return ReleaseAccess(group=group_of(worker), way=None if part is None else part.parts)


def group_of(worker: Worker) -> int:
    """Who may read what is closed in the worker's releases; of files alone, nobody but root. Raises
    TqunitsError when the worker's group is not there."""
    return 0 if worker.type is WorkerType.STATIC else users.gid_of(worker.group)


def is_another_groups(release: Path, group: int) -> bool:
    """Whether the release, or a part of it, is closed to this group. Raises OSError."""
    found = release.stat()
    return found.st_gid != group and not found.st_mode & stat.S_IROTH


def hand_over(release: Path, group: int) -> None:
    """Give what is closed in a release to another group. Who else may enter it does not change.
    Raises OSError."""
    for path in _closed(release):
        _give(path, group, stat.S_IMODE(path.stat().st_mode))


def let_in(release: Path, access: ReleaseAccess) -> None:
    """Give a release these modes. Only root may change names in it, so no link comes in between; a
    link that is there is left alone. A worker that runs it can read it at any moment. Raises
    OSError."""
    if access.group is None:
        release.chmod(_OPEN)
        return
    way = () if access.way is None else _along(release, access.way)
    for folder, inner in pairwise(way):
        _close_beside(folder, inner, access.group)
    if not way:
        _give(release, access.group, _CLOSED)
        hand_over(release, access.group)  # an earlier way has closed what lies beside it
        return
    _open_below(way[-1])
    for folder in reversed(way):
        _give(folder, access.group, _OPEN if folder == way[-1] else _PASSAGE)


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
    """The release and the folders on the way to the last one; none where one of them is missing, or
    a link."""
    folders = tuple(release.joinpath(*way[:depth]) for depth in range(len(way) + 1))
    return folders if all(not folder.is_symlink() and folder.is_dir() for folder in folders) else ()


def _close_beside(folder: Path, way: Path, group: int) -> None:
    """Close what lies beside one name in a folder. What lies below that is closed with it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name != way.name and not entry.is_symlink():
                is_executable = entry.stat(follow_symlinks=False).st_mode & stat.S_IXUSR  # a folder is, too
                _give(Path(entry.path), group, _CLOSED if is_executable else _CLOSED_FILE)


def _open_below(folder: Path) -> None:
    """Open what is closed in a folder: before `static.directory` named it, only a part of it was
    for others."""
    for above, folders, files in os.walk(folder):
        for path in (Path(above, name) for name in (*folders, *files)):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and not mode & stat.S_IROTH:
                path.chmod(_OPEN if mode & stat.S_IXUSR else _OPEN_FILE)


def _closed(path: Path) -> Iterator[Path]:
    """What not everybody may read: this, and what is so in it. What lies below an open folder is
    open, and so the depth is that of a way."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode) or mode & stat.S_IROTH:
        return
    yield path
    if stat.S_ISDIR(mode):
        for inner in sorted(path.iterdir()):
            yield from _closed(inner)


def _give(path: Path, group: int, mode: int) -> None:
    """First the group, so that the worker's group can read it all the time."""
    if os.geteuid() == 0:
        os.chown(path, 0, group)
    path.chmod(mode)
