"""How much of the machine a worker may take, and the directive that each limit becomes.

A field of Limits is all there is of a limit but its row in the table of settings
(config/worker_settings.py): the drop-in's line, what is read back of systemd, what a grant may
allow and what `unit:` refuses all come from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A part of the machine's physical memory, in hundredths of a percent: 80% is 8000."""

    permyriad: int


@dataclass(frozen=True, slots=True)
class Descriptors:
    """How many files and connections a process may have open: at first, and when it raises that
    itself."""

    soft: int
    hard: int

    def __str__(self) -> str:
        return str(self.hard) if self.soft == self.hard else f"{self.soft}:{self.hard}"


Amount = int | Share | Descriptors


class Measure(StrEnum):
    """What an amount counts, where it is a number."""

    COUNT = "count"
    BYTES = "bytes"
    CPU = "cpu"  # microseconds of CPU per second


@dataclass(frozen=True, slots=True)
class LimitDirective:
    """The directive of one limit (systemd.resource-control(5), systemd.exec(5))."""

    name: str
    measure: Measure = Measure.COUNT
    usual: int | None = None  # what systemd gives where a limit that may be None is; None: there is nothing usual

    @property
    def property_name(self) -> str:
        """Its property on D-Bus (org.freedesktop.systemd1(5))."""
        return f"{self.name}PerSecUSec" if self.measure is Measure.CPU else self.name


def _is(name: str, measure: Measure = Measure.COUNT, usual: int | None = None) -> Mapping[str, LimitDirective]:
    return {"directive": LimitDirective(name, measure, usual)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The cgroup's and the process's limits, in the order of the man pages; `None` leaves systemd's
    default."""

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
        """The same as one number: of descriptors as many as a process may have in the end."""
        found = self.amount(name)
        return found.hard if isinstance(found, Descriptors) else found


LIMITS: Final[Mapping[str, LimitDirective]] = {each.name: each.metadata["directive"] for each in fields(Limits)}
"""Every limit by the name of its field, and its directive."""
