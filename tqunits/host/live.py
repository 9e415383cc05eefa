"""Limits of running units: what is configured, what systemd has loaded, and what the kernel
enforces.

systemd 252 gives the kernel changed limits at a daemon-reload; 257 does so only when something else
touches the unit's cgroup (both measured). SetUnitProperties does touch it, but also writes a
runtime drop-in (systemctl(1), set-property --runtime), which would override every later change of
ours until the next boot. So we remove these drop-ins at once. We may be killed in between, so a
note of them is written first, for the next run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Worker
from tqunits.resources import Share
from tqunits.system import cgroup, files, rlimits
from tqunits.system.bus import Bus
from tqunits.units import name, unitfile
from tqunits.units.limits import directive_of, limit_properties

_NOTE = "limits-in-hand"
_SHADOWS = ("CPUQuota", "CPUQuotaPerSecUSec", "CPUWeight", "MemoryHigh", "MemoryMax", "TasksMax")
_TOLERANCE = 0.01
"""The kernel counts memory in pages and quotas in microseconds per period; systemd rounds a quota
to them."""

_PAGE = 4096
"""systemd rounds a share of the memory to pages (physical_memory_scale in its source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A limit that systemd has with another value than the configuration. `drop_in`: the
    administrator's drop-in that sets it, if there is one."""

    unit: str
    directive: str
    asked: int
    actual: int
    drop_in: Path | None


def differences(workers: Iterable[Worker], bus: Bus) -> tuple[Difference, ...]:
    """Compare the limits that systemd has now with those in the configuration, for every worker
    (promise P4)."""
    memory = files.physical_memory()
    units = ((worker, name.service(whose)) for worker in workers for whose in worker.instances)
    return tuple(found for worker, unit in units for found in _differences(worker, unit, bus, memory))


def apply_process_limits(workers: Iterable[Worker], bus: Bus) -> tuple[str, ...]:
    """Give running processes their new LimitNOFILE= and LimitNPROC=. A daemon-reload changes
    cgroups, never a process.

    Returns the units whose processes could not get them; they take them at their next start.
    """
    units = (name.service(whose) for worker in workers for whose in worker.instances)
    return tuple(unit for unit in units if not _apply_process_limits(unit, bus))


def _apply_process_limits(unit: str, bus: Bus) -> bool:
    """Applies the values that systemd has, not those of the YAML: a drop-in of the administrator
    may have changed them."""
    kinds = ("NOFILESoft", "NOFILE", "NPROC")
    soft, hard, nproc = (int(str(bus.property_of(unit, "Service", f"Limit{kind}", "t"))) for kind in kinds)
    return rlimits.apply(bus.control_group(unit), nofile=(soft, hard), nproc=nproc)


def realize(workers: Iterable[Worker], layout: Layout, bus: Bus) -> bool:
    """Make the kernel enforce the limits that systemd has loaded. Returns whether there was
    anything to do."""
    units = (name.service(whose) for worker in workers for whose in worker.instances)
    late = {unit: limits for unit in units if (limits := _late(unit, bus))}
    if late:
        shadows = [path for unit in late for path in _shadows(layout, unit) if not path.exists()]
        note = Path(layout.runtime) / _NOTE
        files.write_atomically(note, "".join(f"{path}\n" for path in shadows), 0o600)
        for unit, limits in late.items():
            bus.set_properties(unit, limits, runtime=True)
        _remove(note, shadows)
        bus.reload_daemon()
    return bool(late)


def has_shadows(layout: Layout) -> bool:
    """Whether a call of `realize` was killed before its end."""
    return os.path.lexists(Path(layout.runtime) / _NOTE)


def recover(layout: Layout, bus: Bus) -> None:
    """Remove the drop-ins of a call of `realize` that was killed before its end."""
    note = Path(layout.runtime) / _NOTE
    text = files.read_text_if_exists(note)
    if text is not None:
        _remove(note, map(Path, text.splitlines()))
        bus.reload_daemon()


def _late(unit: str, bus: Bus) -> Mapping[str, int]:
    """The loaded limits of a running unit that its cgroup does not have."""
    kernel = cgroup.limits(bus.control_group(unit))
    loaded = bus.properties(unit, "Service") if kernel else {}
    wanted = {key: value for key in kernel if isinstance(value := loaded.get(key), int)}
    return {key: value for key, value in wanted.items() if abs(kernel[key] - value) > value * _TOLERANCE}


def _shadows(layout: Layout, unit: str) -> Iterable[Path]:
    """The runtime drop-ins that SetUnitProperties writes: in /run/systemd/system.control, or in
    user.control of the user."""
    control = "system.control" if layout.sysusers else "user.control"
    folder = Path(layout.runtime).parent / "systemd" / control / f"{unit}.d"
    return (folder / f"50-{limit}.conf" for limit in _SHADOWS)


def _remove(note: Path, shadows: Iterable[Path]) -> None:
    for path in shadows:
        files.remove(path)
    files.remove(note)


def _differences(worker: Worker, unit: str, bus: Bus, memory: int) -> Iterable[Difference]:
    actual = bus.properties(unit, "Service")
    for directive, asked in limit_properties(worker).items():
        wanted = _bytes(asked, memory)
        have = actual.get(directive)
        if not isinstance(have, int):
            raise TqunitsError(f"systemd does not tell {directive} of {unit}")
        slack = _PAGE if isinstance(asked, Share) else 0
        if abs(have - wanted) > slack:
            drop_in = _administrators(bus, unit, directive)
            yield Difference(unit=unit, directive=directive, asked=wanted, actual=have, drop_in=drop_in)


def _bytes(value: int | Share, memory: int) -> int:
    return memory * value.permyriad // 10000 if isinstance(value, Share) else value


def _administrators(bus: Bus, unit: str, property_name: str) -> Path | None:
    """The administrator's drop-in that sets this directive; None without one."""
    directive = directive_of(property_name)
    paths = bus.properties(unit, "Unit").get("DropInPaths")
    for path in reversed(paths if isinstance(paths, tuple) else ()):
        text = files.read_text_if_exists(Path(str(path))) or ""
        if not unitfile.is_ours(text) and unitfile.sets(text, directive):
            return Path(str(path))
    return None
