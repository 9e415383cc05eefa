"""Finds workers and routers that run while somebody has removed their files from the runtime
folders, and repairs them.

Only units that systemd reports as active are touched. So no instance is served that has not passed
its health check, and no unit is started that was stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tqunits.host import handover
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
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
    """An instance to which routers send requests. `socket` is the file that it listens on; None: it
    listens on a port."""

    instance: Instance
    socket: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailing:
    """A unit that runs, but has lost a file or a folder of its own."""

    unit: str
    cure: Cure
    serving: PurePosixPath | None = None  # for workers only
    invocation: str = ""


def ailing(bus: Bus, layout: Layout, workers: Sequence[Sought]) -> tuple[Ailing, ...]:
    """The workers and the processes of the router that run and have lost files."""
    units = bus.list_units([_WORKERS, _ROUTERS])
    up = [unit.name for unit in units if unit.active == "active"]
    sought = {name.service(worker.instance): worker for worker in workers}
    found = (_worker(bus, layout, unit, sought[unit]) for unit in up if unit in sought)
    routers = (unit for unit in up if name.is_proxy(unit) and _is_lost(bus, layout, unit))
    lost = (Ailing(unit=unit, cure=Cure.RESTART) for unit in routers)
    return (*(one for one in found if one is not None), *lost)


def repaired(bus: Bus, found: Sequence[Ailing]) -> Iterator[tuple[Ailing, bool]]:
    """Repair each of them; yields each one when it is done, and whether it is served again.

    The quick repairs come first. A worker that stops asks the routers whether it is drained, but a
    router that stops waits for the requests that it holds for that worker. So the restart of a
    router gets a short time first; if it is not over then, it is finished after the workers.
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
    """Make the worker's file `serving`; returns whether the file is there now. An instance that has
    ended meanwhile, or was started again, makes its own file."""
    assert one.serving is not None, "workers have one"
    handover.admit(one.serving)
    is_same = bus.invocation(one.unit) == one.invocation and _state(bus, one.unit) == "active"
    if not is_same:
        handover.dismiss(one.serving)
    return is_same and os.path.lexists(one.serving)


def _restart(bus: Bus, one: Ailing, patience_us: int = INFINITY) -> bool:
    """Restart the unit and its socket; returns whether the unit runs again. systemd still has the
    old socket open when somebody has removed its file, so the socket is stopped as well."""
    (stopped,) = Jobs(bus).stop([one.unit], timeout_us=patience_us)
    if stopped.result != "done":
        return False
    socket = name.socket_of(one.unit)
    if socket is not None:
        Jobs(bus).stop([socket], timeout_us=INFINITY)  # done at once where there is no such unit
    (started,) = Jobs(bus).start([one.unit], timeout_us=INFINITY)
    return started.result == "done"


def _worker(bus: Bus, layout: Layout, unit: str, worker: Sought) -> Ailing | None:
    """What is wrong with a worker; None when nothing is. Only where files are missing is systemd
    asked once more."""
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
    """Whether a router runs without its sockets. A router that has ended since it was listed also
    lacks them for a moment."""
    if _has_sockets(layout, router) or _has_job(bus, router) or _state(bus, router) != "active":
        return False
    return not _has_sockets(layout, router)


def _has_sockets(layout: Layout, router: str) -> bool:
    process = name.process_of(router)
    return all(map(os.path.lexists, (layout.leave_socket(process), layout.control_socket(process))))


def _is_its_own(folder: Path, mount: Path) -> bool:
    """Whether the worker's folder is there; if the worker has a mount unit, whether the folder is
    mounted."""
    return folder.is_dir() and (not mount.exists() or folder.is_mount())


def _state(bus: Bus, unit: str) -> str:
    return str(bus.property_of(unit, "Unit", "ActiveState", "s"))


def _has_job(bus: Bus, unit: str) -> bool:
    return integer(rows(bus.property_of(unit, "Unit", "Job", "(uo)"))[0]) != 0
