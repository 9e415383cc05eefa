"""The checks of `tqunits doctor` of the host, the service manager and the configuration. All are
read-only and independent of each other.

A PROBLEM keeps workers from being installed, started, limited or reached. A WARNING is something
that works less well than it could, or that may surprise somebody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.host import this_host
from tqunits.host.lacking import lacking
from tqunits.host.polkit_service import POLKIT, lack_of_polkit
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, account_of
from tqunits.system import cgroup, users
from tqunits.system.bus import Bus, UnitStatus
from tqunits.system.files import read_text_if_exists
from tqunits.units import polkit_rule, unitfile
from tqunits.units.name import MANAGER, paused_by


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of one check. `advice` says what to do, if there is something to do."""

    check: str
    level: Level
    message: str
    advice: str = ""


def host(layout: Layout, *, user_mode: bool) -> Iterator[Finding]:
    """The kernel, the init system and the file system: checks that do not depend on the
    configuration."""
    yield _init()
    yield from _cgroups(user_mode=user_mode)
    yield _folder(Path(layout.units), user_mode=user_mode)
    yield _journal()
    yield _overcommit()


def manager(bus: Bus, units: Sequence[UnitStatus], *, user_mode: bool) -> Iterator[Finding]:
    """The running service manager and our units in it. `units`: our units that it has loaded."""
    version = bus.systemd_version()
    if version < this_host.OLDEST:
        yield problem("systemd", f"systemd {version} is too old", f"tqunits needs {this_host.OLDEST} or newer")
    else:
        yield ok("systemd", f"systemd {version}, reachable over D-Bus")
    failed = [unit.name for unit in units if unit.active == "failed"]
    if failed:
        yield problem("units", f"failed: {', '.join(failed)}", "'tqunits why NAME' tells why")
    else:
        yield ok("units", f"none of {len(units)} loaded units has failed")
    if not user_mode:
        yield _polkit(bus)
    yield from _manager(units)
    stale = _stale(bus, [unit.name for unit in units])
    if stale:
        yield warning(
            "reload", f"changed on disk since they were loaded: {', '.join(stale)}", "systemctl daemon-reload"
        )


def _stale(bus: Bus, units: Sequence[str]) -> list[str]:
    """Units whose files have changed since they were loaded. All back-off units have one file, so
    only one of them is asked about."""
    pauses = [unit for unit in units if paused_by(unit)]
    asked = [*(unit for unit in units if not paused_by(unit)), *pauses[:1]]
    return [unit for unit in asked if bus.property_of(unit, "Unit", "NeedDaemonReload", "b")]


def installation(layout: Layout, known: Mapping[Path, str]) -> Iterator[Finding]:
    """Our drop-ins: whether somebody has edited them, and which drop-ins of the administrator stand
    beside them.

    `known`: the texts of the drop-ins that are already read.
    """
    edited: list[str] = []
    beside: list[str] = []
    for path in sorted(Path(layout.units).glob("tq*.d/*.conf")):
        text = known[path] if path in known else read_text_if_exists(path) or ""
        ledger = unitfile.ledger(text)
        if not unitfile.is_ours(text):
            beside.append(str(path))
        elif ledger and ledger.restart_hash != unitfile.restart_hash(text):
            edited.append(str(path))
    if edited:
        advice = "the next 'tqunits install' undoes it; use 'systemctl edit UNIT' for changes of your own"
        yield warning("drop-ins", f"edited by hand: {', '.join(edited)}", advice)
    else:
        yield ok("drop-ins", "all of ours are as tqunits has written them")
    if beside:
        yield ok("overrides", f"your own drop-ins are in effect: {', '.join(beside)}")


def configuration(settings: Configuration) -> Iterator[Finding]:
    """What the configured workers need from this host."""
    found = [lack for lack in map(lacking, settings.running()) if lack]
    for lack in found:
        yield problem("programs", f"{lack.worker}: {lack.reason}", lack.hint or "")
    if not found:
        yield ok("programs", f"everything that {len(settings.running())} workers run is there")


def homes(layout: Layout) -> Iterator[Finding]:
    """Accounts of workers that still have the home of an earlier release. The home is removed when
    the worker does not run."""
    found = users.of_before(layout.state) if layout.sysusers else ()
    if found:
        names = " ".join(user.removeprefix(account_of("")) for user in found)
        message = f"their home is the worker's to write, and sshd lets in whom it names there: {', '.join(found)}"
        advice = (
            f"'tqunits install --now' restarts them without one; or stop {names}, 'tqunits install', start {names}. "
            "What is no longer configured, or refused, keeps it until it is uninstalled"
        )
        yield warning("accounts", message, advice)


def _init() -> Finding:
    if Path("/run/systemd/system").is_dir():  # sd_booted(3)
        return ok("init", "this host was booted with systemd")
    return problem("init", "systemd is not the init of this host", "units can be rendered here, but not run")


