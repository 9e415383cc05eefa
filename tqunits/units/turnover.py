"""How the router gets other addresses or other code while no unchanged address is closed: which
units change.

`host/plan.py` has the steps and their order. A service keeps the sockets that it was started with,
and systemd opens a socket only while the service that it starts does not run. So new addresses are
opened in the restart of the first router process; meanwhile systemd keeps the unchanged sockets
open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tqunits.units import addresses, name, unitfile
from tqunits.units.observed import Observed
from tqunits.units.rendering import RenderedFile
from tqunits.units.steps import Desired, WriteFile


def sockets(files: Iterable[RenderedFile]) -> addresses.Places:
    """The router's socket units among these files."""
    found = ((file.unit, file.content) for file in files if file.unit and name.is_proxy_socket(file.unit))
    return {unit: addresses.of_unit(content) for unit, content in found}


def keeps_open(file: RenderedFile, before: str) -> bool:
    """A socket unit of the router that gets no new address: its open sockets stay open, whatever
    else changes in its file."""
    is_router = file.unit is not None and name.is_proxy_socket(file.unit)
    return is_router and set(addresses.of_unit(file.content)) <= set(addresses.of_unit(before))


def outdated(running: Iterable[str], desired: Desired, observed: Observed) -> frozenset[str]:
    """Router processes that were started with other code than the installed one."""
    files = (file.content for file in desired.units if file.unit == name.PROXY_TEMPLATE)
    code = next((unitfile.last_value(text, unitfile.ROUTER, "Code") for text in files), None)
    return frozenset(u for u in running if u in observed.codes and observed.codes[u] != code)


def with_openings(stale: tuple[str, ...], running: tuple[str, ...], observed: Observed) -> tuple[str, ...]:
    """The units to restart when a socket is opened: the first process, in whose restart it is
    opened, and every other process that runs, because a process keeps the sockets that it was
    started with.
    """
    routed = any(name.is_proxy(u) and observed.runs(u) for u in observed.units)
    down = [u for u in running if routed and name.is_proxy_socket(u) and not observed.is_up(u)]
    if not down and not any(name.is_proxy_socket(u) for u in stale):
        return stale
    first = name.proxy(1)
    return tuple(u for u in running if u in {*stale, *down, first} or (name.is_proxy(u) and observed.runs(u)))


def waiting(writes: Iterable[WriteFile], observed: Observed) -> tuple[str, ...]:
    """Active sockets of the router whose new file has one address less. They change with --now
    only."""
    changed = (w for w in writes if _is_open_socket(w.file.unit, observed) and set(_before(w)) - set(_after(w)))
    return tuple(w.file.unit for w in changed if w.file.unit)


def emptied(writes: Iterable[WriteFile], observed: Observed) -> tuple[str, ...]:
    """Active sockets of the router that keep none of their addresses."""
    changed = (w for w in writes if _is_open_socket(w.file.unit, observed) and not set(_before(w)) & set(_after(w)))
    return tuple(w.file.unit for w in changed if w.file.unit)


def closing(desired: Desired, observed: Observed) -> tuple[str, ...]:
    """Active sockets of the router that are not configured any more."""
    return tuple(u for u in desired.disabled if _is_open_socket(u, observed))


def _is_open_socket(unit: str | None, observed: Observed) -> bool:
    return unit is not None and name.is_proxy_socket(unit) and observed.runs(unit)


def _before(write: WriteFile) -> tuple[str, ...]:
    return addresses.of_unit(write.before or "")


def _after(write: WriteFile) -> tuple[str, ...]:
    return addresses.of_unit(write.file.content)


def needs_room(opening: Collection[str], empty: Collection[str], desired: Desired, observed: Observed) -> bool:
    """Whether an old address may have to be closed before a new one can be opened.

    After an interrupted run a process may have an address that is in no file any more. Signs of
    such a run: a socket that is installed but not open, and a process that is older than its file.
    `empty`: the sockets that this run closes.
    """
    places = addresses.installed(observed.files)
    had = addresses.all_of(places)
    wanted = sockets(desired.units)
    stays = set(addresses.all_of(wanted))
    new = [address for unit in opening for address in wanted.get(unit, ())]
    is_resumed = not (set(opening) & places.keys()) <= set(empty)
    is_resumed = is_resumed or any(name.is_proxy(unit) and _is_older(unit, observed) for unit in observed.units)
    gone = [address for address in had if address not in stays]
    return bool(opening) and (is_resumed or addresses.overlapping(new, gone))


def _is_older(process: str, observed: Observed) -> bool:
    times = (file.modified for path, file in observed.files.items() if path.name == name.PROXY_TEMPLATE)
    return observed.runs(process) and any(modified > observed.units[process].started for modified in times)
