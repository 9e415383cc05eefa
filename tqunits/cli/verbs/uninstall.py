"""Stop and remove the units of workers.

With names, these workers are taken out of the routes, stopped, disabled, and their unit files removed; their folders
and YAML are yours and stay, so the next 'tqunits install' brings them back. With --all everything that tqunits has
written is removed: every unit, the router's socket, the users' sysusers.d file.

Data (/var/lib/tqunits/workers/NAME, caches, the workers' users) is kept, unless --purge is given. Drop-ins of your own
stay. The user tqunits, users of workers that are gone already, and the access log's journal go with --all --purge.
A worker that 'tqunits apply' has removed is purged by its name all the same. What install has given to a worker's user
in the worker's own folder (`writable`) is root's again.

What --all --purge removes can not be brought back: it asks first, on a terminal, and elsewhere wants --yes. --dry-run
prints what would be removed, changes nothing, and exits with 2 when there is something, else with 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqunits.cli import changes, purge
from tqunits.cli.context import Context
from tqunits.cli.installation import remove_leftovers
from tqunits.cli.jobs import Ended, add_timeout, judged, progress, timeout_of, told
from tqunits.cli.selection import Installed, add_names, installed, named, select
from tqunits.errors import ExitStatus, TqunitsError, UsageError
from tqunits.host import backoff, execute, ledger, left_out, traffic
from tqunits.host.observe import observe
from tqunits.host.plan import removal
from tqunits.host.sources import workers_directory
from tqunits.model import Layout
from tqunits.routing.codec.document import without
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import name, shared, unitfile
from tqunits.units.render import RenderedFile
from tqunits.units.steps import Observed, Plan, Reload, Step, WriteFile
from tqunits.units.vanished import sentence


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits uninstall`."""
    add_names(parser, all_means="remove everything that tqunits has installed")
    parser.add_argument("--purge", action="store_true", help="remove the workers' data, caches and users as well")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before --all --purge")
    parser.add_argument("--dry-run", action="store_true", help="print what would be removed, and change nothing")
    parser.add_argument("--json", action="store_true", help="print JSON: what was removed, or is to be")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    add_timeout(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Uninstall."""
    layout = context.layout
    present = installed(layout)
    choice = _chosen(arguments, present, context)
    if arguments.dry_run:
        return _dry_run(arguments, context, present, choice)
    context.require_root("removing units")
    if arguments.all and arguments.purge and not arguments.yes:
        _ask(context, choice)
    say = (lambda _: None) if arguments.quiet else context.output.message
    with Bus(user_mode=context.user_mode) as bus, files.lock(Path(layout.install_lock)):
        remove_leftovers(layout)
        observed = observe(layout, bus, wanted=(), users=())
        if arguments.all:
            files.remove(Path(layout.ledger))
        else:
            ledger.forget(layout, choice.workers)
        waiting = partial(progress, context, quiet=arguments.quiet)
        plan, left = _plan(arguments, layout, observed, present, choice), _left(arguments, choice, layout)
        results = execute.execute(plan, bus, timeout_us=timeout_of(arguments), say=say, progress=waiting)
        ended = judged(results, context)
        status = told(ended, context)
        traffic.forget(layout, choice.workers)
        backoff.forget(layout, None if arguments.all else choice.workers)
        if arguments.all:
            files.remove(Path(layout.repair_request))  # systemd made it for the routers
            left_out.remove(layout)
        if status is not ExitStatus.OK:  # what still runs keeps its account, or another one would get its number
            left = _Left(left.folders if arguments.all else ())
        if arguments.purge and (arguments.all or status is ExitStatus.OK):
            _purge(arguments, context, choice, bus, say, users_too=bool(left.users))
    if arguments.json:
        _print(context, plan, left, ended, status)
    return status


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the command line means: installed workers, and what is left of others."""

    installed: tuple[Installed, ...]
    remains: tuple[purge.Remains, ...] = ()

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of the installed ones."""
        return tuple(worker.name for worker in self.installed)

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return (*self.workers, *(worker.name for worker in self.remains))


@dataclass(frozen=True, slots=True)
class _Left:
    """Data of workers, and the users that were made for them."""

    folders: tuple[Path, ...] = ()
    users: tuple[str, ...] = ()


def _chosen(arguments: argparse.Namespace, present: Sequence[Installed], context: Context) -> _Choice:
    if arguments.all or not arguments.purge:
        return _Choice(select(arguments, present, context))
    try:
        left = purge.remains(context.layout, (worker.name for worker in present))
    except PermissionError:  # who may not look is told later what he may not do
        left = ()
    every: list[Installed | purge.Remains] = [*present, *left]
    meant = {worker.name for worker in named(arguments.names, every, context)}
    return _Choice(tuple(w for w in present if w.name in meant), tuple(w for w in left if w.name in meant))


def _plan(
    arguments: argparse.Namespace, layout: Layout, observed: Observed, present: Sequence[Installed], choice: _Choice
) -> Plan:
    steps = removal(observed, None if arguments.all else choice.workers)
    if not arguments.all:
        staying = [worker for worker in present if worker not in choice.installed]
        released = _release(layout, observed, _accounts(choice.installed) - _accounts(staying))
        steps = (*_unroute(layout, observed, choice.workers), *released, *steps)
    return Plan(steps=steps, foreign=(), orphans=(), pending=(), masked=(), leaving=choice.workers)


def _ask(context: Context, choice: _Choice) -> None:
    """Raises UsageError when there is nobody to ask, or when the answer is no."""
    what = f"all units, the data and the users of {sentence(choice.names) or 'every worker'}"
    hint = "--yes says that it is meant, --dry-run shows what would be removed"
    if not context.output.asks(f"Remove {what}? They can not be brought back. Type yes: ", "yes"):
        raise UsageError(f"not done: this removes {what}", hint=hint)


def _dry_run(
    arguments: argparse.Namespace, context: Context, present: Sequence[Installed], choice: _Choice
) -> ExitStatus:
    layout = context.layout
    plan = _plan(arguments, layout, observe(layout, None, wanted=(), users=()), present, choice)
    left = _left(arguments, choice, layout)
    lines = [execute.describe(step) for step in plan.steps]
    lines += [*(f"remove {folder}" for folder in left.folders), *(f"remove user {user}" for user in left.users)]
    status = ExitStatus.USAGE if lines else ExitStatus.OK
    if arguments.json:
        _print(context, plan, left, (), status)
    else:
        for line in lines:
            context.output.line(context.output.styled(line, ""))
    return status


def _print(context: Context, plan: Plan, left: _Left, ended: Iterable[Ended], status: ExitStatus) -> None:
    """The document, of what was done and of what would be."""
    context.output.json(
        "uninstall",
        1,
        workers=list(plan.leaving),
        steps=[changes.step_json(step) for step in plan.steps],
        folders=[str(folder) for folder in left.folders],
        users=list(left.users),
        jobs=[each.as_json() for each in ended],
        exit_status=int(status),
    )


def _purge(
    arguments: argparse.Namespace, context: Context, choice: _Choice, bus: Bus, say: execute.Say, *, users_too: bool
) -> None:
    """Raises TqunitsError for what can not be removed, when all else is."""
    sources = {worker.name: Path(worker.ledger.source).parent.parent for worker in choice.installed}
    own = purge.Folders(sources, workers_directory(context.root, context.layout))
    if arguments.all:
        failures = purge.purge_all(context.layout, bus, own, say, users_too=users_too)
    else:
        failures = [each for worker in choice.names for each in purge.purge(worker, context.layout, own, say)]
    if failures:
        message, hints = "; ".join(each.message for each in failures), [each.hint for each in failures if each.hint]
        raise TqunitsError(message, hint="; ".join(hints) or None)


def _left(arguments: argparse.Namespace, choice: _Choice, layout: Layout) -> _Left:
    """What --purge removes besides."""
    if not arguments.purge:
        return _Left()
    if arguments.all:
        return _Left(tuple(purge.folders_of_all(layout)), tuple(purge.users_of_all(layout)))
    return _Left(
        tuple(folder for worker in choice.names for folder in purge.folders_of(worker, layout)),
        tuple(user for worker in choice.names for user in purge.users_of(worker, layout)),
    )


def _unroute(layout: Layout, observed: Observed, workers: Iterable[str]) -> tuple[Step, ...]:
    """First of all the router stops sending requests to who goes."""
    path = layout.routes
    before = observed.files.get(path)
    after = without(before.content, workers) if before else None
    if before is None or after is None or after == before.content:
        return ()
    proxies = tuple(u for u, unit in observed.units.items() if name.is_proxy(u) and unit.state == "active")
    file = RenderedFile(path=path, content=after, mode=0o644, unit=None)
    write = WriteFile(file=file, before=before.content)
    return (write, Reload(proxies)) if proxies else (write,)


def _release(layout: Layout, observed: Observed, accounts: Collection[str]) -> Iterable[Step]:
    """The router and sysusers.d forget accounts that nobody needs any more. What runs is not disturbed."""
    router = Path(layout.units) / name.PROXY_TEMPLATE
    for path, file in observed.files.items():
        if Path(path) == router:
            content = shared.without_groups(file.content, accounts)
        elif path.parent == layout.sysusers:
            content = shared.without_accounts(file.content, accounts)
        else:
            continue
        if content != file.content and unitfile.is_ours(file.content):
            after = RenderedFile(path=path, content=content, mode=0o644, unit=None)
            yield WriteFile(file=after, before=file.content, keep_time=True)


def _accounts(workers: Iterable[Installed]) -> set[str]:
    return {account for worker in workers for account in shared.accounts_of(worker.text)}
