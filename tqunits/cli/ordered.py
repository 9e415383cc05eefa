"""What pause, resume, drain and maintenance share: write the order, and wait until every router carries it out.

A router that is restarted reads the orders when it starts, so one that does not run needs nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Collection

from tqunits.cli.context import Context
from tqunits.cli.selection import add_names, select
from tqunits.control import client
from tqunits.control.protocol import Doing
from tqunits.errors import ExitStatus, TimedOut, TqunitsError
from tqunits.host import traffic
from tqunits.host.installed import Installed, installed, served
from tqunits.host.observe import running_routers
from tqunits.routing.codec.document import Served
from tqunits.routing.traffic import Order
from tqunits.system.bus import Bus

_TAKEN_S = 10.0
"""A router hears of it at once, and looks every two seconds where inotify does not tell."""

_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Between two questions; the last one again and again."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare NAME..., --all and --json."""
    add_names(parser, all_means="every worker")
    parser.add_argument("--json", action="store_true", help="print JSON")


def chosen(arguments: argparse.Namespace, context: Context, *, files_too: bool) -> tuple[str, ...]:
    """The names that are meant. Without `files_too` only workers with a program: nothing else gets requests."""
    every: list[Installed | Served] = [*installed(context.layout), *served(context.layout)]
    found = select(arguments, every, context)
    alone = [] if files_too else [worker.name for worker in found if isinstance(worker, Served)]
    if alone and not arguments.all:
        hint = f"'tqunits maintenance on {alone[0]}' answers all requests for it with a page"
        raise TqunitsError(f"{alone[0]} is files that the router serves: it has no program to spare", hint=hint)
    return tuple(worker.name for worker in found if worker.name not in alone)


def order(workers: Collection[str], wanted: Order | None, bus: Bus, context: Context) -> None:
    """Have every router do it. Raises TimedOut when one does not, and then it is ordered all the same."""
    context.require_root("telling the routers")
    traffic.order(context.layout, workers, wanted)
    expected = wanted.order if wanted is not None else ""
    late = _waited(context, bus, lambda doing: _carried_out(doing, workers, expected), _TAKEN_S)
    if late:
        hint = f"'systemctl status {late[0]}' tells more; it reads the order when it is restarted"
        raise TimedOut(f"{', '.join(late)} has not taken it within {_TAKEN_S:g} s", hint=hint)


def drained(workers: Collection[str], bus: Bus, context: Context, timeout_s: float | None) -> tuple[str, ...]:
    """Wait until nothing runs at these workers; gives the routers that are not done when the time is over."""
    return _waited(context, bus, lambda doing: not any(doing[w].in_flight for w in workers if w in doing), timeout_s)


def said(
    workers: Collection[str], what: str, ordered: str | None, arguments: argparse.Namespace, context: Context
) -> ExitStatus:
    """One line for each worker; with --json the order that holds now (None: none) as well."""
    for worker in workers:
        context.output.message(f"{worker} {what}")
    if arguments.json:
        context.output.json("orders", 1, workers=list(workers), order=ordered, exit_status=int(ExitStatus.OK))
    return ExitStatus.OK


_Doing = dict[str, Doing]


def _carried_out(doing: _Doing, workers: Collection[str], expected: str) -> bool:
    return all(doing[worker].order == expected for worker in workers if worker in doing)


def _waited(context: Context, bus: Bus, is_done: Callable[[_Doing], bool], timeout_s: float | None) -> tuple[str, ...]:
    """Ask the routers until all are done; gives those that are not when the time is over."""
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
    doing = client.ask(unit, context.layout)
    return doing is not None and is_done(dict(doing))
