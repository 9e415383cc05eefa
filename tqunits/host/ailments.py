"""What somebody has removed from the runtime folders while workers and routers run, and how it
comes back.

Only what systemd says to be up is touched, so nothing is served that has not passed its health
check, and nothing is started that was stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from tqunits.host import handover
from tqunits.layout import Layout
from tqunits.model import INFINITY, Instance
from tqunits.system.bus import Bus
from tqunits.system.dbus import integer, rows
from tqunits.system.jobs import Jobs
from tqunits.units import environment, name
from tqunits.units.cures import Cure, Patient, cure

_MOMENT_US = 5_000_000
_WORKERS = "tq-worker@*.service"
_ROUTERS = "tq-proxy@*.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """An instance that routers send requests; `socket`: the file that it listens on, None for a
    port."""

    instance: Instance
    socket: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailing:
    """A unit that runs and is not what it was."""

    unit: str
    cure: Cure
    serving: PurePosixPath | None = None  # a worker's
    invocation: str = ""


def ailing(bus: Bus, layout: Layout, workers: Sequence[Sought]) -> tuple[Ailing, ...]:
    """Those of the workers, and of the router's processes, that run and are not what they were."""
    units = bus.list_units([_WORKERS, _ROUTERS])
    up = [unit.name for unit in units if unit.active == "active"]
    sought = {name.service(worker.instance): worker for worker in workers}
    found = (_worker(bus, layout, unit, sought[unit]) for unit in up if unit in sought)
    routers = (unit for unit in up if name.is_proxy(unit) and _is_lost(bus, layout, unit))
    lost = (Ailing(unit=unit, cure=Cure.RESTART) for unit in routers)
    return (*(one for one in found if one is not None), *lost)


def repaired(bus: Bus, found: Sequence[Ailing]) -> Iterator[tuple[Ailing, bool]]:
    """Serve them again: gives each, and whether it is served, as it is done.

    What is quick comes first. A worker that stops asks the routers whether it is drained, but a
    router that stops waits for the requests that it holds for that worker. So a router gets a
    moment for its restart, and is waited for at the end.
    """
    for one in found:
        if one.cure is Cure.ADMIT:
            yield one, _admit(bus, one)
    restarts = [one for one in found if one.cure is Cure.RESTART]
    routers = [one for one in restarts if name.is_proxy(one.unit)]
    workers = [one for one in restarts if one not in routers]
    late = [one for one in routers if not _restart(bus, one, patience_us=_MOMENT_US if workers else INFINITY)]
    for one in routers:
        if one not in late:
            yield one, True
    for one in workers:
        yield one, _restart(bus, one)
    for one in late:
        yield one, _restart(bus, one)


def _admit(bus: Bus, one: Ailing) -> bool:
    """Make the worker's file; whether it is there now. What has ended or begun anew meanwhile makes
    its own."""
    assert one.serving is not None, "workers have one"
    handover.admit(one.serving)
    is_same = bus.invocation(one.unit) == one.invocation and _state(bus, one.unit) == "active"
    if not is_same:
        handover.dismiss(one.serving)
    return is_same and os.path.lexists(one.serving)


def _restart(bus: Bus, one: Ailing, patience_us: int = INFINITY) -> bool:
    """Whether the unit runs again, with its socket: where its file was removed, systemd has the old
    one open."""
    (stopped,) = Jobs(bus).stop([one.unit], timeout_us=patience_us)
    if stopped.result != "done":
        return False
    socket = name.socket_of(one.unit)
    if socket is not None:
        Jobs(bus).stop([socket], timeout_us=INFINITY)  # which is done at once where there is none
    (started,) = Jobs(bus).start([one.unit], timeout_us=INFINITY)
    return started.result == "done"


def _worker(bus: Bus, layout: Layout, unit: str, worker: Sought) -> Ailing | None:
    """None: it is as it should be. systemd is asked once more of the others only."""
    serving = environment.serving_file(worker.instance, layout.runtime)
    found = Patient(
        state="active",
        has_job=False,
        folder=_is_its_own(Path(serving).parent, Path(layout.units) / name.mount(worker.instance)),
        serving=os.path.lexists(serving),
        leaving=os.path.lexists(environment.leaving_file(worker.instance, layout.runtime)),
        socket=worker.socket is None or os.path.lexists(worker.socket),
    )
    if cure(found) is Cure.NOTHING:
        return None
    invocation = bus.invocation(unit)
    needed = cure(replace(found, state=_state(bus, unit), has_job=_has_job(bus, unit)))
    if needed is Cure.NOTHING:
        return None
    return Ailing(unit=unit, cure=needed, serving=PurePosixPath(serving), invocation=invocation)


def _is_lost(bus: Bus, layout: Layout, router: str) -> bool:
    """It runs without its sockets. One that has ended since `router` was listed lacks them too, for
    a moment."""
    if _has_sockets(layout, router) or _has_job(bus, router) or _state(bus, router) != "active":
        return False
    return not _has_sockets(layout, router)


def _has_sockets(layout: Layout, router: str) -> bool:
    process = name.process_of(router)
    return all(map(os.path.lexists, (layout.leave_socket(process), layout.control_socket(process))))


def _is_its_own(folder: Path, mount: Path) -> bool:
    """Whether the worker's folder is there; as its mount, where it has one."""
    return folder.is_dir() and (not mount.exists() or folder.is_mount())


def _state(bus: Bus, unit: str) -> str:
    return str(bus.property_of(unit, "Unit", "ActiveState", "s"))


def _has_job(bus: Bus, unit: str) -> bool:
    return integer(rows(bus.property_of(unit, "Unit", "Job", "(uo)"))[0]) != 0
