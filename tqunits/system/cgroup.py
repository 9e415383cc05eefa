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


def hierarchy() -> Hierarchy:
    """The mode of this host."""
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
    for mount in ("", "unified"):  # v2 counts it even if the controllers are on v1
        for line in _read(_below(mount, control_group) / "cpu.stat").splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) * 1000
    text = _read(_below("cpuacct", control_group) / "cpuacct.usage").strip()
    return int(text) if text else None


def memory_current(control_group: str) -> int | None:
    """The memory that a unit uses now, in bytes, with caches; None when the kernel does not count
    it."""
    unified = _below("", control_group) / "memory.current"
    legacy = _below("memory", control_group) / "memory.usage_in_bytes"
    text = _read(unified) or _read(legacy)
    return int(text) if text.strip() else None


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
        "MemoryMax": _limit(control_group, "memory", "memory.max" if unified else "memory.limit_in_bytes"),
        "TasksMax": _limit(control_group, "pids", "pids.max"),
        "CPUQuotaPerSecUSec": _quota(control_group, unified=unified),
    }
    return {name: value for name, value in found.items() if value is not None}


def _limit(control_group: str, controller: str, file: str) -> int | None:
    mount = "" if hierarchy() is Hierarchy.UNIFIED else controller
    text = _read(_below(mount, control_group) / file).strip()
    if not text:
        return None
    value = INFINITY if text == "max" else int(text)
    return INFINITY if value >= _NO_LIMIT_V1 else value


def _quota(control_group: str, *, unified: bool) -> int | None:
    """Microseconds of CPU per second of wall time."""
    if unified:
        words = _read(_below("", control_group) / "cpu.max").split()
    else:
        folder = _below("cpu", control_group)
        words = (_read(folder / "cpu.cfs_quota_us") + _read(folder / "cpu.cfs_period_us")).split()
    if len(words) != 2:
        return None
    quota, period = words
    return INFINITY if quota in {"max", "-1"} else int(quota) * 1_000_000 // int(period)


def _below(mount: str, control_group: str) -> Path:
    return ROOT / mount / control_group.lstrip("/")


def _read(path: Path) -> str:
    """The content of a file of the kernel; "" when it does not exist any more."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
