"""What is mounted, in every mount namespace of the host (proc_pid_mountinfo(5)).

A bind mount does not say what path it was made from. It says the file system and the path below
that file system's own root, which is the same in all namespaces. So a folder is looked for by both.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tqunits.late_pattern import late_pattern

_ESCAPED = late_pattern(rb"\\([0-7]{3})")  # a space, a tab, a newline, a backslash
_VANISHED = frozenset({errno.ENOENT, errno.ESRCH, errno.EINVAL})  # EINVAL: it has ended, and is not waited for yet


class FilePlace(NamedTuple):
    """A folder, the same in every namespace."""

    device: bytes  # MAJOR:MINOR of the file system
    path: bytes  # below the file system's root, which is "/"


class Mount(NamedTuple):
    """A line of mountinfo."""

    number: bytes
    root: FilePlace  # what of its file system is mounted
    point: bytes  # where, as this process sees it
    type: str  # of the file system: "ext4", "fuse.sshfs"


def read_mount(line: bytes) -> Mount:
    """A line of mountinfo, as the kernel writes it."""
    fields = line.split()
    end_of_optional = fields.index(b"-", 6)
    root = FilePlace(fields[2], _plain(fields[3]))
    return Mount(fields[0], root, _plain(fields[4]), os.fsdecode(_plain(fields[end_of_optional + 1])))


def mount_of(folder: Path) -> Mount:
    """What a folder lies in. Raises OSError, also where this process does not see the mount; waits
    where its file system does not answer."""
    return _mount_and_path(folder)[0]


def place_of(folder: Path) -> FilePlace:
    """The place of a folder that exists. Raises OSError."""
    mount, path = _mount_and_path(folder)
    below = os.path.relpath(path, mount.point)
    return mount.root._replace(path=os.path.normpath(os.path.join(mount.root.path, below)))  # noqa: PTH118 - bytes


def everywhere() -> Iterator[FilePlace]:
    """What each mount of any process shows. Processes may come and go meanwhile. Raises OSError
    when one can not be looked at."""
    seen = set[tuple[str, str]]()
    for process in os.listdir("/proc"):  # noqa: PTH208 - Path.iterdir() is slower
        if process.isdecimal() and (space := _space(process)) not in seen:
            seen.add(space)
            yield from _of_process(process)


def _space(process: str) -> tuple[str, str]:
    """What decides which mounts a process sees: its namespace and its root. Without the right to
    see these the process stands for itself."""
    try:
        return os.readlink(f"/proc/{process}/ns/mnt"), os.readlink(f"/proc/{process}/root")  # noqa: PTH115 - the same
    except OSError:
        return process, ""


def _of_process(process: str) -> Iterator[FilePlace]:
    """What one process sees; nothing when it has ended. It may have a hundred thousand mounts
    (fs.mount-max), so they are read line by line."""
    try:
        with open(f"/proc/{process}/mountinfo", "rb") as lines:  # noqa: PTH123 - Path.open() is slower
            for line in lines:
                fields = line.split(b" ", 4)
                yield FilePlace(fields[2], _plain(fields[3]))
    except OSError as error:
        if error.errno not in _VANISHED:
            raise


def _mount_and_path(folder: Path) -> tuple[Mount, bytes]:
    """The mount of a folder, and the folder's path without links."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path = os.fsencode(Path(f"/proc/self/fd/{descriptor}").readlink())
        number = _mount_number(descriptor)
    finally:
        os.close(descriptor)
    with open("/proc/self/mountinfo", "rb") as lines:  # noqa: PTH123 - as above
        for line in lines:
            if line.split(b" ", 1)[0] == number:
                return read_mount(line), path
    raise FileNotFoundError(errno.ENOENT, "Its mount is gone", str(folder))


def _mount_number(descriptor: int) -> bytes:
    """The ID of the mount that it lies in (proc_pid_fdinfo(5))."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(b"mnt_id:"))


def _plain(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), text)
