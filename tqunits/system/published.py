"""Folders of files for everybody. A file is sent only if everybody on this host may read it anyway.

The router itself may read more: it is in the groups of workers, to connect to their sockets, and it
has the TLS keys. So the kernel's permission for the router decides nothing. A file is sent if
others may read it (S_IROTH) and may enter each folder above it (S_IXOTH). Nothing is sent from the
folders of the kernel and of running programs (model.UNSERVED), nor through a link that others than
root can change (ownership.py).

One exception: a folder above the served one may be closed if it belongs to the user of this process
and that is not root. A home is such a folder, and with --user the router is the user's own.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.layout import HOMES
from tqunits.model import UNSERVED
from tqunits.routing.released_files import ReleasedFiles
from tqunits.system.ownership import Anchor, anchor

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_UNSAID: Final = frozenset({errno.ENOENT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""The folder does not exist yet, or the host lacks resources: no rule refuses it."""

_OF_A_RELEASE: Final = "'tqunits deploy' makes one that is as open as the worker's folder is then (chmod o+x)"


class Root:
    """The top folder of a site, opened. Its last user closes it."""

    __slots__ = ("_directory", "_seen", "descriptor", "names", "path")

    def __init__(self, directory: str, found: Anchor, seen: tuple[int, ...] | None) -> None:
        """Takes over the anchor's descriptor. `seen`: the folder's state, if nobody but root can
        change its path."""
        self._directory = directory
        self.path = found.path  # the part that only root can change, with links resolved
        self.descriptor = found.descriptor  # of that part, O_PATH
        self.names = tuple(os.fsencode(name) for name in found.rest)  # the folders below it, where no link is followed
        self._seen = seen

    def __del__(self) -> None:
        os.close(self.descriptor)

    def stands(self) -> bool:
        """Whether the path still leads to the same folder. This follows the path, so it is asked
        only for a path of root's."""
        if self._seen is None:
            return True
        try:
            return _looks(os.stat(self._directory)) == self._seen  # noqa: PTH116 - for each request
        except OSError:
            return False


def served(directory: str, release: ReleasedFiles | None) -> str:
    """The folder whose files are served now: that of the release, once there is a link to one, and
    else the worker's own. A release without such a folder has no files: what is released does not
    come from anywhere else."""
    return release.directory if release is not None and os.path.lexists(release.link) else directory


def switched_at(release: ReleasedFiles | None) -> int:
    """When the link was switched to the release that is served, in seconds since 1970; 0: there is
    no link. Each file of it is there since then, whatever its own time says (RFC 9110 §8.8.2): that
    of an earlier release is served again after a rollback, and a build may give all its files one
    time."""
    try:
        return 0 if release is None else max(0, int(os.lstat(release.link).st_mtime))
    except OSError:
        return 0


def find(directory: str) -> Root:
    """Open the top folder. Raises TqunitsError when a rule refuses it, and OSError when it can not
    be opened or is not a folder."""
    found = anchor(directory)
    try:
        _check_place(directory, found.path.joinpath(*found.rest))
        for folder, status in _way(found):
            _check_folder(folder, status)
        seen = _looks(os.fstat(found.descriptor)) if found.is_roots else None
    except BaseException:
        found.close()
        raise
    return Root(directory, found, seen)


def objection(directory: str, hint: str = "") -> str | None:
    """Why no file of it is served now, and what to do: `hint`, or what would do for any folder.
    None: no rule refuses it, or it does not exist."""
    try:
        _enter(find(directory))
    except TqunitsError as error:
        return f"{error}; {hint or error.hint}"
    except PermissionError as error:
        above = Path(directory).resolve().parent  # the links to what is closed are root's
        return objection(str(above), hint) or f"{directory}: {error.strerror}"
    except OSError as error:
        return None if error.errno in _UNSAID else error.strerror
    return None


def unserved(directory: str, hint: str = "") -> str | None:
    """Why no file of it is served now, also when it only does not exist."""
    why = objection(directory, hint)
    return why if why or os.path.isdir(directory) else "it is not there"  # noqa: PTH112 - which never raises


def unserved_now(directory: str, release: ReleasedFiles | None) -> str | None:
    """The same of the folder that is served now. What is closed in a release stays closed
    (host/release_access.py): the next one is made of the worker's folder."""
    folder = served(directory, release)
    return unserved(folder, "" if folder == directory else _OF_A_RELEASE)


def complaint(directory: str, release: ReleasedFiles | None) -> str | None:
    """A sentence that no file is served now, and why; None when that is not so."""
    why = unserved_now(directory, release)
    return f"no file of {served(directory, release)} is served: {why}" if why else None


def _looks(status: os.stat_result) -> tuple[int, ...]:
    """A tuple that differs for another folder, another owner or another mode."""
    return (status.st_ino, status.st_dev, status.st_mode, status.st_uid, status.st_gid)


def _way(found: Anchor) -> Iterator[tuple[PurePosixPath, os.stat_result]]:
    """The folders of root's, from the last one up, without those that may be closed."""
    for folder in (found.path, *found.path.parents):
        status = Path(folder).stat()
        is_above = folder != found.path or not found.is_roots
        if not (is_above and status.st_uid == os.geteuid() != 0):
            yield folder, status


def _enter(root: Root) -> None:
    """Go down the names as each request does, to find what is in the way. Raises TqunitsError,
    OSError."""
    path, above = root.path, os.dup(root.descriptor)
    try:
        for name in root.names:
            path /= os.fsdecode(name)
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                message = f"{path} is a symbolic link, and not only root can change it"
                raise TqunitsError(message, hint="write the folder that it leads to")
            _check_folder(path, status)
            below = os.open(name, _FOLDER, dir_fd=above)
            os.close(above)
            above = below
    finally:
        os.close(above)


def _check_folder(folder: PurePosixPath, status: os.stat_result) -> None:
    """Raises TqunitsError, NotADirectoryError."""
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder")
    if status.st_mode & stat.S_IXOTH:
        return
    hint = f"chmod o+x {folder}"
    if str(folder) in HOMES and not stat.S_IMODE(status.st_mode):  # the unit goes by what is written in the YAML
        hint = "write the folder itself, so that the sandbox of the router shows it"
    raise TqunitsError(f"others may not enter {folder}", hint=hint)


def _check_place(directory: str, place: PurePosixPath) -> None:
    """Raises TqunitsError."""
    leads = "" if str(place) == directory else f"it leads to {place}, and "
    if place == PurePosixPath("/"):
        raise TqunitsError(f"{leads}the whole host is not served", hint="write a folder of its own")
    for unserved in UNSERVED:
        if place.is_relative_to(unserved):
            hint = "put the files elsewhere, such as below /srv"
            raise TqunitsError(f"{leads}nothing below {unserved} is served", hint=hint)
