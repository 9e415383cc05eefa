"""Folders that a worker may write: they are made below the worker's folder, which is root's, and
given to its account.

Root changes nothing here that somebody else could rename at that moment. The path to the folder
belongs to root (ownership.py), and its content is given from the bottom up: a folder comes after
everything in it. What already belongs to another user is not entered, nor what is mounted there. A
file with a second hard link stays as it is: the other name may be anywhere.

Before the account is removed, all of it becomes root's again, from the top down: another account
may get the same number one day, and would own the files.

Files that the router serves must be readable for others, and a worker's UMask= is 0077. In a folder
with a default ACL the umask does not count (acl(5), OBJECT CREATION AND DEFAULT ACLs), and new
files and folders inherit it.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.light_dataclass import dataclass
from tqunits.model import Relaxation, Worker
from tqunits.system.ownership import anchor, is_only_for, trusted_users
from tqunits.system.survey import FOLDER, MAX_DEPTH, opened
from tqunits.units import writable_folders
from tqunits.units.refusal import Refusal, refusal
from tqunits.units.writable_folders import Given

_LOOK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # for this no right to read is needed
_PLACE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT: Final = (0, 0)
_CLOSED, _OPEN = 0o700, 0o755
_DEFAULT_ACL: Final = "system.posix_acl_default"
_NO_ID: Final = 0xFFFFFFFF
_READABLE: Final = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, _NO_ID) for tag, rights in ((0x01, 7), (0x04, 5), (0x20, 5))
)
"""user::rwx, group::r-x, other::r-x (linux/posix_acl_xattr.h)."""


@dataclass(frozen=True, slots=True)
class _Account:
    user: int
    group: int


def wanted(worker: Worker, *, user_mode: bool = False) -> tuple[Given, ...]:
    """The folders of one worker. Empty for a worker whose files are not root's: the owner of the
    folder decides there."""
    is_whole = Relaxation.WRITABLE_CODE in worker.sandbox.relaxations and not user_mode
    if (worker.not_roots is not None and not user_mode) or not (worker.writable or is_whole):
        return ()
    found = writable_folders.given(worker, _folders(Path(worker.folder)) if is_whole else ())
    return tuple(replace(each, user="", group="") for each in found) if user_mode else found


def due(worker: Worker, *, user_mode: bool) -> tuple[Given, ...]:
    """The folders that do not belong to the worker yet."""
    return tuple(each for each in wanted(worker, user_mode=user_mode) if not _is_given(each))


def refusals(worker: Worker) -> Iterator[Refusal]:
    """What can not be given, found before anything is changed."""
    if worker.not_roots is not None and worker.writable:
        message = f"writable: {worker.not_roots.path} {worker.not_roots.because}, and its owner gives what is below it"
        yield refusal(worker, message, "let it write to $STATE_DIRECTORY, or have root own the worker", "writable")
    for each in wanted(worker):
        try:
            with _opened(each, make=False) as folder:
                status = os.fstat(folder)
                is_open = status.st_uid in trusted_users() and not is_only_for(
                    status, trusted_users(), descriptor=folder
                )
        except FileNotFoundError:
            continue
        except OSError as error:
            yield refusal(worker, f"writable: {each}: {error.strerror}", "it has to be a folder", "writable")
            continue
        except TqunitsError as error:
            yield refusal(worker, f"writable: {error.message}", error.hint, "writable")
            continue
        if status.st_uid not in {*trusted_users(), _uid(each.user)}:
            message = f"writable: {each} belongs to uid {status.st_uid}, neither root nor {each.user}"
            yield refusal(worker, message, f"chown root {each}", "writable")
        elif is_open:
            message = f"writable: in {each} others than root may write, who could put another file in the place of one"
            yield refusal(worker, message, f"chmod go-w {each}", "writable")


def give(each: Given) -> None:
    """Make the folder and give it to the account. Raises TqunitsError."""
    try:
        account = _Account(_required(each), grp.getgrnam(each.group).gr_gid) if each.user else None
        with _opened(each, make=True) as folder:
            if each.is_served:
                os.fchmod(folder, stat.S_IMODE(os.fstat(folder).st_mode) | 0o055)
                os.setxattr(f"/proc/self/fd/{folder}", _DEFAULT_ACL, _READABLE)
            status = os.fstat(folder)
            if account is not None and status.st_uid in trusted_users():
                if not is_only_for(status, trusted_users(), descriptor=folder):  # `refusals` has looked earlier
                    raise TqunitsError(f"{each}: others than root may write there", hint=f"chmod go-w {each}")
                _hand_over(folder, account, 1)
    except (OSError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"there is no account {error}"
        raise TqunitsError(f"{each} can not be given to {each.user}: {reason}") from None


def take_back(folder: Path, user: str) -> bool:
    """Give to root what belongs to this account in a worker's folder, before the account is
    removed. Returns whether there was anything.

    chown(2) clears a file's set-user-ID bit. Links keep their owner: a link of root's would count
    as root's decision about where a path leads. In a folder of another user nothing was given.
    Raises TqunitsError when something can not be reached.
    """
    uid = _uid(user)
    if uid is None:
        return False
    try:
        with anchor(folder, users={uid, *trusted_users()}) as found:
            if not found.is_roots:
                return False
            with opened(".", found.descriptor) as top:
                return _take_back(top, uid, 1)
    except NotADirectoryError:
        return False
    except OSError as error:
        message = f"{folder} can not be given back to root: {error.strerror}"
        raise TqunitsError(message, hint=f"{user} stays until it is: chown -hR root: {folder}") from None


def _required(each: Given) -> int:
    return pwd.getpwnam(each.user).pw_uid


def _uid(user: str) -> int | None:
    with suppress(KeyError):
        return pwd.getpwnam(user).pw_uid
    return None


def _folders(folder: Path) -> list[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _is_given(each: Given) -> bool:
    """Whether the folder is given already. Also true when we can not tell, or another user owns it:
    `refusals` reports these."""
    try:
        with _opened(each, make=False) as folder:
            is_theirs = not each.user or os.fstat(folder).st_uid not in trusted_users()
            return is_theirs and (not each.is_served or _has_default(folder))
    except FileNotFoundError:
        return False
    except (OSError, TqunitsError):
        return True


def _has_default(folder: int) -> bool:
    with suppress(OSError):
        return bool(os.getxattr(f"/proc/self/fd/{folder}", _DEFAULT_ACL))
    return False


@contextmanager
def _opened(each: Given, *, make: bool) -> Iterator[int]:
    """Open the folder along a path that only root can change. Raises OSError, TqunitsError."""
    with anchor(each.below) as found:
        if not found.is_roots:
            raise TqunitsError(f"{each.below} is not root's all the way", hint=f"chown root {each.below}")
        folder = os.open(".", _LOOK, dir_fd=found.descriptor)
    try:
        for name in each.path.parts:
            if not is_only_for(os.fstat(folder), trusted_users(), descriptor=folder):
                raise TqunitsError(f"{each}: a folder above it is not root's alone", hint="write that one instead")
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, mode=_mode(each, name), dir_fd=folder)
            below = os.open(name, FOLDER if make else _LOOK, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _mode(each: Given, name: str) -> int:
    return _CLOSED if name == each.path.name and not each.is_served else _OPEN


def _hand_over(folder: int, account: _Account, depth: int) -> None:
    """Give everything in the folder that is root's, and then the folder itself. Until then only
    root can change a name in it."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    mount = _mount(folder)
    for name in names if depth < MAX_DEPTH else ():
        place = os.open(name, _PLACE, dir_fd=folder)
        try:
            found = os.fstat(place)
            if found.st_uid not in trusted_users() or _mount(place) != mount:
                continue
            if stat.S_ISDIR(found.st_mode) and is_only_for(found, trusted_users(), descriptor=place):
                with opened(".", place) as below:
                    _hand_over(below, account, depth + 1)
            elif stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                os.chown(f"/proc/self/fd/{place}", account.user, account.group)  # what was examined, not its name
            elif stat.S_ISLNK(found.st_mode):
                os.chown(name, account.user, account.group, dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(place)
    os.fchown(folder, account.user, account.group)


def _take_back(folder: int, uid: int, depth: int) -> bool:
    """Take an open folder of this user, and then everything of his in it. By then only root can
    change a name there.

    Beyond MAX_DEPTH it is an error only if the folder still belongs to the user: where root was
    given a folder by hand, all of its content was given too.
    """
    if depth > MAX_DEPTH:
        if os.fstat(folder).st_uid != uid:
            return False
        raise OSError(errno.ENAMETOOLONG, f"it has folders more than {MAX_DEPTH} deep")
    taken, mount = _is_taken(folder, uid), _mount(folder)
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        place = os.open(name, _PLACE, dir_fd=folder)
        try:
            found = os.fstat(place)
            if found.st_uid not in {uid, *trusted_users()} or _mount(place) != mount:
                continue
            if stat.S_ISDIR(found.st_mode):
                with opened(".", place) as below:
                    taken = _take_back(below, uid, depth + 1) or taken
            elif not stat.S_ISLNK(found.st_mode):
                taken = _is_taken(place, uid) or taken
        finally:
            os.close(place)
    return taken


def _is_taken(descriptor: int, uid: int) -> bool:
    """Take a file; returns whether it belonged to this user."""
    if os.fstat(descriptor).st_uid != uid:
        return False
    os.chown(f"/proc/self/fd/{descriptor}", *_ROOT)
    return True


def _mount(descriptor: int) -> str:
    """The ID of the mount that it lies in (proc_pid_fdinfo(5)). What is mounted below a folder is
    not the worker's."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    return next((line for line in lines if line.startswith("mnt_id:")), "")
