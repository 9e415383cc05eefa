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

MOST_OF_ONE: Final = 8192
"""Folders of one owner that are watched: 8 MiB of the kernel's memory. A host with 1 GiB allows one
user as many in all (fs/notify/inotify/inotify_user.c: 1 % of the memory)."""

LEAST_OF_ONE: Final = 64
"""What everybody may have, as long as there are any."""


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
        value, key = _lowest(kind)
    except OSError as unread:
        return None if unread.errno == errno.EMFILE else _limit(kind, kind.keys[0], None)
    return _limit(kind, key, value)


def most_watches() -> tuple[int, str]:
    """How many folders one user may watch, and the setting that says so. Raises OSError."""
    return _lowest(_KINDS[errno.ENOSPC])


def fair_share() -> int:
    """How many folders of one owner may be watched: a quarter of what this user may watch, and no
    more than MOST_OF_ONE. So nobody alone takes the watches of all others. Where hardly any are
    allowed, there is nothing to share."""
    try:
        most, _ = most_watches()
    except (OSError, ValueError):
        return MOST_OF_ONE
    return min(MOST_OF_ONE, max(LEAST_OF_ONE, most // 4))


def beyond_share(most: int) -> WatchLimit:
    """What is told where somebody has more folders."""
    key = _KINDS[errno.ENOSPC].keys[0]
    raising = "" if most == MOST_OF_ONE else f", or raise {key}, of which one worker gets a quarter"
    return WatchLimit(
        f"it has more than {most} folders, and no more are watched",
        hint=f"name what is no source in watch.ignore of its worker.yaml{raising}",
    )


def _lowest(kind: _Kind) -> tuple[int, str]:
    """The limit that counts, and its key. Raises OSError."""
    return min((int(_file(key).read_text(encoding="ascii")), key) for key in kind.keys)


def _limit(kind: _Kind, key: str, value: int | None) -> WatchLimit:
    enough = max(kind.least, 2 * (value or 0))
    setting = f"{key}={enough}"
    return WatchLimit(
        f"this user has no inotify {kind.what} left: {key}" + ("" if value is None else f" is {value}"),
        hint=f"'sysctl -w {setting}' allows more; with a file of that line, '{setting}', in /etc/sysctl.d it stays so",
    )


def _file(key: str) -> Path:
    return Path("/proc/sys", *key.split("."))
