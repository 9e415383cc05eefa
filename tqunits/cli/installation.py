"""What install, apply, uninstall and diff share: from the configuration to a plan, and from a plan to the host."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from tqunits.cli import selection, vanishing
from tqunits.cli.context import Context
from tqunits.cli.judged import judge
from tqunits.cli.refits import Refits, refits
from tqunits.cli.requested import Requested
from tqunits.config import ineffective
from tqunits.errors import Diagnostic, NoSuchWorker, NotPermitted, Severity, TqunitsError
from tqunits.host import binding, build, observe, target, writable
from tqunits.host.lacking import Lacking
from tqunits.host.ledger import put_back_later
from tqunits.host.observed_files import observe_files
from tqunits.host.routes import routes_snapshot
from tqunits.host.sources import Loaded, load
from tqunits.model import (
    MANAGER_USER,
    Configuration,
    Layout,
    Server,
    Target,
    Worker,
    WorkerType,
    account_of,
    build_account_of,
)
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import accounts, addresses, credentials, ledger, name, quote, turnover, unitfile
from tqunits.units.refusal import Refusal
from tqunits.units.render import RenderedFile, refusals, render, sockets_of
from tqunits.units.steps import Desired, Give, Observed, ObservedFile, Plan, Rehome, RemoveFile, Step, WriteFile
from tqunits.units.writable_folders import Given


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the command line chooses."""

    names: tuple[str, ...] = ()  # only these workers; empty: all
    prune: bool = False
    remove_all: bool = False  # prune, whatever speaks against it


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything that is known before the first change."""

    configuration: Configuration
    present: Configuration  # without the workers that are left alone
    target: Target
    desired: Desired
    observed: Observed
    skipped: tuple[Lacking, ...]
    refused: tuple[Refusal, ...]
    broken: Mapping[str, tuple[Diagnostic, ...]]  # of the chosen workers -> what is wrong
    warnings: tuple[Diagnostic, ...]  # of tqunits.yaml and the chosen workers
    lost: tuple[str, ...]  # what units of earlier releases can not keep, in words
    put_back: tuple[WriteFile, ...]  # drop-ins that are lost, and are there again before anything else is done

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers that this host will have units for."""
        return tuple(w for w in self.present.workers if _has_unit(w))

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the broken ones."""
        return tuple(error for errors in self.broken.values() for error in errors)

    @property
    def sources_of_files(self) -> Mapping[str, str]:
        """The worker.yaml of each worker that is files alone."""
        return {w.name: str(w.source) for w in self.configuration.workers if not _has_unit(w)}

    @property
    def is_whole(self) -> bool:
        """Whether every chosen worker is installed as it is configured."""
        return not (self.skipped or self.refused or self.broken or self.lost)


def prepare(
    loaded: Loaded, context: Context, bus: Bus | None, choice: Choice, *, skipped: tuple[Lacking, ...] = ()
) -> Prepared:
    """Look at the host, and render what is configured. Changes nothing.

    Raises ConfigurationError for tqunits.yaml, NoSuchWorker. What is wrong with a worker is that worker's alone: it is
    left as it is installed.
    """
    configuration = loaded.configured()
    put_back = put_back_later(context.layout)
    before = {**observe_files(context.layout), **put_back}
    sources = vanishing.installed_from(before, context.layout)
    if not choice.remove_all:
        vanishing.refuse_doubtful(configuration, sources, prune=choice.prune)
    held = {} if choice.remove_all else vanishing.held(configuration, sources)
    configuration = replace(configuration, broken=(*configuration.broken, *held))
    others = _others(configuration, choice)
    host = target.current(context.layout, user_mode=context.user_mode)
    requested = Requested(configuration, context.layout, before, user_mode=context.user_mode)
    out = others | {lack.worker for lack in skipped}
    judged = judge(
        configuration,
        context.layout,
        before,
        of_files=(*refusals(configuration, host, requested.copies), *requested.refusals),
        left_alone=out,
        prune=choice.prune,
    )
    present = judged.present
    sockets = sockets_of(configuration.server, context.layout, addresses.installed(before))
    rendered = render(present, host, judged.ports, files.read_templates(context.layout), requested.copies, sockets)
    routes = RenderedFile(
        path=context.layout.routes, content=routes_snapshot(present, host, judged.ports), mode=0o644, unit=None
    )
    own = () if context.user_mode else (MANAGER_USER, *_own_accounts(present))
    observed = observe.observe(context.layout, bus, (file.path for file in rendered), own)
    observed = replace(observed, files={**observed.files, **put_back})
    refitted = refits(observed.files, {file.path for file in rendered}, host, requested)
    broken = (worker for worker in configuration.broken if worker not in others)
    chosen = configuration.names - others
    given = tuple(each for worker in present.running() for each in writable.due(worker, user_mode=context.user_mode))
    return Prepared(
        configuration=configuration,
        present=present,
        target=host,
        desired=_desired(
            configuration, present, (rendered, requested.files(present)), routes, refitted, observed, given
        ),
        observed=observed,
        skipped=skipped,
        refused=judged.refusals,
        broken={b: (held[b],) if b in held else loaded.errors_of([b]) for b in broken},
        warnings=(*loaded.warnings_of(chosen), *ineffective.warnings(configuration, chosen)),
        lost=refitted.lost,
        put_back=tuple(_writes(put_back)),
    )


def _writes(files: Mapping[PurePosixPath, ObservedFile]) -> Iterator[WriteFile]:
    for path, file in files.items():
        yield WriteFile(file=RenderedFile(path=path, content=file.content, mode=0o644, unit=None), before=None)


def configured(context: Context) -> Loaded:
    """The configuration. Raises NotPermitted, as root, when somebody else may change what decides about all workers."""
    loaded = load(context.root, context.layout, trust=context.trust)
    if loaded.not_roots is not None and not context.user_mode and os.geteuid() == 0:
        hint = "give it to root (chown root:, chmod go-w)"
        if context.root is not None:
            hint += f", or take it as it is, for this run: tqunits -C {context.root} --trust ..."
        raise NotPermitted(f"not root's, so no order to root: {loaded.not_roots}", hint=hint)
    return loaded


def _others(configuration: Configuration, choice: Choice) -> frozenset[str]:
    """The workers that are not meant."""
    for worker in choice.names:
        if worker not in configuration.names:
            hint = selection.nearest(worker, sorted(configuration.names))
            raise NoSuchWorker(f"no configured worker is called {worker!r}", hint=hint)
    return configuration.names - set(choice.names) if choice.names else frozenset()


def unified_diff(plan: Plan) -> str:
    """What the plan changes in files, as `diff -u` shows it; and in accounts, whose files are not ours."""
    return "".join(line for step in plan.steps for line in file_diff(step))


def with_ledger(plan: Plan, prepared: Prepared) -> Plan:
    """The plan, and the ledger of what it makes: after the files that it tells of, and before any of them goes.

    It is written as well where it says the same and one of them is written anew (somebody has edited it), for no
    process that was started before has what it says (host/ledger.py).
    """
    path, observed = prepared.target.layout.ledger, prepared.observed
    text = ledger.of_installation(prepared.desired, observed, plan, prepared.sources_of_files)
    before = observed.files[path].content if path in observed.files else None
    if text == before and not any(map(_is_newer_drop_in, plan.steps)):
        return plan
    file = RenderedFile(path=path, content=text, mode=ledger.MODE, unit=None)
    first = next((at for at, step in enumerate(plan.steps) if not isinstance(step, WriteFile)), len(plan.steps))
    return replace(plan, steps=(*plan.steps[:first], WriteFile(file=file, before=before), *plan.steps[first:]))


def _is_newer_drop_in(step: Step) -> bool:
    return isinstance(step, WriteFile) and step.file.path.name == name.DROP_IN and not step.keep_time


def refuse_foreign(plan: Plan) -> None:
    """Raise TqunitsError when files that are not ours are in the way."""
    if plan.foreign:
        paths = ", ".join(str(path) for path in plan.foreign)
        raise TqunitsError(
            f"not written by tqunits, so not overwritten: {paths}",
            hint="move them away, or overwrite them with --replace",
        )


def refuse_unfit(server: Server, layout: Layout) -> tuple[Diagnostic, ...]:
    """Raise TqunitsError for a certificate that the router could not serve with: it would not start with that. Or that
    nobody would take, when it is not what the router has already: who has let it expire may install other things still.

    Gives what else is odd about it.
    """
    certificate, key = server.tls.certificate, server.tls.key
    if certificate is None:
        return ()
    from tqunits.system.certificates import Certificates  # with OpenSSL, which takes its time to load

    mark = server.origins["tls.certificate"].mark
    try:
        loaded = Certificates.load(Path(certificate), None if key is None else Path(key))
    except TqunitsError as error:
        is_keys = key is not None and error.message.startswith(f"{key}:")
        mark = server.origins["tls.key"].mark if is_keys else mark
        raise TqunitsError(f"tls: {error.message}", hint=error.hint, mark=mark) from None
    if loaded.expired and not _is_served(certificate, layout):
        raise TqunitsError(f"tls: {loaded.expired[0]}", hint="have it renewed first", mark=mark)
    warning = partial(Diagnostic, severity=Severity.WARNING, mark=mark, hint=None)
    return tuple(warning(message=f"tls: {each}") for each in loaded.warnings)


def _is_served(certificate: str, layout: Layout) -> bool:
    """Whether the routers that are installed have that certificate."""
    text = files.read_text_if_exists(Path(layout.units) / name.PROXY_TEMPLATE) or ""
    wanted = quote.credential("tls-certificate", certificate)
    return any(a.name == "LoadCredential" and a.value == wanted for a in unitfile.parse(text))


def obstacles(prepared: Prepared, *, is_asked: bool = True) -> tuple[Diagnostic, ...]:
    """What is in the way of addresses that the router has not got open; errors for those it can not have now.

    `is_asked`: systemd was asked what is open. Without it, what is installed is taken for open.
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


