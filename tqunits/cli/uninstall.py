"""Stop and remove the units of workers.

With names, these workers are taken out of the routes, stopped, disabled, and their unit files removed; their folders
and YAML are yours and stay, so the next 'tqunits install' brings them back. With --all everything that tqunits has
written is removed: every unit, the router's socket, the users' sysusers.d file.

Data (/var/lib/tqunits/workers/NAME, caches, the workers' users) is kept, unless --purge is given. Drop-ins of your own
stay. The user tqunits, users of workers that are gone already, and the access log's journal go with --all --purge.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tqunits.cli.context import Context
from tqunits.cli.installation import remove_leftovers
from tqunits.cli.jobs import add_timeout, progress, report, timeout_of
from tqunits.cli.selection import Installed, add_names, installed, select
from tqunits.errors import ExitStatus
from tqunits.model import MANAGER_USER, Layout, account_of, build_account_of
from tqunits.system import build, execute, files, journal, traffic, users
from tqunits.system.bus import Bus
from tqunits.system.observe import observe
from tqunits.units import name, shared, unitfile
from tqunits.units.plan import Observed, Plan, Reload, Step, WriteFile, removal
from tqunits.units.render import RenderedFile
from tqunits.units.snapshot import ROUTES, without

_STOP_US = 60_000_000
"""For journald to write what it has and to end."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits uninstall`."""
    add_names(parser, all_means="remove everything that tqunits has installed")
    parser.add_argument("--purge", action="store_true", help="remove the workers' data, caches and users as well")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    add_timeout(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Uninstall."""
    present = installed(context.layout)
    chosen = select(arguments, present, context)
    context.require_root("removing units")
    say = (lambda _: None) if arguments.quiet else context.output.message
    lock = Path(context.layout.runtime) / "install.lock"
    with Bus(user_mode=context.user_mode) as bus, files.lock(lock):
        remove_leftovers(context.layout)
        observed = observe(context.layout, bus, wanted=(), users=())
        workers = [worker.name for worker in chosen]
        steps = removal(observed, None if arguments.all else workers)
        if not arguments.all:
            staying = [worker for worker in present if worker not in chosen]
            released = _release(context.layout, observed, _accounts(chosen) - _accounts(staying))
            steps = (*_unroute(context.layout, observed, workers), *released, *steps)
        plan = Plan(steps=steps, foreign=(), orphans=(), pending=(), masked=())
        waiting = partial(progress, context, quiet=arguments.quiet)
        results = execute.execute(plan, bus, timeout_us=timeout_of(arguments), say=say, progress=waiting)
        status = report(results, context)
        traffic.wanted(context.layout, workers)
        if arguments.all:
            files.remove(Path(context.layout.state) / name.REPAIR_FILE)  # systemd made it for the routers
        if arguments.purge and status is ExitStatus.OK:
            _purge(context.layout, chosen, say)
            if arguments.all and context.layout.sysusers:
                _remove_users(users.of_workers(context.layout.state), say)
        if arguments.all and arguments.purge:
            _remove_all(context.layout, bus, say)
    return status


def _unroute(layout: Layout, observed: Observed, workers: Iterable[str]) -> tuple[Step, ...]:
    """First of all the router stops sending requests to who goes."""
    path = layout.state / ROUTES
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


def _purge(layout: Layout, workers: Iterable[Installed], say: execute.Say) -> None:
    """Remove what the workers have stored, and the users that were made for them (and no others)."""
    for worker in workers:
        own = [data / worker.name for data in _data(layout)]
        for folder in (*own, *(build.remains(worker.name) if layout.sysusers else ())):
            if folder.exists() or folder.is_symlink():
                say(f"remove {folder}")
                files.remove_tree(folder)
        user = account_of(worker.name)
        if layout.sysusers and users.is_ours(user, layout.state):
            _remove_users([user], say)
        builder = build_account_of(worker.name)
        if layout.sysusers and users.is_ours_to_build(builder):
            _remove_users([builder], say)


def _remove_users(names: Iterable[str], say: execute.Say) -> None:
    for user in names:
        say(f"remove user {user}")
        users.remove(user)


def _remove_all(layout: Layout, bus: Bus, say: execute.Say) -> None:
    for folder in _folders(layout):
        files.remove_tree(folder)
    if layout.sysusers and users.is_managers_ours():
        say(f"remove user {MANAGER_USER}")
        users.remove(MANAGER_USER)
    if layout.sysusers:
        _remove_access_log(bus, say)
    if not layout.sysusers:
        with suppress(OSError):  # not empty: the user's own configuration
            Path(layout.configuration).rmdir()


def _remove_access_log(bus: Bus, say: execute.Say) -> None:
    """The namespace's journals. What journald of it may run has them open, and would make them anew when asked to."""
    folders = journal.folders_of(name.ACCESS_LOG)
    if folders:
        bus.stop(name.ACCESS_JOURNAL_UNITS, timeout_us=_STOP_US)
    for folder in folders:
        say(f"remove {folder}")
        files.remove_tree(folder)


def _data(layout: Layout) -> tuple[Path, ...]:
    """The folders in which systemd makes a StateDirectory= and a CacheDirectory= for each worker.

    A user's own manager has states below ~/.config up to version 253, and below ~/.local/state since (its NEWS).
    """
    states = [layout.state] if layout.sysusers else [layout.state, layout.configuration]
    return tuple(Path(folder) / "workers" for folder in (*states, _cache(layout)))


def _folders(layout: Layout) -> tuple[Path, ...]:
    """All that can be ours besides the units, which the plan removes, and the configuration, which stays."""
    whole = (Path(layout.state), Path(layout.runtime), _cache(layout))
    return (*whole, *(build.remains(None) if layout.sysusers else _data(layout)))


def _cache(layout: Layout) -> Path:
    return Path("/var/cache/tqunits") if layout.sysusers else Path.home() / ".cache/tqunits"
