"""What this host offers, and what is wrong on it: the checks of `tqunits doctor`. Read-only, each stands alone.

A PROBLEM keeps workers from being installed, started, limited or reached; a WARNING is something that works less well
than it could, or that will surprise somebody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.model import Configuration, Layout, account_of
from tqunits.system import build, cgroup, target, users
from tqunits.system.bus import Bus
from tqunits.system.files import read_text_if_exists
from tqunits.system.listeners import listening_ports
from tqunits.units import name, unitfile


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of one check; `advice` says what to do, where there is something to do."""

    check: str
    level: Level
    message: str
    advice: str = ""


def host(layout: Layout, *, user_mode: bool) -> Iterator[Finding]:
    """The kernel, the init and the file system: what does not depend on any configuration."""
    yield _init()
    yield from _cgroups(user_mode=user_mode)
    yield _folder(Path(layout.units), user_mode=user_mode)
    if not user_mode:
        yield _polkit()
    yield _journal()
    yield _overcommit()


def manager(bus: Bus) -> Iterator[Finding]:
    """The running service manager and our units in it."""
    version = bus.systemd_version()
    if version < target.OLDEST:
        yield _problem("systemd", f"systemd {version} is too old", f"tqunits needs {target.OLDEST} or newer")
    else:
        yield _ok("systemd", f"systemd {version}, reachable over D-Bus")
    units = bus.list_units(["tq-*", "tq.*"])
    failed = [unit.name for unit in units if unit.active == "failed"]
    if failed:
        yield _problem("units", f"failed: {', '.join(failed)}", "'tqunits show NAME' tells why")
    else:
        yield _ok("units", f"none of {len(units)} loaded units has failed")
    stale = [unit.name for unit in units if bus.property_of(unit.name, "Unit", "NeedDaemonReload", "b")]
    if stale:
        yield _warning(
            "reload", f"changed on disk since they were loaded: {', '.join(stale)}", "systemctl daemon-reload"
        )


def installation(layout: Layout) -> Iterator[Finding]:
    """Our drop-ins: whether somebody has edited them, and those of the administrator beside them."""
    edited: list[str] = []
    beside: list[str] = []
    for path in sorted(Path(layout.units).glob("tq*.d/*.conf")):
        text = read_text_if_exists(path) or ""
        ledger = unitfile.ledger(text)
        if not unitfile.is_ours(text):
            beside.append(str(path))
        elif ledger and ledger.restart_hash != unitfile.restart_hash(text):
            edited.append(str(path))
    if edited:
        advice = "the next 'tqunits install' undoes it; use 'systemctl edit UNIT' for changes of your own"
        yield _warning("drop-ins", f"edited by hand: {', '.join(edited)}", advice)
    else:
        yield _ok("drop-ins", "all of ours are as tqunits has written them")
    if beside:
        yield _ok("overrides", f"your own drop-ins are in effect: {', '.join(beside)}")


def configuration(settings: Configuration, bus: Bus | None) -> Iterator[Finding]:
    """What the configured workers and the router need from this host."""
    lacking = [lack for lack in map(build.lacking, settings.running()) if lack]
    for lack in lacking:
        yield _problem("programs", f"{lack.worker}: {lack.reason}", lack.hint or "")
    if not lacking:
        yield _ok("programs", f"everything that {len(settings.running())} workers run is there")
    yield from _listeners(settings.server.listen, bus)


def homes(layout: Layout) -> Iterator[Finding]:
    """Accounts of workers whose home, of an earlier release, waits for them to stand still."""
    found = users.of_before(layout.state) if layout.sysusers else ()
    if found:
        names = " ".join(user.removeprefix(account_of("")) for user in found)
        message = f"their home is the worker's to write, and sshd lets in whom it names there: {', '.join(found)}"
        advice = (
            f"'tqunits install --now' restarts them without one; or stop {names}, 'tqunits install', start {names}. "
            "What is no longer configured, or refused, keeps it until it is uninstalled"
        )
        yield _warning("accounts", message, advice)


def _init() -> Finding:
    if Path("/run/systemd/system").is_dir():  # sd_booted(3)
        return _ok("init", "this host was booted with systemd")
    return _problem("init", "systemd is not the init of this host", "units can be rendered here, but not run")


