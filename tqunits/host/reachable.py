"""Whether the router can be reached, and is the installed one: checks of `tqunits doctor`.
Read-only."""

from __future__ import annotations

from collections.abc import Iterator

from tqunits.host import binding, observe, this_host
from tqunits.host.diagnosis import Finding, Level
from tqunits.host.observed_files import observe_sockets
from tqunits.layout import Layout
from tqunits.model import Server
from tqunits.system.bus import Bus
from tqunits.units import addresses

_CHECK = "router"


def findings(server: Server, layout: Layout, bus: Bus | None, *, user_mode: bool) -> Iterator[Finding]:
    """The addresses of `listen`, and the processes that serve them."""
    places = addresses.installed(observe_sockets(layout))
    up = {unit.name for unit in bus.list_units(list(places)) if unit.active == "active"} if bus and places else set()
    ours = addresses.all_of({unit: found for unit, found in places.items() if unit in up})
    open_ = [address for address in server.listen if addresses.canonical(address) in ours]
    if open_:
        yield Finding(check=_CHECK, level=Level.OK, message=f"the router listens on {', '.join(open_)}")
    found = [f for a in server.listen for f in _of(a, ours, is_open=a in open_, user_mode=user_mode)]
    yield from sorted(found, key=lambda finding: list(Level).index(finding.level))  # problems come last
    if bus is not None:
        yield from _processes(bus)


def _of(address: str, ours: tuple[str, ...], *, is_open: bool, user_mode: bool) -> Iterator[Finding]:
    found = binding.obstacle(address, ours, user_mode=user_mode)
    if found is not None and not (is_open and found.is_now):
        level = Level.PROBLEM if found.is_now else Level.WARNING
        yield Finding(check=_CHECK, level=level, message=f"{address} {found.message}", advice=found.hint)
    elif not is_open and ours:
        message = f"{address} is configured, and not open"
        yield Finding(check=_CHECK, level=Level.WARNING, message=message, advice="'tqunits install --now' opens it")
    elif not is_open:
        yield Finding(check=_CHECK, level=Level.OK, message=f"nothing else listens on {address}")


def _processes(bus: Bus) -> Iterator[Finding]:
    codes = observe.router_codes(bus, observe.running_routers(bus))
    code = this_host.fingerprint() if codes else ""
    old = [unit for unit, its in codes.items() if its != code]
    if old:
        message = f"runs the code of another release: {', '.join(old)}"
        advice = "'tqunits install --now' restarts it, one process after the other"
        yield Finding(check=_CHECK, level=Level.WARNING, message=message, advice=advice)
