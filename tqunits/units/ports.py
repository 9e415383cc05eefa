"""Which worker gets which port. A port is kept for the worker's life.

A new port would break whatever an administrator has configured for the old one (a firewall rule, a
monitor), and would need a restart of an unchanged worker. And a worker that gets another worker's
port gets its requests. So the installed drop-ins are the record: their ports are kept, whatever
happens to the range and to other workers. Only a worker without a port gets a new one: the lowest
free port. The port of a surge (surges.py) is kept only while nobody else needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain

from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, Instance, Listen, Server, Worker, WorkerType
from tqunits.units.refusal import Refusal, place, refusal


@dataclass(frozen=True, slots=True)
class Assigned:
    """Instance -> port, for every worker that listens on TCP; and why some workers get none."""

    ports: Mapping[Instance, int]
    refusals: tuple[Refusal, ...] = ()


def assign_ports(
    configuration: Configuration,
    kept: Mapping[Instance, int],
    *,
    busy: Collection[int] = frozenset(),
    without: Collection[str] = frozenset(),
    surges: Collection[Instance] = frozenset(),
) -> Assigned:
    """Give each replica of each worker its port. A pinned port is the first one's.

    `kept`: the ports of the installed instances, also of workers that are not configured any more.
    Those stay reserved until they are removed, because a worker that is removed in this run stops
    only after the new workers have been started. `busy`: ports on which other programs of the host
    listen now; nobody gets them anew, nor that of the manager's metrics. `without`: workers that
    stay as they are installed. `surges`: those of the installed instances that are surges.
    """
    with_port = (w for w in configuration.workers if w.listen is Listen.TCP and w.type is not WorkerType.STATIC)
    workers = [worker for worker in with_port if worker.name not in without]
    names = {worker.name for worker in workers}
    lent = {whose: kept[whose] for whose in surges if whose in kept and whose.worker in names}
    firm = {whose: port for whose, port in kept.items() if whose not in lent}
    refused = tuple(_of_pinned([w for w in workers if w.port is not None], firm, configuration))
    out = {each.worker for each in refused}
    pinned = {Instance(w.name): w.port for w in workers if w.port is not None and w.name not in out}
    assigned = [(w, whose) for w in workers for whose in w.instances if w.port is None or whose.number > 1]
    firm |= {whose: port for whose, port in lent.items() if port not in pinned.values()}  # it may be a replica now
    known = ((whose, firm.get(whose)) for w, whose in assigned if w.name not in out and firm.get(whose) != w.port)
    ports = pinned | {whose: port for whose, port in known if port is not None}
    low, high = configuration.server.workers.port_range
    spare = {port for whose, port in lent.items() if whose.worker not in out and low <= port <= high}
    last = spare - {*ports.values(), *busy}
    free = chain(free_ports(configuration.server, {*ports.values(), *kept.values(), *busy}), sorted(last))
    lacking: dict[str, Worker] = {}
    for worker, whose in sorted(assigned, key=lambda each: (each[0].not_roots is not None, each[1])):  # root's first
        if whose not in ports and worker.name not in out:
            port = next(free, None)
            if port is None:
                lacking[worker.name] = worker
            else:
                ports[whose] = port
    given = {whose: ports[whose] for worker in workers for whose in worker.instances if whose in ports}
    return Assigned(given, (*refused, *(_exhausted(configuration, worker) for worker in lacking.values())))


def free_ports(server: Server, reserved: Collection[int], *, downwards: bool = False) -> Iterator[int]:
    """The ports of the range that are neither reserved nor that of the manager's metrics: from the
    lowest to the highest, or `downwards`."""
    low, high = server.workers.port_range
    span = range(low, high + 1)
    ordered = reversed(span) if downwards else span
    return (port for port in ordered if port not in reserved and port != server.manager.port)


def _of_pinned(
    pinned: Iterable[Worker], kept: Mapping[Instance, int], configuration: Configuration
) -> Iterator[Refusal]:
    claims: dict[int, list[Worker]] = {}
    for worker in pinned:
        claims.setdefault(worker.port or 0, []).append(worker)
    holders: dict[int, set[str]] = {}
    for whose, port in kept.items():
        holders.setdefault(port, set()).add(whose.worker)
    configured = {worker.name: worker for worker in configuration.workers}
    known = configuration.names
    for port, claimants in sorted(claims.items()):
        its = holders.get(port, set())
        for worker in claimants:
            reason = _taken(worker, its, configured, known) or _contested(worker, claimants, its)
            if reason is not None:
                yield refusal(worker, f"port: {port} {reason[0]}", reason[1], "port")


def _taken(
    worker: Worker, holders: Collection[str], configured: Mapping[str, Worker], known: Collection[str]
) -> tuple[str, str] | None:
    """The port is another installed worker's. `known`: the names of all workers, also of those with
    errors."""
    for name in sorted(holders):
        holder = configured.get(name)
        if name != worker.name and (holder is None or holder.modes & worker.modes):
            removal = "" if name in known else f"; or remove that worker: tqunits uninstall {name}"
            return f"is the port of worker '{name}', which is installed", f"write another, or none{removal}"
    return None


def _contested(worker: Worker, claimants: Iterable[Worker], holders: Collection[str]) -> tuple[str, str] | None:
    """Several new workers pin the same port: root's gets it; if they are equal, none does."""
    for other in claimants:
        loses = other.name in holders or (other.not_roots is None) >= (worker.not_roots is None)
        if other is not worker and worker.name not in holders and loses and other.modes & worker.modes:
            return f"is the port of worker '{other.name}' too", f"it is in {place(other, 'port')}"
    return None


def _exhausted(configuration: Configuration, worker: Worker) -> Refusal:
    low, high = configuration.server.workers.port_range
    message = f"no port is left in {low}-{high}"
    hint = "widen workers.port_range in tqunits.yaml, or remove workers that are gone with 'tqunits apply'"
    return refusal(worker, message, hint, "port")
