"""What is known of workers by name, installed or not, for `why` and `show`: facts that lifecycle/
judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tqunits.cli.context import Context
from tqunits.errors import NoSuchWorker
from tqunits.host import evidence, lacking, left_out, run_time_health
from tqunits.host.installed import Installed, nearest, served, serving, slots
from tqunits.host.left_out import LeftOut
from tqunits.host.sources import Loaded, load
from tqunits.host.status import InstanceStatus, statuses
from tqunits.lifecycle.facts import Facts
from tqunits.lifecycle.state import NoInstance
from tqunits.light_dataclass import dataclass
from tqunits.model import Worker, WorkerType
from tqunits.routing.codec.document import Served
from tqunits.system import published
from tqunits.system.bus import Bus
from tqunits.units import name


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorkers:
    """All workers that are configured, installed or served, by name, and the workers that the last
    install left out."""

    loaded: Loaded
    installed: Mapping[str, Installed]
    served: Mapping[str, Served]
    left_out: Mapping[str, LeftOut]

    def configured(self, wanted: str) -> Worker | None:
        """The configured worker of this name or instance; None: it is not configured, or has an
        error."""
        workers = self.loaded.configuration.workers if self.loaded.configuration else ()
        return next((worker for worker in workers if worker.name == worker_named(wanted)), None)

    def meant(self, text: str) -> tuple[str, ...]:
        """A worker's name means all its replicas, a unit the one that it runs; as the others of
        these have them."""
        whose = name.instance_of(text)
        replicas = ((each, worker) for each, worker in self.installed.items() if not worker.ledger.is_surge)
        found = () if whose else tuple(each for each, worker in replicas if worker.worker == text)
        return found or (name.named(text),)

    def require(self, names: Sequence[str]) -> None:
        """Raises NoSuchWorker for a name that is unknown."""
        known = {*self.installed, *self.served, *self.loaded.workers}
        for wanted in names:
            if wanted not in known:
                raise NoSuchWorker(f"no worker is called {wanted!r}", hint=nearest(wanted, known))


def worker_named(text: str) -> str:
    """The worker of a name or of an instance's name (`api:2`)."""
    whose = name.instance(text)
    return whose.worker if whose else text


def known(context: Context) -> KnownWorkers:
    """Read the configuration, the drop-ins and the routes."""
    return KnownWorkers(
        loaded=load(context.root, context.layout, trust=context.trust),
        installed={worker.name: worker for worker in slots(context.layout)},
        served={worker.name: worker for worker in served(context.layout)},
        left_out=left_out.read(context.layout).workers,
    )


def facts_of(
    names: Sequence[str], of: KnownWorkers, context: Context
) -> tuple[tuple[Facts, InstanceStatus | None], ...]:
    """The facts about each, in this order, and the status of the installed ones, from systemd."""
    here = [of.installed[each] for each in names if each in of.installed]
    if not here:
        return tuple((_of_files(each, of), None) for each in names)
    with Bus(user_mode=context.user_mode) as bus:
        seen = statuses(bus, (worker.unit for worker in here), serving(here, context.layout), context.layout.runtime)
        health = run_time_health.ask(context.layout)
        found = {unit: health.of(unit, status) for unit, status in seen.items()}
        return tuple(
            _of_unit(of.installed[each], found[of.installed[each].unit], bus, of, context)
            if each in of.installed
            else (_of_files(each, of), None)
            for each in names
        )


def _of_unit(
    worker: Installed, status: InstanceStatus, bus: Bus, of: KnownWorkers, context: Context
) -> tuple[Facts, InstanceStatus]:
    facts = evidence.of_now(evidence.subject_of(worker, context.layout, user_mode=context.user_mode), bus, status)
    return _with_file(facts, of), status


def _of_files(wanted: str, of: KnownWorkers) -> Facts:
    """The facts about a worker without a unit: static files, or not installed."""
    files = of.served.get(wanted)
    if files is None:
        return _with_file(Facts(name=wanted, state=left_out.instead(of.left_out.get(worker_named(wanted)))), of)
    unserved = published.unserved_now(files.directory, files.release) or ""
    return _with_file(Facts(name=wanted, state=NoInstance.STATIC, unserved=unserved), of)


def _with_file(facts: Facts, of: KnownWorkers) -> Facts:
    """The facts with those of its worker.yaml and of the last install."""
    known_as = worker_named(facts.name)
    errors = of.loaded.errors_of([known_as]) if known_as in of.loaded.workers else ()
    error = errors[0] if errors else None
    left = of.left_out.get(known_as)
    worker = of.configured(known_as)
    lack = lacking.lacking(worker) if worker is not None and worker.type is not WorkerType.STATIC else None
    return replace(
        facts,
        source=facts.source or str(of.loaded.workers.get(known_as, "")),
        finding=f"{error.mark}: {error.message}" if error is not None else "",
        finding_hint=(error.hint or "") if error is not None else "",
        left_out=left.reason if left is not None else "",
        left_out_hint=left.hint if left is not None else "",
        unbuilt=lack.reason if lack is not None else "",
    )
