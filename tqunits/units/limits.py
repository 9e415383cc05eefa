"""A worker's limits, once as the directives of its drop-in and once as the D-Bus properties they must become.

The two stand side by side here, so that what is read back after an install (promise P4) is what was asked for. A change
of these alone needs no restart: systemd puts a cgroup's limits on running processes at a reload, and
system/rlimits.py does so with the limits of processes.
"""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.model import Descriptors, Limits, Share, Worker
from tqunits.units import quote

LIMIT_DIRECTIVES = frozenset(
    {"MemoryMax", "MemoryHigh", "CPUQuota", "CPUWeight", "TasksMax", "IOWeight", "LimitNOFILE", "LimitNPROC"}
)
"""Every directive that `limit_directives` may give."""


def limit_directives(limits: Limits) -> tuple[tuple[str, str], ...]:
    """Directive and value, ready for [Service], in the order of systemd.resource-control(5)."""
    rows: tuple[tuple[str, str | None], ...] = (
        ("CPUWeight", quote.count(limits.cpu_weight)),
        ("CPUQuota", quote.quota(limits.cpu_quota)),
        ("MemoryHigh", None if limits.memory_high is None else quote.memory(limits.memory_high)),
        ("MemoryMax", quote.memory(limits.memory_max)),
        ("TasksMax", quote.count(limits.tasks_max)),
        ("IOWeight", None if limits.io_weight is None else quote.count(limits.io_weight)),
        ("LimitNOFILE", _descriptors(limits.limit_nofile)),
        ("LimitNPROC", quote.count(limits.limit_nproc)),
    )
    return tuple((directive, value) for directive, value in rows if value is not None)


def _descriptors(files: Descriptors) -> str:
    """SOFT:HARD, or one number for both (systemd.exec(5), PROCESS PROPERTIES)."""
    hard = quote.count(files.hard)
    return hard if files.soft == files.hard else f"{quote.count(files.soft)}:{hard}"


def limit_properties(worker: Worker) -> Mapping[str, int | Share]:
    """D-Bus property (org.freedesktop.systemd1(5)) and value of every limit that the worker's drop-in sets.

    Bytes, tasks and weights as they are, CPU in microseconds per second; a Share is one of the physical memory.
    """
    limits = worker.limits
    properties: dict[str, int | Share | None] = {
        "CPUWeight": limits.cpu_weight,
        "CPUQuotaPerSecUSec": limits.cpu_quota,
        "MemoryHigh": limits.memory_high,
        "MemoryMax": limits.memory_max,
        "TasksMax": limits.tasks_max,
        "IOWeight": limits.io_weight,
        "LimitNOFILE": limits.limit_nofile.hard,
        "LimitNOFILESoft": limits.limit_nofile.soft,
        "LimitNPROC": limits.limit_nproc,
    }
    return {name: value for name, value in properties.items() if value is not None}
