"""What keeps a worker from a path: whether the path exists, who may use it, and whether the sandbox
hides it.

Permissions are judged by mode bits (inode(7)); an ACL may differ. Only the first line of a program
is read, from the regular file that was examined, whatever somebody puts in its place meanwhile.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import replace
from pathlib import Path

from tqunits.layout import HOMES
from tqunits.lifecycle.facts import Access, Look
from tqunits.light_dataclass import dataclass

_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - what PrivateTmp= replaces
_DEVICES = frozenset({"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "hugepages"})
_LINKS = frozenset({"log", "fd", "stdin", "stdout", "stderr"})  # links in /dev that PrivateDevices= keeps too
_SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_LONGEST_FIRST_LINE = 256  # execve(2) cuts longer lines


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The user and the sandbox for which a path is examined."""

    user: str  # "": the calling user
    hides_homes: bool = False
    hides_temporary: bool = False
    hides_devices: bool = False
    put_back: tuple[str, ...] = ()  # paths that stay visible in hidden folders


def look(path: str, view: View, *, runs: bool = False) -> Look:
    """What keeps the user of `view` from this absolute path. `runs`: the file is to be executed."""
    if not path.startswith("/"):
        found = [Path(folder) / path for folder in _SEARCHED if (Path(folder) / path).exists()]
        return look(str(found[0]), view, runs=runs) if found else Look(path, Access.MISSING)
    try:
        return _look(Path(path), view, runs=runs)
    except (OSError, ValueError):  # the kernel does not accept the name, or we may not see it
        return Look(path, Access.THERE)


def _look(path: Path, view: View, *, runs: bool) -> Look:
    uid, groups = numbers(view.user)
    text = str(path)
    for folder in (*reversed(path.parents), path) if str(path) in HOMES else reversed(path.parents):
        if not folder.exists():
            return Look(text, Access.MISSING)
        hidden = _hidden(folder, text, view)
        if hidden and path.exists():
            return _covered(path, hidden, view, runs=runs)
        if not _may(folder.stat(), uid, groups, 1):
            return Look(text, Access.BARRED, _described(folder))
    if not path.exists():
        may = _may(path.parent.stat(), uid, groups, 3)
        return Look(text, Access.MISSING, "" if may else _described(path.parent))
    if runs:
        return _program(path, uid, groups)
    status = path.stat()
    is_free = _may(status, uid, groups, 4) and _may(status, uid, groups, 2)
    return Look(text, Access.THERE) if is_free else Look(text, Access.REFUSED, _described(path))


def _covered(path: Path, folder: str, view: View, *, runs: bool) -> Look:
    """A hidden path, and whether the user could read it if homes were visible."""
    hidden = Look(str(path), Access.HIDDEN, folder)
    if folder not in HOMES or _look(path, replace(view, hides_homes=False), runs=runs).access is Access.BARRED:
        return hidden
    return replace(hidden, with_homes=_may(path.stat(), *numbers(view.user), 4))


def _program(path: Path, uid: int, groups: frozenset[int]) -> Look:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)  # touches no device, and does not block on a FIFO
    try:
        status = os.fstat(place)
        if not status.st_mode & 0o111:
            return Look(str(path), Access.NOT_EXECUTABLE)
        if not _may(status, uid, groups, 1):
            return Look(str(path), Access.REFUSED, _described(path))
        interpreter = _interpreter(place) if stat.S_ISREG(status.st_mode) else ""
    finally:
        os.close(place)
    if interpreter and not Path(interpreter).exists():
        return Look(str(path), Access.NO_INTERPRETER, interpreter)
    return Look(str(path), Access.THERE)


def _interpreter(place: int) -> str:
    """The interpreter in the first line of a script; "" for any other file."""
    descriptor = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        line = file.read(_LONGEST_FIRST_LINE).partition(b"\n")[0]
    words = line[2:].split(None, 1) if line.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""


def _hidden(folder: Path, path: str, view: View) -> str:
    """The hidden folder that this one is, unless the path is mounted back into it."""
    name = str(folder)
    is_device = view.hides_devices and name == "/dev" and path.split("/")[2] not in _DEVICES | _LINKS
    is_hidden = is_device or (view.hides_homes and name in HOMES) or (view.hides_temporary and name in _TEMPORARY)
    is_back = any(path == back or path.startswith(f"{back}/") for back in view.put_back)
    return name if is_hidden and not is_back else ""


def numbers(user: str) -> tuple[int, frozenset[int]]:
    """The uid and the groups of an account; "": of the caller; -1 and none: there is no such
    account."""
    if not user:
        return os.geteuid(), frozenset({os.getegid(), *os.getgroups()})
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return -1, frozenset()
    return entry.pw_uid, frozenset(os.getgrouplist(user, entry.pw_gid))


def _may(status: os.stat_result, uid: int, groups: frozenset[int], wanted: int) -> bool:
    """Whether the user has this permission: `wanted` is 4 to read, 2 to write, 1 to execute or
    enter."""
    if uid == 0:
        return True
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
    return (status.st_mode >> shift) & wanted == wanted


def _described(path: Path) -> str:
    status = path.stat()
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = f"uid {status.st_uid}"
    return f"{path} (mode {stat.S_IMODE(status.st_mode):04o}, of {owner})"
