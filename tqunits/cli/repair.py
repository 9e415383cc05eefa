"""Serve again what runs and is not served, because somebody has removed its files below /run/tqunits.

A router sends a worker requests while the file 'serving' is in the worker's runtime folder. Where it is gone and
systemd says that the worker runs, the file is made again. Where the worker's socket or its folder is gone too, the
worker is restarted; requests wait meanwhile. A router process that has lost its sockets is restarted as well: what runs
there is finished first. What is stopped, failed, starting or leaving is left alone.

Nobody has to run this: a router that holds a worker's requests for no reason that it knows asks for tq-repair.service,
which does, within seconds.

Exit status: 0 all that runs is served, 1 something could not be served again, 5 not permitted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from tqunits.cli.context import Context
from tqunits.cli.output import Output
from tqunits.cli.selection import installed, serving
from tqunits.errors import ExitStatus
from tqunits.system import repair
from tqunits.system.bus import Bus
from tqunits.units.cures import Cure

_SAYS = {
    Cure.ADMIT: "runs, and its file 'serving' was gone",
    Cure.RESTART: "runs, and its sockets or its folder were gone",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits repair`."""
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what is to be done, and do nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Repair."""
    context.require_root("repair")
    workers = installed(context.layout)
    known = serving(workers, context.layout)
    sought = [repair.Sought(name=w.name, socket=w.ledger.socket) for w in workers if w.unit in known]
    with Bus(user_mode=context.user_mode) as bus:
        found = repair.ailing(bus, context.layout, sought)
        outcomes = ((one, None) for one in found) if arguments.dry_run else repair.repaired(bus, found)
        done = [_said(one, served, None if arguments.json else context.output) for one, served in outcomes]
    if arguments.json:
        context.output.json("repair", 1, repaired=done)
    elif not done:
        context.output.message("nothing is lost: what runs is served")
    return ExitStatus.FAILED if any(one["served"] is False for one in done) else ExitStatus.OK


def _said(one: repair.Ailing, served: bool | None, output: Output | None) -> Mapping[str, str | bool | None]:  # noqa: FBT001
    """Say it as it is done, where there is an output. `served`: None where nothing was done."""
    if output is not None:
        verb = {None: "is to be", True: "is", False: "could not be"}[served] + " served again"
        how = "" if one.cure is Cure.ADMIT else ", by a restart"
        output.message(f"{one.unit} {_SAYS[one.cure]}: it {verb}{how}", style="" if served else "yellow")
    return {"unit": one.unit, "cure": one.cure.value, "served": served}
