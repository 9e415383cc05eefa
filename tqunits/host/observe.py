"""Looks at the host: our files, the units that systemd has loaded, and their states.

It is read-only, so `diff`, `ls` and `--dry-run` need no privilege. Without a service manager (in a
chroot, or while an image is built) the files are observed and no unit counts as loaded.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from tqunits.host import built, handover, pauses
from tqunits.host.observed_files import observe_copies, observe_files, unit_file_states
from tqunits.layout import Layout
from tqunits.system.bus import Bus
from tqunits.system.users import exists, of_before
from tqunits.units import name
from tqunits.units.environment import CODE
from tqunits.units.observed import Observed, ObservedUnit

UNIT_PATTERNS = ("tq-*", "tq.*", "run-tqunits-workers-*.mount")


def observe_units(bus: Bus) -> Mapping[str, ObservedUnit]:
    """Every unit of ours that is loaded."""
    found = bus.list_units(UNIT_PATTERNS)
    paused = pauses.pausing((unit.name, unit.active) for unit in found)
    states = {unit.name: "activating" if unit.name in paused else unit.active for unit in found}
    return {unit: _observe_unit(bus, unit, state) for unit, state in states.items()}


def observe(layout: Layout, bus: Bus | None, wanted: Iterable[PurePosixPath], users: Iterable[str]) -> Observed:
    """Everything that a plan is made from, except what is neither our file nor our unit
    (leftovers.py)."""
    units = observe_units(bus) if bus else {}
    return Observed(
        files=observe_files(layout, wanted),
        copies=observe_copies(layout) or {},
        units=units,
        file_states=unit_file_states(Path(layout.units)),
        missing_users=frozenset(user for user in users if not exists(user)),
        now=_now(),
        unserved=handover.unserved(layout),
        built=built.times(layout),
        homes=frozenset(of_before(layout.state)) if layout.sysusers else frozenset(),
        codes=router_codes(bus, units) if bus else {},
    )


def running_routers(bus: Bus) -> tuple[str, ...]:
    """The router's processes that run, by their units."""
    units = bus.list_units(["tq-proxy@*.service"])
    return tuple(sorted(unit.name for unit in units if unit.active in {"active", "reloading", "refreshing"}))


def manager_runs(bus: Bus) -> bool:
    """Whether the manager runs, or is about to: then a question at its socket starts nothing."""
    return any(unit.active in {"active", "activating", "reloading"} for unit in bus.list_units([name.MANAGER]))


def router_codes(bus: Bus, units: Iterable[str]) -> Mapping[str, str]:
    """Unit of a router process -> the fingerprint of the code that it was started with. Left out
    where its environment has none or we may not read it."""
    found = ((unit, _code(bus, unit)) for unit in units if name.is_proxy(unit))
    return {unit: code for unit, code in found if code}


def _observe_unit(bus: Bus, unit: str, state: str) -> ObservedUnit:
    started = started_us(bus, unit) if unit.endswith(".service") or name.is_proxy_socket(unit) else 0
    needs_reload = bool(bus.property_of(unit, "Unit", "NeedDaemonReload", "b"))
    return ObservedUnit(state=state, started=started, needs_reload=needs_reload)


def _code(bus: Bus, unit: str) -> str:
    pid = int(str(bus.property_of(unit, "Service", "MainPID", "u")))
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes() if pid else b""
    except OSError:  # the process has ended, or is another user's
        return ""
    mark = f"{CODE}=".encode()
    return next((each[len(mark) :].decode() for each in environment.split(b"\0") if each.startswith(mark)), "")


def started_us(bus: Bus, unit: str) -> int:
    """When the unit's latest start began, in µs since 1970; 0: never.

    ExecMainStartTimestamp would not do: a program of type notify changes it with each MAINPID=
    (sd_notify(3)). There are two times, by the clock at the start and by the clock now; the earlier
    one is taken. If one of the clocks was wrong, one restart too many does less harm than one too
    few.
    """
    then = int(str(bus.property_of(unit, "Unit", "InactiveExitTimestamp", "t")))
    monotonic = int(str(bus.property_of(unit, "Unit", "InactiveExitTimestampMonotonic", "t")))
    return min(then, _now() - (time.monotonic_ns() // 1000 - monotonic)) if then and monotonic else 0


def _now() -> int:
    return time.time_ns() // 1000
