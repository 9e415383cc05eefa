"""The limits of a unit as the kernel enforces them, in either version of cgroups.

Files and meanings: "Control Group v2" (memory.max, cpu.max, pids.max), and "Memory Resource
Controller", "CFS Bandwidth Control" and "Process Number Controller" of the kernel's documentation
for version 1.
"""

from dataclasses import dataclass

from .host import Host, MachineError

# Setting -> its files in the kernel: that of version 2, then (controller, file) of version 1.
FILES = {
    "MemoryMax": ("memory.max", "memory", "memory.limit_in_bytes"),
    "MemoryHigh": ("memory.high", "memory", "memory.soft_limit_in_bytes"),
    "CPUQuota": ("cpu.max", "cpu", "cpu.cfs_quota_us"),
    "CPUWeight": ("cpu.weight", "cpu", "cpu.shares"),
    "IOWeight": ("io.weight", "blkio", "blkio.bfq.weight"),
    "TasksMax": ("pids.max", "pids", "pids.max"),
}
UNLIMITED = 1 << 62  # version 1 writes "no limit" as a number near the largest possible one
MOUNT = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLimits:
    """None means "no limit". `cpu_quota` is in processors: 0.5 is CPUQuota=50%."""

    memory_max: int | None
    cpu_quota: float | None
    tasks_max: int | None


def kernel_limits(machine: Host, unit: str) -> KernelLimits:
    """The limits that the kernel enforces on the unit. MachineError if the unit has no cgroup, for
    example because it does not run."""
    return KernelLimits(
        memory_max=_number(machine.read(kernel_file(machine, unit, "MemoryMax"))),
        cpu_quota=_quota(machine, kernel_file(machine, unit, "CPUQuota")),
        tasks_max=_number(machine.read(kernel_file(machine, unit, "TasksMax"))),
    )


def kernel_file(machine: Host, unit: str, setting: str) -> str:
    """The path in the machine of the kernel's file for a setting."""
    group = machine.show(unit, "ControlGroup")
    if not group:
        raise MachineError(f"{unit} has no cgroup: it is {machine.show(unit, 'ActiveState')}")
    unified, controller, legacy = FILES[setting]
    if machine.exists(f"{MOUNT}/cgroup.controllers"):
        return f"{MOUNT}{group}/{unified}"
    return f"{MOUNT}/{controller}{group}/{legacy}"


def _number(text: str) -> int | None:
    value = text.strip()
    return None if value in ("max", "-1") or int(value) > UNLIMITED else int(value)


def _quota(machine: Host, path: str) -> float | None:
    """`cpu.max` is "QUOTA PERIOD"; version 1 has a file for each, and -1 for no quota."""
    words = machine.read(path).split()
    period = words[1] if len(words) > 1 else machine.read(path.replace("cfs_quota_us", "cfs_period_us"))
    quota = _number(words[0])
    return None if quota is None else quota / int(period)
