"""Gathers what install, apply and diff know before the first change: the configuration, the state
of the host, and what is refused. Nothing is changed here.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from tqunits.config import ineffective
from tqunits.errors import Diagnostic, NoSuchWorker, NotPermitted, Severity, TqunitsError
from tqunits.host import binding, observe, this_host, unchanged, vanishing, writable
from tqunits.host.installed import nearest
from tqunits.host.judged import judge
from tqunits.host.lacking import Lacking
from tqunits.host.leftovers import remnants
from tqunits.host.lost_drop_ins import put_back_later
from tqunits.host.observed_files import observe_files
from tqunits.host.premises import Premises
from tqunits.host.rebuild import NOTHING_BUILT, Outcome
from tqunits.host.refits import Refits, refits
from tqunits.host.requested import Requested
from tqunits.host.routes import routes_snapshot
from tqunits.host.sources import Edit, Loaded, load
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import (
    MANAGER_USER,
    Configuration,
    Host,
    Instance,
    Server,
    Worker,
    WorkerType,
    account_of,
    build_account_of,
)
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import accounts, addresses, ledger, name, secret_watch, turnover, upkeep, watch_scope
from tqunits.units.kept import kept_instances
from tqunits.units.ledger import LedgerEntry
from tqunits.units.observed import Observed, ObservedFile
from tqunits.units.refusal import Refusal
from tqunits.units.rendering import RenderedFile, refusals, render, sockets_of
from tqunits.units.steps import Desired, Plan, Step, WriteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The choices of the command line."""

    names: tuple[str, ...] = ()  # only these workers; empty: all
    prune: bool = False
    remove_all: bool = False  # prune, whatever speaks against it
    unattended: bool = False  # nobody looks on
    unchanged: bool = False  # only what is installed, from the YAML that still lies there; no build
    waits: bool = False  # for another tqunits that is at work
    restored: tuple[Instance, ...] = ()  # whose unit has come back just now


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything that is known before the first change."""

    configuration: Configuration
    present: Configuration  # without the workers that are left alone
    target: Host
    desired: Desired
    observed: Observed
    skipped: tuple[Lacking, ...]
    refused: tuple[Refusal, ...]
    broken: Mapping[str, tuple[Diagnostic, ...]]  # for each chosen worker with errors: its errors
    warnings: tuple[Diagnostic, ...]  # of tqunits.yaml and the chosen workers
    lost: tuple[str, ...]  # what units of earlier releases can not keep, in words
    put_back: tuple[WriteFile, ...]  # drop-ins that are lost, and are there again before anything else is done
    others: frozenset[str]  # workers that are not meant
    edited: tuple[str, ...] = ()  # of them, those that are configured otherwise than they are installed

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers for which this host will have units."""
        return tuple(w for w in self.present.workers if _has_unit(w))

    @property
    def excluded(self) -> tuple[str, ...]:
        """The chosen workers that stay as they are installed, because of an error or of what they
        ask for."""
        return tuple(dict.fromkeys((*self.broken, *(refusal.worker for refusal in self.refused))))

    @property
    def objections(self) -> tuple[Diagnostic, ...]:
        """The errors of these workers."""
        errors = (error for errors in self.broken.values() for error in errors)
        return (*errors, *(refusal.diagnostic() for refusal in self.refused))

    @property
    def files_alone(self) -> tuple[LedgerEntry, ...]:
        """The workers that consist of static files only, and are installed as they are
        configured."""
        return tuple(
            LedgerEntry(
                worker=w.name,
                source=str(w.source),
                source_hash=w.source_hash,
                watch=watch_scope.note_of(w, self.present.server.mode, self.target),
            )
            for w in self.present.workers
            if not _has_unit(w)
        )

    @property
    def is_whole(self) -> bool:
        """Whether every chosen worker will be installed as it is configured."""
        return not (self.skipped or self.refused or self.broken or self.lost)


