"""Takes workers, or all of tqunits, off this host: first out of the routes, then stopped, then
their units are removed, then their data."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.host import endings, execute, left_out, lost_drop_ins, pauses, purge, restart_waits, traffic_file
from tqunits.host.endings import Ending
from tqunits.host.installed import Installed
from tqunits.host.leftovers import remnants
from tqunits.host.observe import observe
from tqunits.host.plan import removal
from tqunits.host.premises import Premises
from tqunits.host.progress import Endings, Tell, Turn
from tqunits.host.purge import Remains
from tqunits.host.sources import workers_directory
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.routing.codec.document import without
from tqunits.system import files
from tqunits.system.bus import Bus, require_bus
from tqunits.units import name, polkit_rule, shared, unitfile, upkeep
from tqunits.units.observed import Observed
from tqunits.units.rendering import RenderedFile
from tqunits.units.steps import Plan, Reload, Step, WriteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """What is removed: installed workers, and what is left of others."""

    installed: tuple[Installed, ...]
    remains: tuple[Remains, ...] = ()
    staying: tuple[Installed, ...] = ()
    is_all: bool  # everything of tqunits goes
    purge: bool  # and data, caches and accounts as well
    keep_ledger: bool = False  # the next install brings back what is removed

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of the installed workers; each is removed with all its instances."""
        return tuple(dict.fromkeys(each.worker for each in self.installed))

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return (*self.workers, *(worker.name for worker in self.remains))


