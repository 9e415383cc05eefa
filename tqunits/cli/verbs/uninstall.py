"""Stop and remove the units of workers.

With names, these workers are taken out of the routes, stopped, disabled, and their unit files
removed; their folders and YAML are yours and stay, so the next 'tqunits install' brings them back.
With --all everything that tqunits has written is removed: every unit, the router's socket, the
users' sysusers.d file. --keep-ledger leaves the record of what was installed
(/var/lib/tqunits/ledger.json): the next install, of whatever workers, brings all of it back as it
was, the ports included. Removing the Debian package does that, so with --keep-ledger another
tqunits that is at work is waited for; without it, it is refused.

Data (/var/lib/tqunits/workers/NAME, caches, the workers' users) is kept, unless --purge is given.
Drop-ins of your own stay. The user tqunits, users of workers that are gone already, and the access
log's journal go with --all --purge. A worker that 'tqunits apply' has removed is purged by its name
all the same. What install has given to a worker's user in the worker's own folder (`writable`) is
root's again.

What --all --purge removes can not be brought back: it asks first, on a terminal, and elsewhere
wants --yes. --dry-run prints what would be removed, changes nothing, and exits with 2 when there is
something, else with 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from tqunits.cli import changes
from tqunits.cli.context import Context
from tqunits.cli.results import add_timeout, status_of, timeout_of
from tqunits.cli.selection import add_names, named, parted, refuse_single, select
from tqunits.cli.wording import Teller, describe
from tqunits.errors import ExitStatus, TqunitsError, UsageError
from tqunits.host import purge
from tqunits.host.installed import Installed, installed, served
from tqunits.host.remove import Departure, Removal, outlook, remove
from tqunits.host.running_release import served_release
from tqunits.units.vanished import sentence


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits uninstall`."""
    add_names(parser, all_means="remove everything that tqunits has installed")
    parser.add_argument("--purge", action="store_true", help="remove the workers' data, caches and users as well")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before --all --purge")
    parser.add_argument("--keep-ledger", action="store_true", help="with --all: the next install brings all of it back")
    parser.add_argument("--dry-run", action="store_true", help="print what would be removed, and change nothing")
    parser.add_argument("--json", action="store_true", help="print JSON: what was removed, or is to be")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    add_timeout(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Uninstall."""
    if arguments.keep_ledger and (arguments.purge or not arguments.all):
        raise UsageError("--keep-ledger is about --all, without --purge", hint="leave it out, or name no worker")
    departure = replace(_departure(arguments, context), keep_ledger=bool(arguments.keep_ledger))
    if arguments.dry_run:
        return _dry_run(departure, context, as_json=arguments.json)
    context.require_root("removing units")
    if departure.is_all and departure.purge and not arguments.yes:
        _ask(context, departure)
    tell = Teller(context.output, quiet=arguments.quiet)
    done = remove(departure, context.premises, tell, timeout_us=timeout_of(arguments))
    status = status_of(done.endings)
    if arguments.json:
        _print(done, status, context)
    return status


def _departure(arguments: argparse.Namespace, context: Context) -> Departure:
    """Who is meant."""
    present, is_all = installed(context.layout), bool(arguments.all)
    if is_all or not arguments.purge:
        chosen = _whole(select(arguments, present, context), present)
        staying = tuple(worker for worker in present if worker not in chosen)
        return Departure(installed=chosen, staying=staying, is_all=is_all, purge=bool(arguments.purge))
    try:
        left = purge.remains(context.layout, (*(worker.worker for worker in present), *_releases_served(context)))
    except PermissionError:  # who may not look is told later what he may not do
        left = ()
    every: list[Installed | purge.Remains] = [*present, *left]
    meant = {worker.name for worker in named(arguments.names, every, context)}
    return Departure(
        installed=_whole(tuple(w for w in present if w.name in meant), present),
        remains=tuple(w for w in left if w.name in meant),
        staying=tuple(w for w in present if w.name not in meant),
        is_all=False,
        purge=True,
    )


def _releases_served(context: Context) -> tuple[str, ...]:
    """The workers without units whose releases the routers serve: these are no remains."""
    try:
        return tuple(files.name for files in served(context.layout) if served_release(files) is not None)
    except TqunitsError:  # routes that no router reads either
        return ()


def _whole(chosen: tuple[Installed, ...], present: Sequence[Installed]) -> tuple[Installed, ...]:
    """Raises UsageError for an instance without the others of its worker: they share routes,
    account and folders."""
    _, single = parted([worker.instance for worker in chosen], [worker.instance for worker in present])
    refuse_single(single)
    return chosen


def _ask(context: Context, departure: Departure) -> None:
    """Raises UsageError when there is nobody to ask, or when the answer is no."""
    what = f"all units, the data and the users of {sentence(departure.names) or 'every worker'}"
    hint = "--yes says that it is meant, --dry-run shows what would be removed"
    if not context.output.asks(f"Remove {what}? They can not be brought back. Type yes: ", "yes"):
        raise UsageError(f"not done: this removes {what}", hint=hint)


def _dry_run(departure: Departure, context: Context, *, as_json: bool) -> ExitStatus:
    found = outlook(departure, context.premises)
    lines = [describe(step) for step in found.plan.steps]
    lines += [*(f"remove {each}" for each in found.stored.folders), *(f"remove user {u}" for u in found.stored.users)]
    status = ExitStatus.USAGE if lines else ExitStatus.OK
    if as_json:
        _print(found, status, context)
    for line in [] if as_json else lines:
        context.output.line(context.output.styled(line, ""))
    return status


def _print(found: Removal, status: ExitStatus, context: Context) -> None:
    """The document, of what was done and of what would be."""
    context.output.json("uninstall", 1, **changes.removal(found), exit_status=int(status))
