"""Which workers this host refuses, and which ports the others get. Used by install, diff, render
and check.

The order matters, because each question needs the answers before it: what a worker may ask for
(units/grants.py), which files stand in its way, whether its account exists and is its own
(units/accounts.py), which worker gets a route (units/contests.py) and a port (units/ports.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from tqunits.host import writable
from tqunits.host.configuration_files import CONFIGURATION
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, Instance, Worker
from tqunits.routing.codec.document import installed_routes
from tqunits.system import aliases, files, folders, users
from tqunits.system.listeners import listening_ports
from tqunits.units import circles, contests, dependencies, grants, unitfile
from tqunits.units.contests import InstalledRoutes
from tqunits.units.kept import kept_ports, kept_surges
from tqunits.units.observed import ObservedFile
from tqunits.units.ports import Assigned, assign_ports
from tqunits.units.refusal import Refusal, refusal
from tqunits.units.surges import Surges, with_surges

Files = Mapping[PurePosixPath, ObservedFile]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The outcome. `present` is the configuration without the workers that are left alone."""

    present: Configuration
    ports: Mapping[Instance, int]
    refusals: tuple[Refusal, ...]
    ungranted: frozenset[str]  # workers that ask for something without a grant


def judge(
    configuration: Configuration,
    layout: Layout,
    before: Files,
    *,
    of_files: Iterable[Refusal] = (),
    left_alone: Collection[str] = frozenset(),
    prune: bool = False,
) -> Judged:
    """Judge every worker, except those in `left_alone`.

    `before`: the files on the host. `of_files`: what is wrong with the files that workers name, and
    what no unit can express.
    """
    out = {*left_alone, *configuration.broken}
    known = _installed(before, layout)
    refused = list(_of_requests(configuration, out, layout, known))
    refused += circles.refusals(_as_meant(_without(configuration, {*out, *_names(refused)}), configuration))
    ungranted = _names(refused)
    out |= ungranted
    refused += (each for each in of_files if each.worker not in out)
    out |= _names(refused)
    refused += users.refusals(_without(configuration, out), layout)
    out |= _names(refused)
    gone = frozenset() if prune else known.routes.keys() - configuration.names
    claimants = _as_meant(_without(configuration, out), configuration)
    refused += contests.refusals(claimants, known, left_alone=out, gone=gone)
    out |= _names(refused)
    busy = listening_ports()
    assigned = assigned_ports(configuration, before, busy, without=out)
    refused += assigned.refusals
    out |= _names(refused)
    present = replace(configuration, workers=_without(configuration, out))
    found = surging(present, assigned.ports, before, busy, layout)
    return Judged(present=found.configuration, ports=found.ports, refusals=tuple(refused), ungranted=ungranted)


def assigned_ports(
    configuration: Configuration, before: Files, busy: Collection[int], *, without: Collection[str] = frozenset()
) -> Assigned:
    """The ports that an install would assign to the replicas. `busy`: those on which programs
    listen now. `without`: workers that stay as they are."""
    meant = replace(configuration, workers=_as_meant(configuration.workers, configuration))
    return assign_ports(meant, kept_ports(before), busy=busy, without=without, surges=kept_surges(before))


def surging(
    present: Configuration, ports: Mapping[Instance, int], before: Files, busy: Collection[int], layout: Layout
) -> Surges:
    """The configuration with the surges that its workers would get now, and all ports. `ports`:
    those of the replicas. `busy`: those on which programs listen now."""
    if not layout.sysusers:  # with --user
        return Surges(present, ports)
    return with_surges(present, ports, kept_ports(before), busy=busy)


def _names(refused: Iterable[Refusal]) -> frozenset[str]:
    return frozenset(each.worker for each in refused)


def _of_requests(
    configuration: Configuration, out: Collection[str], layout: Layout, known: InstalledRoutes
) -> Iterator[Refusal]:
    """Refusals of what workers ask for. The user's own service manager runs everything as that
    user, so there are no grants."""
    file, owners = layout.configuration / CONFIGURATION, _owners(configuration, known)
    memory = files.physical_memory()
    for worker in _without(configuration, out) if layout.sysusers else ():
        names = _aliases(worker, configuration)
        yield from grants.refusals(worker, configuration.server, file, names, owners, memory)
        yield from dependencies.refusals(worker, names)
        yield from writable.refusals(worker)
        closed = folders.folder_refusal(worker)
        if closed is not None:
            yield refusal(worker, closed.reason, closed.hint)


def _owners(configuration: Configuration, known: InstalledRoutes) -> grants.Owners:
    """Route -> the workers that have it or have a right to it, on any host: a request for a path
    may come with any Host field."""
    owners: dict[str, set[str]] = {}
    for worker in configuration.workers:
        for route in grants.owned_routes(worker, configuration.server):
            owners.setdefault(route, set()).add(worker.name)
    for name, routes in known.routes.items():
        for _, route in routes:
            owners.setdefault(route, set()).add(name)
    return owners


def _aliases(worker: Worker, configuration: Configuration) -> Mapping[str, str]:
    """systemd's own names of the units that a worker names, and of those in its grant."""
    named = {unit for _, unit in dependencies.foreign_dependencies(worker)}
    granted = grants.grant_of(worker, configuration.server).depends if named else ()
    return aliases.canonical_names({*named, *granted})


def _as_meant(workers: Iterable[Worker], configuration: Configuration) -> tuple[Worker, ...]:
    """With --trust every worker counts as root's, whoever owns its files."""
    is_roots = configuration.server.trusted
    return tuple(replace(worker, not_roots=None) if is_roots else worker for worker in workers)


def _without(configuration: Configuration, names: Collection[str]) -> tuple[Worker, ...]:
    return tuple(worker for worker in configuration.workers if worker.name not in names)


def _installed(before: Files, layout: Layout) -> InstalledRoutes:
    """The routes that the routers have; if their file is lost, those in the drop-ins."""
    routes = dict(installed_routes(before[layout.routes].content)) if layout.routes in before else {}
    for file in before.values():
        ledger = unitfile.ledger(file.content)
        if ledger is not None and ledger.enabled:
            routes.setdefault(ledger.worker, contests.routes_of(ledger.hosts, ledger.routes))
    return InstalledRoutes(routes)
