"""Who may change what a path leads to, and how to open what somebody else may rename.

A path is *root's* when every folder on it, every symbolic link and the file itself belong to root,
and nobody else may write to them. Then it leads to the same file for whoever opens it, at any time.
Any other path ends, at some folder, in the hands of somebody else, who may put a link, a FIFO or
another file in the place of what was looked at a moment ago. So it is opened from the last folder
that is root's, name by name, and no link is followed (openat(2), O_NOFOLLOW).

A group counts as somebody else, but for root's own. A folder that everybody may write to is
nobody's, with the sticky bit too. Where root is not who runs this, its user counts like root: it
has nobody else to fear.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from tqunits.model import NotRoots

MAX_LINKS: Final = 40
"""Symbolic links on one path, as the kernel counts them (path_resolution(7))."""

_PLACE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = _PLACE | os.O_DIRECTORY
_ACL: Final = "system.posix_acl_access"


@dataclass(slots=True)
class Anchor:
    """The part of a path that is root's, opened. Close it, or use it as a context."""

    descriptor: int  # O_PATH: a folder; with nothing left of the path it may be any file
    done: Sequence[str]  # the names that lead there, without links
    rest: tuple[str, ...]  # the names below it, which somebody else may change; empty: all of the path is root's

    @property
    def path(self) -> PurePosixPath:
        """Where the descriptor is."""
        return PurePosixPath("/", *self.done)

    @property
    def is_roots(self) -> bool:
        """Whether the whole path is."""
        return not self.rest

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)

    def __enter__(self) -> Anchor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def trusted_users() -> frozenset[int]:
    """Whose files need no care: root's, and those of the user who runs this."""
    return frozenset({0, os.geteuid()})


def anchor(path: str | Path | PurePosixPath, *, users: Collection[int] | None = None) -> Anchor:
    """Follow an absolute path as long as it is root's (or of another of `users`; by default of
    `trusted_users`).

    A name that is not there belongs to the rest. Raises OSError: too many links (ELOOP), no
    absolute path (EINVAL), or "..", which leads out of a folder that is not root's (EINVAL).
    """
    if not str(path).startswith("/"):
        raise OSError(errno.EINVAL, "not an absolute path", str(path))
    walk = _Walk(trusted_users() if users is None else users)
    try:
        return walk.along(str(path))
    except BaseException:
        os.close(walk.folder)
        raise


def is_roots(path: str | Path | PurePosixPath, *, users: Collection[int] | None = None) -> bool:
    """Whether nobody but root may change what the path leads to; False also where there is nothing.
    Raises OSError."""
    with anchor(path, users=users) as found:
        return found.is_roots


def first_not_roots(path: str | Path | PurePosixPath) -> NotRoots | None:
    """The first name on an absolute path that is not root's, wherever the way leads to; None when
    all of it is.

    It is about uid 0, whoever asks. What can not be followed is nobody's.
    """
    try:
        with anchor(path, users=(0,)) as found:
            return NotRoots(found.path / found.rest[0], _whose(found)) if found.rest else None
    except OSError as error:
        return NotRoots(PurePosixPath(path), f"can not be followed: {error.strerror}")


def _whose(found: Anchor) -> str:
    """Who may change what stands in the way."""
    try:
        status = os.stat(found.rest[0], dir_fd=found.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return "is not there"
    if status.st_uid != 0:
        return f"belongs to uid {status.st_uid}{_name(pwd.getpwuid, status.st_uid)}"
    if status.st_mode & stat.S_IWOTH:
        return "may be changed by everybody"
    return f"may be changed by gid {status.st_gid}{_name(grp.getgrgid, status.st_gid)}"


def _name(find: Callable[[int], Sequence[object]], number: int) -> str:
    """How the host calls an account; a foreign number (rsync -a from another host) has no name."""
    try:
        return f" ({find(number)[0]})"
    except KeyError:
        return ", who has no name on this host"


def open_below(folder: int, names: Sequence[str], flags: int) -> int:
    """Open a file or a folder below an open folder, name by name, without following any link.

    `flags` are for the last one; O_NOFOLLOW and O_CLOEXEC are added. Without names it is the folder
    itself. Raises OSError: ELOOP for a link, or ENOTDIR where it stands for a folder.
    """
    above = os.dup(folder)
    try:
        for name in names[:-1]:
            below = os.open(name, _FOLDER, dir_fd=above)
            os.close(above)
            above = below
        last = names[-1] if names else "."
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    finally:
        os.close(above)


class _Walk:
    """On the way along a path; `folder` is open."""

    def __init__(self, users: Collection[int]) -> None:
        self._users = users
        self._done: list[str] = []
        self._links = 0
        self.folder = os.open("/", _FOLDER)

    def along(self, path: str) -> Anchor:
        left = _names(path)  # reversed: the next name is the last
        while left:
            name = left.pop()
            if name == "..":
                self._enter(os.open("..", _FOLDER, dir_fd=self.folder), self._done[:-1])
                continue
            try:
                below = os.open(name, _PLACE, dir_fd=self.folder)
            except FileNotFoundError:
                return self._end(name, left)
            status = os.fstat(below)
            if stat.S_ISLNK(status.st_mode) and status.st_uid not in self._users:
                os.close(below)
                return self._end(name, left)
            if stat.S_ISLNK(status.st_mode):
                left += self._follow(below, path)
            elif not is_only_for(status, self._users, descriptor=below):
                os.close(below)
                return self._end(name, left)
            elif left and not stat.S_ISDIR(status.st_mode):
                os.close(below)
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            else:
                self._enter(below, [*self._done, name])
        return self._end("", [])

    def _follow(self, link: int, path: str) -> list[str]:
        """A link of root's in a folder of root's. One of somebody else's lies there if root has
        brought it in: what a build has made (harvest.py), an archive that was unpacked. Where it
        leads is not root's word.
        """
        try:
            self._links += 1
            if self._links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink("", dir_fd=link)
        finally:
            os.close(link)
        if target.startswith("/"):
            self._enter(os.open("/", _FOLDER), [])
        return _names(target)

    def _enter(self, folder: int, done: list[str]) -> None:
        os.close(self.folder)
        self.folder, self._done = folder, done

    def _end(self, name: str, left: list[str]) -> Anchor:
        rest = (name, *reversed(left)) if name else ()
        if ".." in rest:
            raise OSError(errno.EINVAL, "'..' below a folder that is not root's", "/".join([*self._done, *rest]))
        return Anchor(self.folder, self._done, rest)


def is_only_for(status: os.stat_result, users: Collection[int], *, descriptor: int) -> bool:
    """Whether nobody but these users may write to an open file, or to the names in a folder."""
    if status.st_uid not in users or status.st_mode & stat.S_IWOTH:
        return False
    if not status.st_mode & stat.S_IWGRP:
        return True
    return status.st_gid == 0 and not has_acl(descriptor)


def has_acl(descriptor: int) -> bool:
    """Whether the group's right to write may be somebody else's: with an ACL it is the mask of all
    entries, acl(5)."""
    try:
        os.getxattr(f"/proc/self/fd/{descriptor}", _ACL)
    except OSError as error:
        return error.errno not in (errno.ENODATA, errno.EOPNOTSUPP)
    return True


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