def remove_leftovers(layout: Layout) -> None:
    """Remove the temporary files that a run which was killed has left in our folders. Under the lock only."""
    journals = name.access_journal(layout.units).parent if layout.sysusers else None
    for folder in (layout.units, journals, layout.state, credentials.folder(layout.state), layout.sysusers):
        if folder:
            files.remove_leftovers(Path(folder))
    if layout.sysusers:
        build.remove_old()


def _desired(
    configuration: Configuration,
    present: Configuration,
    written: tuple[tuple[RenderedFile, ...], tuple[RenderedFile, ...]],
    routes: RenderedFile,
    refitted: Refits,
    observed: Observed,
    given: tuple[Given, ...],
) -> Desired:
    rendered, copies = written
    running = {name.service(worker.name) for worker in present.running()}
    proxies = [name.proxy(number) for number in range(1, configuration.server.proxy.processes + 1)]
    known = {*observed.units, *observed.file_states}
    surplus = {unit for unit in known if name.is_proxy(unit)} - set(proxies)
    idle = {name.service(worker.name) for worker in present.workers} - running
    optional = {*(name.socket(worker.name) for worker in present.workers), *name.CERTIFICATE_UNITS}
    sockets = sorted(turnover.sockets(rendered), key=name.PROXY_SOCKET.__ne__)  # it first, the others by name
    optional |= {unit for unit in (*known, *(p.name for p in observed.files)) if name.is_proxy_socket(unit)}
    surplus |= (optional & {*known, *(p.name for p in observed.files)}) - {file.unit for file in rendered}
    watch = name.CERTIFICATE_UNITS[:1] if configuration.server.tls.certificate else ()
    return Desired(
        units=rendered,
        copies=(*copies, *refitted.copies),
        refits=refitted.drop_ins,
        routes=routes,
        workers=frozenset((*(w.name for w in configuration.workers if _has_unit(w)), *configuration.broken)),
        left_alone=configuration.names - {worker.name for worker in present.workers},
        files_alone=frozenset(w.name for w in configuration.workers if not _has_unit(w)),
        enabled=(*sorted(running), *sockets, *watch, name.REPAIR_UNITS[0], *proxies, name.TARGET),
        disabled=tuple(sorted(surplus | idle)),
        given=given,
    )


