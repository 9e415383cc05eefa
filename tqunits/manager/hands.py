"""What a deploy acts with, and what it sees of a worker's instances.

The registry says which ones are installed and run; the file `serving` of each says which release it
runs. systemd's link says in which run it is, at once: the registry hears of a new run only after
the job that began it has ended. A worker of static files alone has no instance, and only the
routes tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from tqunits.errors import TqunitsError
from tqunits.host.installed import served
from tqunits.host.running_release import running_release
from tqunits.layout import Layout
from tqunits.lifecycle.state import State
from tqunits.light_dataclass import dataclass
from tqunits.manager.harvests import Harvests
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.record import InstanceRecord
from tqunits.manager.registry import Registry
from tqunits.manager.router_status import Routers
from tqunits.model import Instance
from tqunits.routing.codec.document import Served
from tqunits.system import invocations
from tqunits.system.bus import Bus
from tqunits.units import name
from tqunits.units.folder_note import FolderUse


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a roll acts with."""

    bus: Bus
    layout: Layout
    registry: Registry
    readiness: ReadinessFile
    routers: Routers
    harvests: Harvests
    is_host_ending: Callable[[], bool]

    def replicas(self, worker: str) -> tuple[InstanceRecord, ...]:
        """The worker's instances, but its surge."""
        return tuple(each for each in self._all(worker) if not each.place.is_surge)

    def is_installed(self, worker: str) -> bool:
        """Whether it has replicas, or files that the routers serve."""
        return bool(self.numbers(worker))

    def files_alone(self, worker: str) -> Served | None:
        """What the routers serve of a worker that is installed without a program; None: there is no
        such worker, or the routes can not be read: no router reads them either."""
        if self.replicas(worker):
            return None
        try:
            return next((each for each in served(self.layout) if each.name == worker), None)
        except (OSError, TqunitsError):
            return None

    def folder_use(self, worker: str) -> FolderUse | None:
        """How a worker is deployed that runs from its folder, in development mode; None: it does
        not, or it has no program."""
        return next((each.place.folder_use for each in self.replicas(worker)), None)

    def numbers(self, worker: str) -> tuple[int, ...]:
        """The numbers of its links to releases but the surge's; none: it is not installed."""
        replicas = self.replicas(worker)
        return tuple(each.place.whose.number for each in replicas) or ((1,) if self.files_alone(worker) else ())

    def surge(self, worker: str) -> InstanceRecord | None:
        """The instance that runs only while the others are replaced."""
        return next((each for each in self._all(worker) if each.place.is_surge), None)

    def running(self, worker: str) -> tuple[InstanceRecord, ...]:
        """Its replicas that run, or are to run: one that has failed too often is not to rest."""
        return tuple(filter(self._is_to_run, self.replicas(worker)))

    def is_to_run(self, whose: Instance) -> bool:
        """Whether it is installed, and nobody has stopped it, or is about to."""
        record = self.registry.records.get(whose)
        return record is not None and self._is_to_run(record)

    def lacking(self, worker: str, release: str) -> tuple[Instance, ...]:
        """Those of them that do not serve with this release."""
        return tuple(each.place.whose for each in self.running(worker) if not self.has(each.place.whose, release))

    def has(self, whose: Instance, release: str) -> bool:
        """Whether an instance serves with this release."""
        return running_release(whose, self.layout.runtime) == release

    def invocation(self, whose: Instance) -> str:
        """The run that an instance is in, or, while it does not run, its last one: 32 hex digits.
        "" where nothing is known of one."""
        record = self.registry.records.get(whose)
        return invocations.exported(name.service(whose)) or (record.seen.invocation if record is not None else "")

    def runs(self, worker: str) -> tuple[str, ...]:
        """The same of the worker's instances that run, or are to run, and of its surge while it
        does."""
        whose = (each.place.whose for each in self._all(worker) if each.state is not State.STOPPED)
        return tuple(filter(None, map(self.invocation, whose)))

    async def stay_while_host_ends(self) -> None:
        """After a failure: return, unless the host goes down. Then it is no failure, and the next
        manager goes on; this one is stopped in a moment, which cancels whoever waits here."""
        if self.is_host_ending():
            await asyncio.Event().wait()

    def _is_to_run(self, record: InstanceRecord) -> bool:
        """A restart ends a run in the same way as a stop, which may take `timeouts.drain`: only the
        job tells which it is. A restart in the place of somebody's stop would undo it."""
        if record.state is not State.STOPPING:
            return record.state is not State.STOPPED
        try:
            units = self.bus.list_units([record.place.unit])
        except TqunitsError:
            return True  # nothing can be asked for then, and whoever tries says why
        return all(unit.job != "stop" for unit in units)

    def _all(self, worker: str) -> Iterable[InstanceRecord]:
        return (record for whose, record in self.registry.records.items() if whose.worker == worker)
