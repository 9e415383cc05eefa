"""Folders that a worker may write: made below its folder, which is root's, and given to its
account.

Root changes nothing here that somebody else may rename meanwhile. The way to the folder is root's
(ownership.py), and what lies in it is given from below: a folder comes after all that is in it, and
what is somebody else's already is not entered, nor what is mounted there. A file with a second name
stays as it is: the other name may be anywhere.

When the account goes, all of it is root's again, from above this time: whoever gets its number one
day would own it.

What the router is to serve others have to read, and a worker's UMask= is 0077. Where a folder has a
default ACL no umask counts (acl(5), OBJECT CREATION AND DEFAULT ACLs), and what is made in it
inherits that.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.model import Relaxation, Worker
from tqunits.system.ownership import anchor, is_only_for, trusted_users
from tqunits.system.survey import FOLDER, MAX_DEPTH, opened
from tqunits.units import writable_folders
from tqunits.units.refusal import Refusal, refusal
from tqunits.units.writable_folders import Given

_LOOK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # whoever may not read it may look
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
    """The folders of one worker's. Of a request's none is given: whose folder it is decides
    that."""
    is_whole = Relaxation.WRITABLE_CODE in worker.sandbox.relaxations and not user_mode
    if (worker.not_roots is not None and not user_mode) or not (worker.writable or is_whole):
        return ()
    found = writable_folders.given(worker, _folders(Path(worker.folder)) if is_whole else ())
    return tuple(replace(each, user="", group="") for each in found) if user_mode else found


def due(worker: Worker, *, user_mode: bool) -> tuple[Given, ...]:
    """Those that are not the worker's yet."""
    return tuple(each for each in wanted(worker, user_mode=user_mode) if not _is_given(each))


def refusals(worker: Worker) -> Iterator[Refusal]:
    """What can not be given, before anything is changed."""
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
    """Make it and give it. Raises TqunitsError."""
    try:
        account = _Account(_required(each), grp.getgrnam(each.group).gr_gid) if each.user else None
        with _opened(each, make=True) as folder:
            if each.is_served:
                os.fchmod(folder, stat.S_IMODE(os.fstat(folder).st_mode) | 0o055)
                os.setxattr(f"/proc/self/fd/{folder}", _DEFAULT_ACL, _READABLE)
            status = os.fstat(folder)
            if account is not None and status.st_uid in trusted_users():
                if not is_only_for(status, trusted_users(), descriptor=folder):  # since `refusals` has looked
                    raise TqunitsError(f"{each}: others than root may write there", hint=f"chmod go-w {each}")
                _hand_over(folder, account, 1)
    except (OSError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"there is no account {error}"
        raise TqunitsError(f"{each} can not be given to {each.user}: {reason}") from None


def take_back(folder: Path, user: str) -> bool:
    """Give root what is this account's in a worker's folder, ahead of the account's end; whether
    there was anything.

    A file's set-user-ID bit goes with its owner (chown(2)). A link stays the number's: one of
    root's would be root's word for where a path leads. In a folder of somebody else's nothing was
    given. Raises TqunitsError where something is not reached.
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
    """Also where nobody can tell, and where it is somebody else's: `refusals` has said so."""
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
    """The folder, by a way that nobody but root can change. Raises OSError, TqunitsError."""
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
    """All that is root's in it, and then itself. Until then nobody but root can change a name in
    it."""
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
                os.chown(f"/proc/self/fd/{place}", account.user, account.group)  # that very file
            elif stat.S_ISLNK(found.st_mode):
                os.chown(name, account.user, account.group, dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(place)
    os.fchown(folder, account.user, account.group)


def _take_back(folder: int, uid: int, depth: int) -> bool:
    """An open folder that is this user's, and then all of its in it: nobody but root changes a name
    there by then.

    Too deep is what is still the user's: of what root has been given by hand, all is.
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
    """Root has it now, and it was this user's."""
    if os.fstat(descriptor).st_uid != uid:
        return False
    os.chown(f"/proc/self/fd/{descriptor}", *_ROOT)
    return True


def _mount(descriptor: int) -> str:
    """Which mount it lies in (proc_pid_fdinfo(5)): what is mounted below a folder is not the
    worker's."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    return next((line for line in lines if line.startswith("mnt_id:")), "")
