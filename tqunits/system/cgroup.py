"""A unit's cgroup as the kernel shows it: processes, memory and CPU time, on cgroup v2 and on v1.

The kernel's files are read because systemd answers "unset" for CPUUsageNSec on cgroup v1 where cpu
and cpuacct are mounted apart, and because a property costs a round trip over D-Bus, ten times as
much as a file. The path is the unit's ControlGroup property, below the mount of each controller
(cgroups(7)); in a container it is relative to the container's own root, as the mount is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from tqunits.model import INFINITY

ROOT = Path("/sys/fs/cgroup")

_NO_LIMIT_V1 = 2**63 - 2**16
"""cgroup v1 has no word for "no memory limit": it is the largest signed number that is a multiple
of the page size."""


class Hierarchy(StrEnum):
    """How the kernel's controllers are mounted (systemd's three modes)."""

    UNIFIED = "v2"  # everything on cgroup v2
    HYBRID = "v1, hybrid"  # controllers on v1, systemd's own tree on v2 at "unified"
    LEGACY = "v1"
    NONE = "none"


@cache
def hierarchy() -> Hierarchy:
    """The mode of this host, which is the same until it is booted again."""
    if (ROOT / "cgroup.controllers").exists():
        return Hierarchy.UNIFIED
    if (ROOT / "unified/cgroup.controllers").exists():
        return Hierarchy.HYBRID
    return Hierarchy.LEGACY if (ROOT / "systemd").exists() else Hierarchy.NONE


def controllers() -> frozenset[str]:
    """The controllers that can limit units here."""
    if hierarchy() is Hierarchy.UNIFIED:
        return frozenset((ROOT / "cgroup.controllers").read_text(encoding="ascii").split())
    return frozenset(name for name in ("cpu", "cpuacct", "memory", "pids", "io", "blkio") if (ROOT / name).is_dir())


def read_only() -> tuple[Path, ...]:
    """The mounts of controllers in which nobody can set a limit, as in a container without cgroups
    of its own."""
    mounts = [ROOT] if hierarchy() is Hierarchy.UNIFIED else [ROOT / name for name in ("cpu", "memory", "pids")]
    return tuple(mount for mount in mounts if mount.is_dir() and os.statvfs(mount).f_flag & os.ST_RDONLY)


def pids(control_group: str) -> frozenset[int]:
    """The processes of a unit, those of its subgroups too; empty when it does not run."""
    if not control_group:
        return frozenset()
    mode = hierarchy()
    folder = _below("" if mode is Hierarchy.UNIFIED else "systemd", control_group)
    texts = (_read(path) for path in [folder / "cgroup.procs", *folder.rglob("*/cgroup.procs")])
    return frozenset(int(pid) for text in texts for pid in text.split())


def cpu_usage_ns(control_group: str) -> int | None:
    """The CPU time of a unit since its start, in nanoseconds; None when the kernel does not count
    it."""
    mode = hierarchy()
    if mode in {Hierarchy.UNIFIED, Hierarchy.HYBRID}:  # v2 counts it even if the controllers are on v1
        mount = "" if mode is Hierarchy.UNIFIED else "unified"
        for line in _content(mount, control_group, "cpu.stat").splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) * 1000
    text = _content("cpuacct", control_group, "cpuacct.usage").strip()
    return int(text) if text else None


def memory_current(control_group: str) -> int | None:
    """The memory that a unit uses now, in bytes, with caches; None when the kernel does not count
    it."""
    unified = hierarchy() is Hierarchy.UNIFIED
    place = ("", control_group, "memory.current") if unified else ("memory", control_group, "memory.usage_in_bytes")
    text = _content(*place)
    return int(text) if text.strip() else None


def memory_limit(control_group: str) -> int | None:
    """The memory that a running unit may use, in bytes; INFINITY: no limit; None when the kernel
    has no limits here."""
    file = "memory.max" if hierarchy() is Hierarchy.UNIFIED else "memory.limit_in_bytes"
    return _limit(control_group, "memory", file)


def limits(control_group: str) -> Mapping[str, int]:
    """The limits that the kernel enforces on a running unit, by the names of systemd's properties;
    INFINITY: no limit.

    Limits of controllers that the kernel does not show (not delegated to a user's manager) are left
    out.
    """
    if not control_group:
        return {}
    unified = hierarchy() is Hierarchy.UNIFIED
    found = {
        "MemoryMax": memory_limit(control_group),
        "TasksMax": _limit(control_group, "pids", "pids.max"),
        "CPUQuotaPerSecUSec": _quota(control_group, unified=unified),
    }
    return {name: value for name, value in found.items() if value is not None}


def _limit(control_group: str, controller: str, file: str) -> int | None:
    mount = "" if hierarchy() is Hierarchy.UNIFIED else controller
    text = _content(mount, control_group, file).strip()
    if not text:
        return None
    value = INFINITY if text == "max" else int(text)
    return INFINITY if value >= _NO_LIMIT_V1 else value


def _quota(control_group: str, *, unified: bool) -> int | None:
    """Microseconds of CPU per second of wall time."""
    if unified:
        words = _content("", control_group, "cpu.max").split()
    else:
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = "".join(_content("cpu", control_group, file) for file in files).split()
    if len(words) != 2:
        return None
    quota, period = words
    return INFINITY if quota in {"max", "-1"} else int(quota) * 1_000_000 // int(period)


def _below(mount: str, control_group: str) -> Path:
    return ROOT / mount / control_group.lstrip("/")


def _content(mount: str, control_group: str, file: str) -> str:
    """The content of a file of a unit's cgroup. (A Path would cost more than the kernel's part.)"""
    return _read(f"{ROOT}/{mount}/{control_group.lstrip('/')}/{file}")


def _read(path: Path | str) -> str:
    """The content of a file of the kernel; "" when it does not exist any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return _all(descriptor).decode("ascii")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _all(descriptor: int) -> bytes:
    """The whole content. (A file object would cost five times as much as these calls.)"""
    content = os.read(descriptor, 4096)
    while more := os.read(descriptor, 65536):
        content += more
    return content
