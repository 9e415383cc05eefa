"""Limits of running units: from what systemd has loaded to what the kernel enforces.

systemd 252 gives the kernel changed limits at a daemon-reload; 257 does not, until something else touches the unit's
cgroup (both measured). SetUnitProperties does touch it, but writes a runtime drop-in as well (systemctl(1),
set-property --runtime), which would shadow every later change of ours until the next boot. So these drop-ins are
removed at once; and since we may be killed in between, a note of them is made before, for the next run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tqunits.model import Layout, Worker
from tqunits.system import cgroup, files
from tqunits.system.bus import Bus
from tqunits.units import name

_NOTE = "limits-in-hand"
_SHADOWS = ("CPUQuota", "CPUQuotaPerSecUSec", "CPUWeight", "MemoryHigh", "MemoryMax", "TasksMax")
_TOLERANCE = 0.01
"""The kernel counts memory in pages and quotas in microseconds per period; systemd rounds a quota to them."""


def realize(workers: Iterable[Worker], layout: Layout, bus: Bus) -> bool:
    """Have the kernel enforce the limits that systemd has loaded; whether there was anything to do."""
    units = (name.service(worker.name) for worker in workers)
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


def recover(layout: Layout, bus: Bus) -> None:
    """Remove the drop-ins of a `realize` that was killed in the middle."""
    note = Path(layout.runtime) / _NOTE
    text = files.read_text_if_exists(note)
    if text is not None:
        _remove(note, map(Path, text.splitlines()))
        bus.reload_daemon()


def _late(unit: str, bus: Bus) -> Mapping[str, int]:
    """Loaded limits of a running unit that its cgroup does not have."""
    kernel = cgroup.limits(bus.control_group(unit))
    loaded = bus.properties(unit, "Service") if kernel else {}
    wanted = {key: value for key in kernel if isinstance(value := loaded.get(key), int)}
    return {key: value for key, value in wanted.items() if abs(kernel[key] - value) > value * _TOLERANCE}


def _shadows(layout: Layout, unit: str) -> Iterable[Path]:
    """Where SetUnitProperties writes, at runtime: /run/systemd/system.control, or user.control of a user's own."""
    control = "system.control" if layout.sysusers else "user.control"
    folder = Path(layout.runtime).parent / "systemd" / control / f"{unit}.d"
    return (folder / f"50-{limit}.conf" for limit in _SHADOWS)


def _remove(note: Path, shadows: Iterable[Path]) -> None:
    for path in shadows:
        files.remove(path)
    files.remove(note)