def prepare(
    loaded: Loaded, premises: Premises, bus: Bus | None, choice: Choice, built: Outcome = NOTHING_BUILT
) -> Prepared:
    """Look at the host and render the configuration. Changes nothing. `built`: the outcome of
    builds, if they were run.

    Raises ConfigurationError for errors in tqunits.yaml, and NoSuchWorker. An error of a worker
    concerns that worker only: it stays as it is installed.
    """
    configuration = loaded.configured()
    put_back = put_back_later(premises.layout)
    before = {**observe_files(premises.layout), **put_back}
    sources = vanishing.installed_from(before, premises.layout)
    if choice.unattended:
        vanishing.refuse_emptied(configuration, before, premises.layout)
    if not choice.remove_all:
        vanishing.refuse_doubtful(configuration, sources, prune=choice.prune)
    held = {} if choice.remove_all else vanishing.held(configuration, sources)
    configuration = replace(configuration, broken=(*configuration.broken, *held))
    found = unchanged.look(configuration, before, premises.layout) if choice.unchanged else None
    others = _others(configuration, choice) if found is None else configuration.names - found.same
    host = this_host.current(premises.layout, user_mode=premises.user_mode)
    requested = Requested(configuration, premises.layout, before, user_mode=premises.user_mode)
    out = others | {lack.worker for lack in built.skipped}
    judged = judge(
        configuration,
        premises.layout,
        before,
        of_files=(*refusals(configuration, host, requested.copies), *requested.refusals),
        left_alone=out,
        prune=choice.prune,
    )
    present = judged.present
    sockets = sockets_of(configuration.server, premises.layout, addresses.installed(before))
    templates, installed = files.read_templates(premises.layout), kept_instances(before)
    staying = installed.keys() & configuration.names if choice.prune else installed.keys()
    secrets = _staying_secrets(before, premises.layout, staying - {worker.name for worker in present.workers})
    rendered = render(present, host, judged.ports, templates, requested.copies, sockets, installed, secrets)
    routes = RenderedFile(
        path=premises.layout.routes, content=routes_snapshot(present, host, judged.ports), mode=0o644, unit=None
    )
    own = () if premises.user_mode else (MANAGER_USER, *_own_accounts(present))
    observed = observe.observe(premises.layout, bus, (file.path for file in rendered), own)
    observed = replace(observed, files={**observed.files, **put_back}, remnants=remnants(premises.layout))
    refitted = refits(observed.files, {file.path for file in rendered}, host, requested)
    broken = (worker for worker in configuration.broken if worker not in others)
    chosen = configuration.names - others
    desired = _desired(configuration, present, (rendered, requested.files(present)), routes, refitted, observed)
    if choice.unchanged:
        desired = unchanged.as_enabled(desired, choice.restored, observed, premises.layout)
    running = () if choice.unchanged else present.running()
    given = tuple(each for worker in running for each in writable.due(worker, user_mode=premises.user_mode))
    return Prepared(
        configuration=configuration,
        present=present,
        target=host,
        desired=replace(desired, builds=built.built, given=given),
        observed=observed,
        skipped=built.skipped,
        refused=judged.refusals,
        broken={b: (held[b],) if b in held else loaded.errors_of([b]) for b in broken},
        warnings=(*loaded.warnings_of(chosen), *ineffective.warnings(configuration, chosen)),
        lost=refitted.lost,
        put_back=tuple(_writes(put_back)),
        others=others,
        edited=() if found is None else found.edited,
    )


def _staying_secrets(
    before: Mapping[PurePosixPath, ObservedFile], layout: Layout, workers: Collection[str]
) -> secret_watch.Watched:
    """The files that are watched for these workers, which stay as they are installed."""
    unit = before.get(layout.units / name.SECRET_UNITS[0])
    return {} if unit is None else secret_watch.staying(unit.content, workers)


def _writes(files: Mapping[PurePosixPath, ObservedFile]) -> Iterator[WriteFile]:
    for path, file in files.items():
        yield WriteFile(file=RenderedFile(path=path, content=file.content, mode=0o644, unit=None), before=None)


def configured(premises: Premises, edit: Edit | None = None) -> Loaded:
    """Read the configuration, with `edit` as it would be. For root, raises NotPermitted when
    another user may change the files that decide about all workers."""
    loaded = load(premises.root, premises.layout, trust=premises.trust, edit=edit)
    if loaded.not_roots is not None and not premises.user_mode and os.geteuid() == 0:
        hint = "give it to root (chown root:, chmod go-w)"
        if premises.root is not None:
            hint += f", or take it as it is, for this run: tqunits -C {premises.root} --trust ..."
        raise NotPermitted(f"not root's, so no order to root: {loaded.not_roots}", hint=hint)
    return loaded


def _others(configuration: Configuration, choice: Choice) -> frozenset[str]:
    """The workers that were not chosen."""
    for worker in choice.names:
        if worker not in configuration.names:
            hint = nearest(worker, sorted(configuration.names))
            raise NoSuchWorker(f"no configured worker is called {worker!r}", hint=hint)
    return configuration.names - set(choice.names) if choice.names else frozenset()


def with_ledger(plan: Plan, prepared: Prepared) -> Plan:
    """The plan with the step that writes the ledger: after the files that the ledger is about, and
    before any file is removed.

    The ledger is written even unchanged if a drop-in is rewritten (because somebody has edited it):
    a process that was started earlier does not have that drop-in's settings
    (host/lost_drop_ins.py).
    """
    path, observed = prepared.target.layout.ledger, prepared.observed
    text = ledger.of_installation(prepared.desired, observed, plan, prepared.files_alone)
    before = observed.files[path].content if path in observed.files else None
    if text == before and not any(map(_is_newer_drop_in, plan.steps)):
        return plan
    file = RenderedFile(path=path, content=text, mode=ledger.MODE, unit=None)
    first = upkeep.after_first_files(plan.steps)
    return replace(plan, steps=(*plan.steps[:first], WriteFile(file=file, before=before), *plan.steps[first:]))