def _own_accounts(configuration: Configuration) -> tuple[str, ...]:
    """The accounts that have to be there, and that we make."""
    workers = [w for w in configuration.workers if _has_unit(w)]
    builds = (build_account_of(w.name) for w in workers if w.build.command)
    return (*(account_of(w.name) for w in workers if accounts.needs_own(w)), *builds)


def _has_unit(worker: Worker) -> bool:
    return worker.type is not WorkerType.STATIC


def file_diff(step: Step) -> Iterator[str]:
    """What a step changes in a file, line by line; of a secret, that it changes."""
    match step:
        case WriteFile(file=file, before=before) if file.is_secret:
            return _sizes(file.path, before, file.content)
        case RemoveFile(path=path, before=before, is_secret=True):
            return _sizes(path, before, None)
        case WriteFile(file=file, before=before):
            return _lines(file.path, before, file.content)
        case RemoveFile(path=path, before=before):
            return _lines(path, before, None)
        case Rehome(workers=workers):  # what runs is not asked here, so this is said of whoever has such a home
            homeless = f"has the home {accounts.NO_HOME} once nothing of it runs (a restart by install, a stop)"
            return (f"# {account_of(worker)} {homeless}\n" for worker in workers)
        case Give(folders=folders):
            return (f"# {each} becomes the worker's to write\n" for each in folders)
        case _:
            return iter(())


def _sizes(path: PurePosixPath, before: str | None, after: str | None) -> Iterator[str]:
    """A secret: all that is shown of it is that it changes."""
    for lead, text in (("---", before), ("+++", after)):
        yield f"{lead} {'/dev/null' if text is None else path}\n"
    old, new = (0 if text is None else len(text.encode("utf-8", "surrogateescape")) for text in (before, after))
    yield f"# {old} bytes become {new}; what they are is not shown\n"


def _lines(path: PurePosixPath, before: str | None, after: str | None) -> Iterator[str]:
    old, new = ("/dev/null" if text is None else str(path) for text in (before, after))
    return difflib.unified_diff(_split(before), _split(after), old, new)


def _split(text: str | None) -> list[str]:
    return (text or "").splitlines(keepends=True)