@dataclass(frozen=True, slots=True)
class Stored:
    """Data of workers, and the users that were made for them."""

    folders: tuple[Path, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was removed, or would be."""

    plan: Plan
    stored: Stored
    endings: tuple[Ending, ...] = ()


def remove(departure: Departure, premises: Premises, tell: Tell, *, timeout_us: int) -> Removal:
    """Remove them. Raises TqunitsError for what can not be removed, after everything else is."""
    layout = premises.layout
    require_bus(user_mode=premises.user_mode)
    with _turn(departure, layout, tell), Bus(user_mode=premises.user_mode) as bus:
        observed = _observed(layout, bus)
        _forget_ledger(departure, layout)
        plan, stored = _plan(departure, layout, observed), _stored(departure, layout)
        results = execute.execute(plan, layout, bus, timeout_us=timeout_us, tell=tell)
        ended = endings.judged(results, layout, user_mode=premises.user_mode)
        tell(Endings(ended))
        _forget(departure, layout)
        is_done = not any(each.sentence for each in ended)
        if not is_done:  # a worker that still runs keeps its account: otherwise another one could get its number
            stored = Stored(stored.folders if departure.is_all else ())
        if departure.purge and (departure.is_all or is_done):
            _purge(departure, premises, bus, tell, users_too=bool(stored.users))
    return Removal(plan=plan, stored=stored, endings=ended)


def _turn(departure: Departure, layout: Layout, tell: Tell) -> AbstractContextManager[bool]:
    """The lock of whoever changes what is installed. A package that is removed takes its programs
    along, so it waits for tq-apply, instead of leaving units without a program."""
    wait = (lambda holder: tell(Turn(holder))) if departure.keep_ledger else False
    return files.lock(Path(layout.install_lock), wait=wait)


def outlook(departure: Departure, premises: Premises) -> Removal:
    """What a removal would do. Changes nothing, and does not ask systemd."""
    layout = premises.layout
    plan = _plan(departure, layout, _observed(layout, None))
    return Removal(plan=plan, stored=_stored(departure, layout))


def _observed(layout: Layout, bus: Bus | None) -> Observed:
    return replace(observe(layout, bus, wanted=(), users=()), remnants=remnants(layout))


def _plan(departure: Departure, layout: Layout, observed: Observed) -> Plan:
    steps = removal(observed, None if departure.is_all else departure.workers)
    if not departure.is_all:
        accounts = _accounts(departure.installed) - _accounts(departure.staying)
        released = _release(layout, observed, accounts, departure.workers)
        steps = (*_unroute(layout, observed, departure.workers), *released, *steps)
    steps = (*upkeep.unread(observed.remnants), *steps)
    return Plan(steps=steps, foreign=(), orphans=(), pending=(), masked=(), leaving=departure.workers)


def _forget_ledger(departure: Departure, layout: Layout) -> None:
    """First of all, or a worker that is cut off halfway would be put back."""
    if departure.keep_ledger:
        return
    if departure.is_all:
        files.remove(Path(layout.ledger))
    else:
        lost_drop_ins.forget(layout, departure.workers)


def _forget(departure: Departure, layout: Layout) -> None:
    traffic_file.forget(layout, departure.workers)
    pauses.forget(layout, None if departure.is_all else departure.workers)
    if departure.is_all:
        files.remove(Path(layout.repair_request))  # systemd has made this file for the routers
        left_out.remove(layout)
        restart_waits.remove(layout)


def _purge(departure: Departure, premises: Premises, bus: Bus, tell: Tell, *, users_too: bool) -> None:
    """Raises TqunitsError for what can not be removed, after everything else is."""
    layout = premises.layout
    sources = {worker.worker: Path(worker.ledger.source).parent.parent for worker in departure.installed}
    own = purge.Folders(sources, workers_directory(premises.root, layout))
    if departure.is_all:
        failures = purge.purge_all(layout, bus, own, tell, users_too=users_too)
    else:
        failures = [each for worker in departure.names for each in purge.purge(worker, layout, own, tell)]
    if failures:
        message, hints = "; ".join(each.message for each in failures), [each.hint for each in failures if each.hint]
        raise TqunitsError(message, hint="; ".join(hints) or None)


def _stored(departure: Departure, layout: Layout) -> Stored:
    """What --purge removes besides the units."""
    if not departure.purge:
        return Stored()
    if departure.is_all:
        return Stored(tuple(purge.folders_of_all(layout)), tuple(purge.users_of_all(layout)))
    return Stored(
        tuple(folder for worker in departure.names for folder in purge.folders_of(worker, layout)),
        tuple(user for worker in departure.names for user in purge.users_of(worker, layout)),
    )


def _unroute(layout: Layout, observed: Observed, workers: Iterable[str]) -> tuple[Step, ...]:
    """The first steps: the router stops sending requests to workers that are removed."""
    path = layout.routes
    before = observed.files.get(path)
    after = without(before.content, workers) if before else None
    if before is None or after is None or after == before.content:
        return ()
    proxies = tuple(u for u, unit in observed.units.items() if name.is_proxy(u) and unit.state == "active")
    file = RenderedFile(path=path, content=after, mode=0o644, unit=None)
    write = WriteFile(file=file, before=before.content)
    return (write, Reload(proxies)) if proxies else (write,)


def _release(layout: Layout, observed: Observed, accounts: Collection[str], workers: Collection[str]) -> Iterable[Step]:
    """The router's and the manager's units and sysusers.d lose accounts that no worker needs any
    more, and polkit's rule the operators of these workers. Running units are not disturbed."""
    members = {layout.units / unit for unit in name.IN_GROUPS}
    for path, file in observed.files.items():
        if path in members:
            content = shared.without_groups(file.content, accounts)
        elif path.name == polkit_rule.FILE:
            content = polkit_rule.without_operators(file.content, workers)
        elif path.parent == layout.sysusers:
            content = shared.without_accounts(file.content, accounts)
        else:
            continue
        if content != file.content and unitfile.is_ours(file.content):
            after = RenderedFile(path=path, content=content, mode=0o644, unit=None)
            yield WriteFile(file=after, before=file.content, keep_time=True)


def _accounts(workers: Iterable[Installed]) -> set[str]:
    return {account for worker in workers for account in shared.accounts_of(worker.text)}
