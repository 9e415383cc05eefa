"""How much of the machine a worker may take, and the directive of each limit.

A limit is one field of Limits and one row in the table of settings (config/worker_settings.py).
From these two come the line of the drop-in, the values that are read back from systemd, what a
grant may allow, and which directives `unit:` refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from enum import StrEnum
from typing import Final

from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of the machine's physical memory, in hundredths of a percent: 80% is 8000."""

    permyriad: int


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The limits on open files and connections of a process: the soft limit, and the hard limit up
    to which the process may raise it."""

    soft: int
    hard: int

    def __str__(self) -> str:
        return str(self.hard) if self.soft == self.hard else f"{self.soft}:{self.hard}"


Amount = int | Share | Descriptors


class Measure(StrEnum):
    """What a limit's number counts."""

    COUNT = "count"
    BYTES = "bytes"
    CPU = "cpu"  # microseconds of CPU per second


@dataclass(frozen=True, slots=True)
class LimitDirective:
    """The directive of one limit (systemd.resource-control(5), systemd.exec(5))."""

    name: str
    measure: Measure = Measure.COUNT
    usual: int | None = None  # systemd's own value where the limit is None; None: systemd has no such value

    @property
    def property_name(self) -> str:
        """The name of its property on D-Bus (org.freedesktop.systemd1(5))."""
        return f"{self.name}PerSecUSec" if self.measure is Measure.CPU else self.name


def _is(name: str, measure: Measure = Measure.COUNT, usual: int | None = None) -> Mapping[str, LimitDirective]:
    return {"directive": LimitDirective(name, measure, usual)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of the cgroup and of the processes, in the order of the man pages. `None` leaves
    systemd's default."""

    cpu_weight: int = field(metadata=_is("CPUWeight"))
    cpu_quota: int = field(metadata=_is("CPUQuota", Measure.CPU))
    memory_high: int | Share | None = field(metadata=_is("MemoryHigh", Measure.BYTES))
    memory_max: int | Share = field(metadata=_is("MemoryMax", Measure.BYTES))
    tasks_max: int = field(metadata=_is("TasksMax"))
    io_weight: int | None = field(metadata=_is("IOWeight", usual=100))
    limit_nofile: Descriptors = field(metadata=_is("LimitNOFILE"))
    limit_nproc: int = field(metadata=_is("LimitNPROC"))

    def amount(self, name: str) -> Amount | None:
        """The limit of that name."""
        found: Amount | None = getattr(self, name)
        return found

    def most(self, name: str) -> int | Share | None:
        """The same as one number; for descriptors the hard limit."""
        found = self.amount(name)
        return found.hard if isinstance(found, Descriptors) else found


LIMITS: Final[Mapping[str, LimitDirective]] = {each.name: each.metadata["directive"] for each in fields(Limits)}
"""The directive of every limit, by the name of its field."""
