"""Who can change what a path leads to, and how to open a file that others can rename.

A path is *root's* when every folder on it, every symbolic link and the file itself belong to root,
and nobody else may write to them. Then it leads to the same file at any time. On any other path
there is a folder in which others may, at any moment, put a link, a FIFO or another file in the
place of the file that was examined. So such a path is opened from the last folder of root's, name
by name, and no link is followed (openat(2), O_NOFOLLOW).

A group counts as others, except root's own group. A folder that everybody may write to is never
root's, not even with the sticky bit. If another user runs this code, that user counts like root,
because he need not be protected from himself.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from tqunits.light_dataclass import dataclass
from tqunits.model import NotRoots

MAX_LINKS: Final = 40
"""Symbolic links on one path, as the kernel counts them (path_resolution(7))."""

_PLACE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = _PLACE | os.O_DIRECTORY
_ACL: Final = "system.posix_acl_access"


@dataclass(slots=True)
class Anchor:
    """The first part of a path, which is root's, opened. Close it, or use it as a context."""

    descriptor: int  # O_PATH: a folder; with an empty `rest` it may be any file
    done: Sequence[str]  # the names of that part, with links resolved
    rest: tuple[str, ...]  # the names after it, which others may change; empty: the whole path is root's

    @property
    def path(self) -> PurePosixPath:
        """The path of the descriptor."""
        return PurePosixPath("/", *self.done)

    @property
    def is_roots(self) -> bool:
        """Whether the whole path is root's."""
        return not self.rest

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)

    def __enter__(self) -> Anchor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def trusted_users() -> frozenset[int]:
    """The users whose files are trusted: root, and the user who runs this."""
    return frozenset({0, os.geteuid()})


def anchor(path: str | Path | PurePosixPath, *, users: Collection[int] | None = None) -> Anchor:
    """Follow an absolute path as long as it is root's (or another of `users`; by default
    `trusted_users`).

    A name that does not exist belongs to `rest`. Raises OSError: too many links (ELOOP), not an
    absolute path (EINVAL), or ".." that leads out of a folder that is not root's (EINVAL).
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
    """Whether only root can change what the path leads to. False when nothing is there. Raises
    OSError."""
    with anchor(path, users=users) as found:
        return found.is_roots


def first_not_roots(path: str | Path | PurePosixPath) -> NotRoots | None:
    """The first name on an absolute path that others than root can change; None when only root can.

    It is about uid 0, whoever calls it. A path that can not be followed counts as changeable.
    """
    try:
        with anchor(path, users=(0,)) as found:
            return NotRoots(found.path / found.rest[0], _whose(found)) if found.rest else None
    except OSError as error:
        return NotRoots(PurePosixPath(path), f"can not be followed: {error.strerror}")


def _whose(found: Anchor) -> str:
    """Who may change the first name that is not root's."""
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
    """The name of an account. A foreign uid (rsync -a from another host) has none."""
    try:
        return f" ({find(number)[0]})"
    except KeyError:
        return ", who has no name on this host"


def open_below(folder: int, names: Sequence[str], flags: int) -> int:
    """Open a file or a folder below an open folder, name by name, without following any link.

    `flags` are for the last name; O_NOFOLLOW and O_CLOEXEC are added. Without names the folder
    itself is opened. Raises OSError: ELOOP for a link, or ENOTDIR for a link in the place of a
    folder.
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
    """A walk along a path; `folder` is open."""

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
        """Follow a link of root's in a folder of root's. Another user's link lies there only if
        root has brought it in: as a result of a build (build_results.py), or from an archive. Where
        such a link leads is not root's decision."""
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
    """Whether only these users may write to an open file, or to the names in a folder."""
    if status.st_uid not in users or status.st_mode & stat.S_IWOTH:
        return False
    if not status.st_mode & stat.S_IWGRP:
        return True
    return status.st_gid == 0 and not has_acl(descriptor)


def has_acl(descriptor: int) -> bool:
    """Whether the group's right to write may belong to others: with an ACL it is the mask of all
    entries, acl(5)."""
    try:
        os.getxattr(f"/proc/self/fd/{descriptor}", _ACL)
    except OSError as error:
        return error.errno not in (errno.ENODATA, errno.EOPNOTSUPP)
    return True


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