def _cgroups(*, user_mode: bool) -> Iterator[Finding]:
    mode = cgroup.hierarchy()
    if mode is cgroup.Hierarchy.UNIFIED:
        yield ok("cgroups", "cgroup v2: every limit is enforced")
    elif mode is cgroup.Hierarchy.NONE:
        yield problem("cgroups", "no cgroups are mounted: no limit is enforced")
    elif user_mode:  # delegation to users works with cgroup version 2 only (systemd.resource-control(5))
        message = f"cgroup {mode}: your own manager may set no limits; memory_max, cpu_quota and tasks_max do nothing"
        yield warning("cgroups", message, "boot with systemd.unified_cgroup_hierarchy=1")
    else:
        message = (
            f"cgroup {mode}: memory_high, io_weight and the killing of a whole worker when out of memory do nothing"
        )
        yield warning("cgroups", message, "boot with systemd.unified_cgroup_hierarchy=1")
    missing = {"cpu", "memory", "pids"} - cgroup.controllers()
    if missing:
        message = f"the kernel does not offer: {', '.join(sorted(missing))}; these limits do nothing"
        yield problem("controllers", message, "look for cgroup_disable= on the kernel's command line")
    elif locked := cgroup.read_only():
        message = f"mounted read-only: {', '.join(sorted(map(str, locked)))}; no limit below it is enforced"
        yield problem("controllers", message, "a container needs its cgroups writable (delegated) to set limits")
    else:
        yield ok("controllers", "cpu, memory and pids are there, and can be set")


def _folder(folder: Path, *, user_mode: bool) -> Finding:
    existing = next(f for f in (folder, *folder.parents) if f.is_dir())
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return problem("folder", f"{folder} is on a read-only file system", "units can not be installed there")
    if not os.access(existing, os.W_OK):
        advice = "" if user_mode else "'tqunits install' needs root"
        return warning("folder", f"you may not write {folder}", advice)
    return ok("folder", f"{folder} can be written")


def _polkit(bus: Bus) -> Finding:
    match lack_of_polkit(bus):
        case "":
            return ok("polkit", "polkit is there: rules of yours can let others start and stop single workers")
        case "has failed":
            advice = f"systemctl status {POLKIT}"
            return warning("polkit", f"{POLKIT} has failed: only root can start and stop workers", advice)
        case lack:
            text = f"polkit {lack}: only root can start and stop workers, and the manager restarts none that hangs"
            return warning("polkit", text, "apt install polkitd")


def _manager(units: Sequence[UnitStatus]) -> Iterator[Finding]:
    """Whether the manager runs, where it is installed."""
    found = next((unit for unit in units if unit.name == MANAGER), None)
    if found is not None and found.active != "active":
        text = f"{MANAGER} is {found.active}: nobody checks the health of workers that run"
        yield warning("manager", text, f"systemctl start {MANAGER}")


def rule(layout: Layout) -> Iterator[Finding]:
    """Whether polkit's rule stands without the unit files of the names that it allows: then a
    caller could make units of these names, which run as root (units/polkit_rule.py)."""
    if layout.polkit is None or not this_host.has_polkit(layout) or not Path(layout.polkit / polkit_rule.FILE).exists():
        return
    missing = [unit for unit in polkit_rule.FRAGMENTS if not Path(layout.units / unit).is_file()]
    if missing:
        text = f"{layout.polkit / polkit_rule.FILE} allows units whose file is missing: {', '.join(missing)}"
        yield problem("rule", text, f"tqunits install, or at once: rm {layout.polkit / polkit_rule.FILE}")


def _journal() -> Finding:
    if any(Path("/var/log/journal").glob("*")):
        return ok("journal", "the journal is kept on disk")
    advice = "mkdir -p /var/log/journal && systemctl restart systemd-journald"
    return warning("journal", "the journal is in memory only: a reboot loses the workers' logs", advice)


def _overcommit() -> Finding:
    mode = (read_text_if_exists(Path("/proc/sys/vm/overcommit_memory")) or "").strip()
    if mode != "2":
        return ok("memory", "the kernel overcommits memory: go, node and others may reserve more than they use")
    advice = "sysctl vm.overcommit_memory=0"
    return warning("memory", "vm.overcommit_memory is 2: go and node reserve far more than they use, and fail", advice)


def unreachable(error: TqunitsError) -> Finding:
    """The finding that there is no service manager to ask."""
    return problem("systemd", error.message, error.hint or "")


def misconfigured(count: int) -> Finding:
    """The finding that the YAML has errors."""
    return problem("configuration", f"{count} error{'s' if count != 1 else ''} in the YAML", "see 'tqunits check'")


def ok(check: str, message: str) -> Finding:
    """A check that found nothing wrong."""
    return Finding(check=check, level=Level.OK, message=message)


def warning(check: str, message: str, advice: str) -> Finding:
    """A finding of something that works less well than it could."""
    return Finding(check=check, level=Level.WARNING, message=message, advice=advice)


def problem(check: str, message: str, advice: str = "") -> Finding:
    """A finding of something that does not work."""
    return Finding(check=check, level=Level.PROBLEM, message=message, advice=advice)
