"""Look at the host: which of our files lie there, which units systemd has, what they are doing.

Read-only, so `diff`, `ls` and `--dry-run` need no privilege. Without a service manager to ask (a
chroot, an image being built) the files are still observed, and no unit is loaded.
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
    """Every loaded unit of ours."""
    found = bus.list_units(UNIT_PATTERNS)
    paused = pauses.pausing((unit.name, unit.active) for unit in found)
    states = {unit.name: "activating" if unit.name in paused else unit.active for unit in found}
    return {unit: _observe_unit(bus, unit, state) for unit, state in states.items()}


def observe(layout: Layout, bus: Bus | None, wanted: Iterable[PurePosixPath], users: Iterable[str]) -> Observed:
    """Everything that a plan is made from, but for what is no file of ours and no unit
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
    """The units of the router's processes that run."""
    units = bus.list_units(["tq-proxy@*.service"])
    return tuple(sorted(unit.name for unit in units if unit.active in {"active", "reloading", "refreshing"}))


def router_codes(bus: Bus, units: Iterable[str]) -> Mapping[str, str]:
    """Process of the router -> the code that it was started by, where it tells, and we may see its
    environment."""
    found = ((unit, _code(bus, unit)) for unit in units if name.is_proxy(unit))
    return {unit: code for unit, code in found if code}


def _observe_unit(bus: Bus, unit: str, state: str) -> ObservedUnit:
    started = _started(bus, unit) if unit.endswith(".service") or name.is_proxy_socket(unit) else 0
    needs_reload = bool(bus.property_of(unit, "Unit", "NeedDaemonReload", "b"))
    return ObservedUnit(state=state, started=started, needs_reload=needs_reload)


def _code(bus: Bus, unit: str) -> str:
    pid = int(str(bus.property_of(unit, "Service", "MainPID", "u")))
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes() if pid else b""
    except OSError:  # it has ended, or is somebody else's
        return ""
    mark = f"{CODE}=".encode()
    return next((each[len(mark) :].decode() for each in environment.split(b"\0") if each.startswith(mark)), "")


def _started(bus: Bus, unit: str) -> int:
    """When the unit's latest start began, µs since 1970; 0: never.

    Not ExecMainStartTimestamp: a program of type notify has it anew with each MAINPID=
    (sd_notify(3)). And by the clock of then or by today's, whichever is earlier: where one was
    wrong a restart too many does less harm than none.
    """
    then = int(str(bus.property_of(unit, "Unit", "InactiveExitTimestamp", "t")))
    monotonic = int(str(bus.property_of(unit, "Unit", "InactiveExitTimestampMonotonic", "t")))
    return min(then, _now() - (time.monotonic_ns() // 1000 - monotonic)) if then and monotonic else 0


def _now() -> int:
    return time.time_ns() // 1000
