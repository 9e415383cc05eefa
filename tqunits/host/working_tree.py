"""Whether the files of a worker's folder are those of the git revision that is checked out.

Only git can tell, and git runs programs that a repository's configuration names (filters, hooks of
submodules). So it runs as a user that exists for that moment, without the network, without
capabilities, and may write nowhere (systemd-run(1), DynamicUser=). It sees what everybody may read,
which is what a release is made of.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tqunits.errors import TimedOut
from tqunits.host.lacking import SEARCH_PATH
from tqunits.system import process

_LONGEST_S: Final = 20
"""Seconds. git reads again what has another time than when it was checked out: 1 GiB in
1.8 s, from the page cache."""

_WRITABLE: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - nobody else may make a file there, so git may not
"""Where everybody may write, in spite of ProtectSystem=strict: the files would go to the host's
disk and memory."""

_SANDBOX: Final[Mapping[str, str]] = {
    "CapabilityBoundingSet": "",
    "CPUWeight": "50",  # as the release, of which it is a part
    "DevicePolicy": "closed",
    "DynamicUser": "yes",
    "InaccessiblePaths": " ".join(_WRITABLE),
    "IOWeight": "20",
    "KeyringMode": "private",
    "KillSignal": "SIGKILL",  # what a repository executes can ignore others, for TimeoutStopSec=
    "LimitCORE": "0",
    "LockPersonality": "yes",
    "MemoryMax": "512M",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateIPC": "yes",
    "PrivateNetwork": "yes",
    "PrivateUsers": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "ReadOnlyPaths": "/run",  # `strict` can miss mounts below the root (seen with systemd 252 and 257)
    "RestrictAddressFamilies": "AF_NETLINK",  # of no network; systemd 252 takes no "none" over D-Bus
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "Slice": "tq.slice",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": "@system-service",
    "TasksMax": "32",
    "TimeoutStartSec": str(_LONGEST_S),
}

_ENVIRONMENT: Final[Mapping[str, str]] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
}

_GIT: Final = ("git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""git refuses repositories of other users, unless it is told not to (git-config(1),
safe.directory)."""


def is_dirty(folder: Path) -> bool | None:
    """Whether git sees a change in a folder of a checkout: a file that is changed, added, removed,
    or neither tracked nor ignored. The calling process is root.

    None when that is not known: there is no git, it takes too long, or it complains. It complains,
    and succeeds, about what it may not read.
    """
    if shutil.which("git", path=SEARCH_PATH) is None:
        return None
    try:
        done = process.run(_command(folder), environment={"PATH": SEARCH_PATH}, timeout_s=2 * _LONGEST_S)
    except (OSError, TimedOut):
        return None
    return None if done.returncode or done.stderr else bool(done.stdout)


def _command(folder: Path) -> list[str]:
    """Of type oneshot, because in other services the end by SIGTERM is a success
    (systemd.service(5), SuccessExitStatus=): a git that was stopped would have seen no change."""
    properties = (f"--property={name}={value}" for name, value in _SANDBOX.items())
    variables = (f"--setenv={name}={value}" for name, value in _ENVIRONMENT.items())
    systemd = ["systemd-run", "--quiet", "--collect", "--wait", "--pipe", "--service-type=oneshot"]
    place = str(folder).replace("$", "$$")  # systemd replaces variables in the words of a command
    what = ["--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=none"]
    status = ["-C", place, "status", *what, "--", "."]
    return [*systemd, *properties, *variables, "--", *_GIT, *status]
