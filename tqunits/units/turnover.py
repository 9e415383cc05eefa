"""How the router takes another set of addresses, or other code, with no unchanged address closed:
who is touched.

`plan.py` has the steps and their order; here is what they are about. A service has the sockets that
it was started with, and systemd opens a socket only while the service that it starts is not there.
So new addresses are opened in the restart of the first process; what is open and stays, stays open
in systemd meanwhile.
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
    """A socket of the router that gets no address: what it has open stays open, whatever else its
    file says."""
    is_router = file.unit is not None and name.is_proxy_socket(file.unit)
    return is_router and set(addresses.of_unit(file.content)) <= set(addresses.of_unit(before))


def outdated(running: Iterable[str], desired: Desired, observed: Observed) -> frozenset[str]:
    """Processes of the router that were started by other code than is installed."""
    files = (file.content for file in desired.units if file.unit == name.PROXY_TEMPLATE)
    code = next((unitfile.last_value(text, unitfile.ROUTER, "Code") for text in files), None)
    return frozenset(u for u in running if u in observed.codes and observed.codes[u] != code)


def with_openings(stale: tuple[str, ...], running: tuple[str, ...], observed: Observed) -> tuple[str, ...]:
    """A socket that is opened takes the first process with it, in whose restart it is, and every
    other one that runs: a service has the sockets that it was started with.
    """
    routed = any(name.is_proxy(u) and observed.runs(u) for u in observed.units)
    down = [u for u in running if routed and name.is_proxy_socket(u) and not observed.is_up(u)]
    if not down and not any(name.is_proxy_socket(u) for u in stale):
        return stale
    first = name.proxy(1)
    return tuple(u for u in running if u in {*stale, *down, first} or (name.is_proxy(u) and observed.runs(u)))


def waiting(writes: Iterable[WriteFile], observed: Observed) -> tuple[str, ...]:
    """Sockets of the router that are up, and whose file would close an address: with --now it does,
    at its time."""
    changed = (w for w in writes if _is_open_socket(w.file.unit, observed) and set(_before(w)) - set(_after(w)))
    return tuple(w.file.unit for w in changed if w.file.unit)


def emptied(writes: Iterable[WriteFile], observed: Observed) -> tuple[str, ...]:
    """Sockets of the router that are up, and none of whose addresses stays."""
    changed = (w for w in writes if _is_open_socket(w.file.unit, observed) and not set(_before(w)) & set(_after(w)))
    return tuple(w.file.unit for w in changed if w.file.unit)


def closing(desired: Desired, observed: Observed) -> tuple[str, ...]:
    """Sockets of the router that are up, and not asked for any more."""
    return tuple(u for u in desired.disabled if _is_open_socket(u, observed))


def _is_open_socket(unit: str | None, observed: Observed) -> bool:
    return unit is not None and name.is_proxy_socket(unit) and observed.runs(unit)


def _before(write: WriteFile) -> tuple[str, ...]:
    return addresses.of_unit(write.before or "")


def _after(write: WriteFile) -> tuple[str, ...]:
    return addresses.of_unit(write.file.content)


def needs_room(opening: Collection[str], empty: Collection[str], desired: Desired, observed: Observed) -> bool:
    """Whether an address may be in the way of a new one.

    After a run that was cut off a process may have what is in no file any more. A socket that is
    installed and not open tells of such a run, and a process that is older than its file; `empty`
    are the sockets that this run closes.
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
