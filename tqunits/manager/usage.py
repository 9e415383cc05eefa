"""What an instance uses now, and what this process does: memory and CPU time, as the kernel counts
them.

system/cgroup.py reads the files of the instance's cgroup, whose path the registry has. So nobody
asks systemd.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY
from tqunits.system import cgroup

_STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Memory in bytes, CPU time in µs; None: not known, or no limit."""

    memory: int | None = None
    memory_limit: int | None = None
    cpu: int | None = None  # since the start of its unit

    def body(self) -> Mapping[str, object]:
        """The members of the JSON object."""
        return {"memory_bytes": self.memory, "memory_limit_bytes": self.memory_limit, "cpu_us": self.cpu}


def usage_of(control_group: str) -> Usage:
    """What the unit with this cgroup uses now. "": it does not run."""
    if not control_group:
        return Usage()
    limit = cgroup.memory_limit(control_group)
    cpu = cgroup.cpu_usage_ns(control_group)
    return Usage(
        memory=cgroup.memory_current(control_group),
        memory_limit=None if limit == INFINITY else limit,
        cpu=None if cpu is None else cpu // 1000,
    )


def own_usage() -> Usage:
    """What this process uses itself: the memory that it has in RAM."""
    pages = int(_STATM.read_text(encoding="ascii").split()[1])
    return Usage(memory=pages * os.sysconf("SC_PAGE_SIZE"), cpu=time.process_time_ns() // 1000)
