"""What a user is told when the kernel gives no inotify watch or instance any more.

The limits are those of one user (inotify(7)), and besides those of the user namespace
(namespaces(7), /proc/sys/user), which may be lower in a container. Each folder takes a watch, which
is some 1 KiB of the kernel's memory; each process that watches takes an instance.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final, NamedTuple

from tqunits.errors import TqunitsError


class WatchLimit(TqunitsError):
    """A limit of inotify(7) is reached."""


class _Kind(NamedTuple):
    what: str
    keys: tuple[str, str]  # of the user, of the user namespace
    least: int  # what a host with many watched trees should allow


_KINDS: Final = {
    errno.ENOSPC: _Kind("watch", ("fs.inotify.max_user_watches", "user.max_inotify_watches"), 524288),
    errno.EMFILE: _Kind("instance", ("fs.inotify.max_user_instances", "user.max_inotify_instances"), 1024),
}
"""What inotify_add_watch(2) and inotify_init1(2) fail with."""


def limit_of(error: OSError) -> WatchLimit | None:
    """The limit that a system call of inotify has failed by, with its value now and what to set.

    None: it has failed for another reason. One is that this process has too many open files.
    """
    kind = _KINDS.get(error.errno or 0)
    if kind is None:
        return None
    try:
        value, key = min((int(_file(key).read_text(encoding="ascii")), key) for key in kind.keys)
    except OSError as unread:
        return None if unread.errno == errno.EMFILE else _limit(kind, kind.keys[0], None)
    return _limit(kind, key, value)


def _limit(kind: _Kind, key: str, value: int | None) -> WatchLimit:
    enough = max(kind.least, 2 * (value or 0))
    setting = f"{key}={enough}"
    return WatchLimit(
        f"this user has no inotify {kind.what} left: {key}" + ("" if value is None else f" is {value}"),
        hint=f"'sysctl -w {setting}' allows more; with a file of that line, '{setting}', in /etc/sysctl.d it stays so",
    )


def _file(key: str) -> Path:
    return Path("/proc/sys", *key.split("."))
