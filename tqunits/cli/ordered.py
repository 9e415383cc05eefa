"""The common part of pause, resume, drain and maintenance: write the order, and wait until every
router carries it out.

A router reads the orders when it starts, so a router that does not run needs nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from tqunits.cli.context import Context
from tqunits.cli.selection import add_names, parted, refuse_single, select
from tqunits.control import questions
from tqunits.control.protocol import Doing, DoingThere
from tqunits.errors import ExitStatus, TimedOut, TqunitsError
from tqunits.host import traffic_file
from tqunits.host.installed import Installed, installed, served
from tqunits.host.observe import running_routers
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.routing.codec.document import Served
from tqunits.routing.traffic import DRAIN, Order
from tqunits.system.bus import Bus
from tqunits.units import name

_TAKEN_S = 10.0
"""A router usually notices the order at once; where inotify does not report it, within two
seconds."""

_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Seconds between two questions; the last value is repeated."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chosen workers, and the instances that were chosen without the others of their worker."""

    workers: tuple[str, ...]
    instances: tuple[Instance, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Their names. The first instance has the name of its worker, so chosen alone it is shown
        by its unit."""
        return (*self.workers, *map(name.service, self.instances))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare NAME..., --all and --json."""
    add_names(parser, all_means="every worker")
    parser.add_argument("--json", action="store_true", help="print JSON")


def chosen(arguments: argparse.Namespace, context: Context, *, files_too: bool, singly: bool = False) -> Chosen:
    """The chosen workers and instances. Without `files_too` only workers with a program count:
    static files get no other traffic.

    `singly`: single instances may be chosen. Raises UsageError otherwise.
    """
    present = installed(context.layout)
    every: list[Installed | Served] = [*present, *served(context.layout)]
    found = select(arguments, every, context)
    alone = [] if files_too else [worker.name for worker in found if isinstance(worker, Served)]
    if alone and not arguments.all:
        hint = f"'tqunits maintenance on {alone[0]}' answers all requests for it with a page"
        raise TqunitsError(f"{alone[0]} is files that the router serves: it has no program to spare", hint=hint)
    files = [] if alone else [worker.name for worker in found if isinstance(worker, Served)]
    instances = [worker.instance for worker in found if isinstance(worker, Installed)]
    whole, single = parted(instances, [worker.instance for worker in present])
    if not singly:
        refuse_single(single)
    return Chosen((*whole, *files), single)


def order(chosen: Chosen, wanted: Order | None, bus: Bus, context: Context) -> None:
    """Give the order to every router. Raises TimedOut when a router does not carry it out in time;
    the order holds nevertheless.

    Raises TqunitsError for an instance whose whole worker has the order that is to end.
    """
    context.require_root("telling the routers")
    orders = traffic_file.orders(context.layout)
    bound = [each for each in chosen.instances if wanted is None and each.worker in orders]
    if bound:
        message = f"{orders[bound[0].worker].order} is ordered of {bound[0].worker} as a whole"
        raise TqunitsError(message, hint=f"'tqunits resume {bound[0].worker}' takes it back")
    if chosen.workers:
        traffic_file.order(context.layout, chosen.workers, wanted)
    if chosen.instances:
        traffic_file.drain(context.layout, chosen.instances, drained=wanted is not None)
    expected = wanted.order if wanted is not None else ""
    late = _waited(context, bus, lambda doing: _carried_out(doing, chosen, expected), _TAKEN_S)
    if late:
        hint = f"'systemctl status {late[0]}' tells more; it reads the order when it is restarted"
        raise TimedOut(f"{', '.join(late)} has not taken it within {_TAKEN_S:g} s", hint=hint)


def drained(chosen: Chosen, bus: Bus, context: Context, timeout_s: float | None) -> tuple[str, ...]:
    """Wait until no request runs there; returns the routers that are not done when the time is
    over."""
    return _waited(context, bus, lambda doing: not _in_flight(doing, chosen), timeout_s)


def said(chosen: Chosen, what: str, ordered: str | None, arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """One line for each of them; with --json also the order in effect (None: none)."""
    for each in chosen.names:
        context.output.message(f"{each} {what}")
    if arguments.json:
        context.output.json("orders", 1, workers=list(chosen.names), order=ordered, exit_status=int(ExitStatus.OK))
    return ExitStatus.OK


_Doing = dict[str, Doing]


def _carried_out(doing: _Doing, chosen: Chosen, expected: str) -> bool:
    """Whether it is carried out. An order of a worker replaces those of its instances."""
    whole = [doing[worker] for worker in chosen.workers if worker in doing]
    parts = [there for each in chosen.instances if (there := _there(doing, each))]
    are_free = not any(there.drained for found in whole for there in found.instances)
    return (
        are_free
        and all(found.order == expected for found in whole)
        and all(there.drained == (expected == DRAIN) for there in parts)
    )


def _in_flight(doing: _Doing, chosen: Chosen) -> bool:
    parts = [there for each in chosen.instances if (there := _there(doing, each))]
    return any(doing[w].in_flight for w in chosen.workers if w in doing) or any(there.in_flight for there in parts)


def _there(doing: _Doing, whose: Instance) -> DoingThere | None:
    return doing[whose.worker].there(whose) if whose.worker in doing else None


def _waited(context: Context, bus: Bus, is_done: Callable[[_Doing], bool], timeout_s: float | None) -> tuple[str, ...]:
    """Ask the routers until all are done; returns those that are not when the time is over."""
    begun, asked = time.monotonic(), 0
    while True:
        late = tuple(unit for unit in running_routers(bus) if not _is_done(unit, context, is_done))
        passed = time.monotonic() - begun
        if not late or (timeout_s is not None and passed > timeout_s):
            return late
        asked += 1
        if context.output.interactive and passed > 1 and asked & (asked - 1) == 0:
            context.output.message(f"waiting for {', '.join(late)}, {passed:.0f} s")
        time.sleep(_PAUSES_S[min(asked, len(_PAUSES_S)) - 1])


def _is_done(unit: str, context: Context, is_done: Callable[[_Doing], bool]) -> bool:
    doing = questions.ask(unit, context.layout)
    return doing is not None and is_done(dict(doing))