def _is_newer_drop_in(step: Step) -> bool:
    return isinstance(step, WriteFile) and step.file.path.name == name.DROP_IN and not step.keep_time


def refuse_foreign(plan: Plan) -> None:
    """Raise TqunitsError when files that are not ours stand in the way."""
    if plan.foreign:
        paths = ", ".join(str(path) for path in plan.foreign)
        raise TqunitsError(
            f"not written by tqunits, so not overwritten: {paths}",
            hint="move them away, or overwrite them with --replace",
        )


def obstacles(prepared: Prepared, *, is_asked: bool = True) -> tuple[Diagnostic, ...]:
    """What is in the way of addresses that the router has not open yet; an error where the address
    can not be had now.

    `is_asked`: systemd was asked which sockets are open. Otherwise installed sockets count as open.
    """
    server, observed = prepared.configuration.server, prepared.observed
    places = addresses.installed(observed.files)
    states = {unit: observed.units[unit].state for unit in places if unit in observed.units}
    held = {unit: found for unit, found in places.items() if not is_asked or states.get(unit) == "active"}
    ours = addresses.all_of(held)
    new = (address for address in server.listen if addresses.canonical(address) not in ours)
    found = (binding.obstacle(address, ours, user_mode=prepared.target.user_mode) for address in new)
    return tuple(_in_the_way(one, server) for one in found if one is not None)


def _in_the_way(one: binding.Obstacle, server: Server) -> Diagnostic:
    origin = server.origins["listen"]
    mark = next((mark for text, mark in origin.items if text == one.address), origin.mark)
    severity = Severity.ERROR if one.is_now else Severity.WARNING
    return Diagnostic(severity=severity, message=f"listen: {one.address} {one.message}", mark=mark, hint=one.hint)


def _desired(
    configuration: Configuration,
    present: Configuration,
    written: tuple[tuple[RenderedFile, ...], tuple[RenderedFile, ...]],
    routes: RenderedFile,
    refitted: Refits,
    observed: Observed,
) -> Desired:
    rendered, copies = written
    running = [name.service(whose) for worker in present.running() for whose in worker.instances]
    proxies = [name.proxy(number) for number in range(1, configuration.server.proxy.processes + 1)]
    known = {*observed.units, *observed.file_states}
    surplus = {unit for unit in known if name.is_proxy(unit)} - set(proxies)
    slots = [whose for worker in present.workers for whose in worker.slots]
    surges = frozenset(name.service(worker.surge) for worker in present.workers if worker.surge)
    idle = {name.service(whose) for whose in slots} - set(running) - surges
    optional = {*map(name.socket, slots), *name.CERTIFICATE_UNITS, *name.SECRET_UNITS}
    sockets = sorted(turnover.sockets(rendered), key=name.PROXY_SOCKET.__ne__)  # it first, the others by name
    optional |= {unit for unit in (*known, *(p.name for p in observed.files)) if name.is_proxy_socket(unit)}
    surplus |= (optional & {*known, *(p.name for p in observed.files)}) - {file.unit for file in rendered}
    watch = name.CERTIFICATE_UNITS[:1] if configuration.server.tls.certificate else ()
    secrets = [file.unit for file in rendered if file.unit == name.SECRET_UNITS[0]]
    return Desired(
        units=rendered,
        copies=(*copies, *refitted.copies),
        refits=refitted.drop_ins,
        routes=routes,
        workers=frozenset((*(w.name for w in configuration.workers if _has_unit(w)), *configuration.broken)),
        left_alone=configuration.names - {worker.name for worker in present.workers},
        files_alone=frozenset(w.name for w in configuration.workers if not _has_unit(w)),
        enabled=(
            *running,
            *sockets,
            *watch,
            *secrets,
            name.REPAIR_UNITS[0],
            *proxies,
            *name.MANAGER_UNITS,
            name.TARGET,
        ),
        disabled=tuple(sorted(surplus | idle)),
        surges=surges,
    )


def _own_accounts(configuration: Configuration) -> tuple[str, ...]:
    """The accounts that must exist and that we make."""
    workers = [w for w in configuration.workers if _has_unit(w)]
    builds = (build_account_of(w.name) for w in workers if w.build.command)
    return (*(account_of(w.name) for w in workers if accounts.needs_own(w)), *builds)


def _has_unit(worker: Worker) -> bool:
    return worker.type is not WorkerType.STATIC