def _cgroups(*, user_mode: bool) -> Iterator[Finding]:
    mode = cgroup.hierarchy()
    if mode is cgroup.Hierarchy.UNIFIED:
        yield _ok("cgroups", "cgroup v2: every limit is enforced")
    elif mode is cgroup.Hierarchy.NONE:
        yield _problem("cgroups", "no cgroups are mounted: no limit is enforced")
    elif user_mode:  # systemd.resource-control(5): delegation to users is for version 2 only
        message = f"cgroup {mode}: your own manager may set no limits; memory_max, cpu_quota and tasks_max do nothing"
        yield _warning("cgroups", message, "boot with systemd.unified_cgroup_hierarchy=1")
    else:
        message = (
            f"cgroup {mode}: memory_high, io_weight and the killing of a whole worker when out of memory do nothing"
        )
        yield _warning("cgroups", message, "boot with systemd.unified_cgroup_hierarchy=1")
    missing = {"cpu", "memory", "pids"} - cgroup.controllers()
    if missing:
        message = f"the kernel does not offer: {', '.join(sorted(missing))}; these limits do nothing"
        yield _problem("controllers", message, "look for cgroup_disable= on the kernel's command line")
    else:
        yield _ok("controllers", "cpu, memory and pids are there")


def _folder(folder: Path, *, user_mode: bool) -> Finding:
    existing = next(f for f in (folder, *folder.parents) if f.is_dir())
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return _problem("folder", f"{folder} is on a read-only file system", "units can not be installed there")
    if not os.access(existing, os.W_OK):
        advice = "" if user_mode else "'tqunits install' needs root"
        return _warning("folder", f"you may not write {folder}", advice)
    return _ok("folder", f"{folder} can be written")


def _polkit() -> Finding:
    if any(Path(folder).is_dir() for folder in ("/usr/share/polkit-1/rules.d", "/etc/polkit-1/rules.d")):
        return _ok("polkit", "polkit is installed: operators without root can be given single workers")
    return _warning("polkit", "polkit is not installed: only root can start and stop workers", "apt install polkitd")


def _journal() -> Finding:
    if any(Path("/var/log/journal").glob("*")):
        return _ok("journal", "the journal is kept on disk")
    advice = "mkdir -p /var/log/journal && systemctl restart systemd-journald"
    return _warning("journal", "the journal is in memory only: a reboot loses the workers' logs", advice)


def _overcommit() -> Finding:
    mode = (read_text_if_exists(Path("/proc/sys/vm/overcommit_memory")) or "").strip()
    if mode != "2":
        return _ok("memory", "the kernel overcommits memory: go, node and others may reserve more than they use")
    advice = "sysctl vm.overcommit_memory=0"
    return _warning("memory", "vm.overcommit_memory is 2: go and node reserve far more than they use, and fail", advice)


def _listeners(addresses: Iterable[str], bus: Bus | None) -> Iterator[Finding]:
    if bus is not None and any(unit.active == "active" for unit in bus.list_units([name.PROXY_SOCKET])):
        yield _ok("router", f"{name.PROXY_SOCKET} listens on {', '.join(addresses)}")
        return
    ports = {int(address.rpartition(":")[2]) for address in addresses if not address.startswith("/")}
    busy = sorted(ports & listening_ports())
    if busy:
        message = f"another program listens on port {', '.join(map(str, busy))}"
        yield _problem("router", message, "stop it ('ss -ltnp' names it), or change `listen` in tqunits.yaml")
    else:
        yield _ok("router", f"nothing else listens on {', '.join(addresses)}")


def unreachable(error: TqunitsError) -> Finding:
    """The finding that there is no service manager to ask."""
    return _problem("systemd", error.message, error.hint or "")


def misconfigured(count: int) -> Finding:
    """The finding that the YAML has errors."""
    return _problem("configuration", f"{count} error{'s' if count != 1 else ''} in the YAML", "see 'tqunits check'")


def _ok(check: str, message: str) -> Finding:
    return Finding(check=check, level=Level.OK, message=message)


def _warning(check: str, message: str, advice: str) -> Finding:
    return Finding(check=check, level=Level.WARNING, message=message, advice=advice)


def _problem(check: str, message: str, advice: str = "") -> Finding:
    return Finding(check=check, level=Level.PROBLEM, message=message, advice=advice)
