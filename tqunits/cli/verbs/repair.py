"""Serve again what runs and is not served, because somebody has removed its files below
/run/tqunits.

A router sends a worker requests while the file 'serving' is in the worker's runtime folder. Where
it is gone and systemd says that the worker runs, the file is made again. Where the worker's socket
or its folder is gone too, the worker is restarted; requests wait meanwhile. A router process that
has lost its sockets is restarted as well: what runs there is finished first. What is stopped,
failed, starting or leaving is left alone.

Before that, what 'systemctl revert' or somebody else has taken of installed workers, their
drop-ins, is put back as it was: 'tqunits uninstall' removes a worker.

Nobody has to run this by hand: tq-repair.service runs it within seconds, when a router holds a
worker's requests without a known reason, and when a drop-in disappears from the folder of the
units.

Exit status: 0 nothing is lost any more, 1 something could not be served again, 5 not permitted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from tqunits.cli.context import Context
from tqunits.cli.output import Output
from tqunits.errors import ExitStatus
from tqunits.host import ailments, lost_drop_ins
from tqunits.host.installed import serving, slots
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import name
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
    output = None if arguments.json else context.output
    with Bus(user_mode=context.user_mode) as bus:
        lost = _put_back(bus, context.layout, dry_run=arguments.dry_run)
        done = [_restored(unit, output, dry_run=arguments.dry_run) for unit in lost]
        found = ailments.ailing(bus, context.layout, _sought(context.layout))
        outcomes = ((one, None) for one in found) if arguments.dry_run else ailments.repaired(bus, found)
        done += [_said(one, served, output) for one, served in outcomes]
    if arguments.json:
        context.output.json("repair", 1, repaired=done)
    elif not done:
        context.output.message("nothing is lost: what runs is served")
    return ExitStatus.FAILED if any(one["served"] is False for one in done) else ExitStatus.OK


def _sought(layout: Layout) -> list[ailments.Sought]:
    workers = slots(layout)
    known = serving(workers, layout)
    return [ailments.Sought(instance=w.instance, socket=w.ledger.socket) for w in workers if w.unit in known]


def _put_back(bus: Bus, layout: Layout, *, dry_run: bool) -> tuple[str, ...]:
    """The units that had lost their drop-ins. While another tqunits is at work, what lies there is
    its business."""
    lost = lost_drop_ins.lost(layout)
    if dry_run or not lost:
        return tuple(name.service(entry.whose) for entry in lost)
    with files.lock(Path(layout.install_lock), wait=True):
        return tuple(path.parent.name.removesuffix(".d") for path in lost_drop_ins.put_back(layout, bus))


def _restored(unit: str, output: Output | None, *, dry_run: bool) -> Mapping[str, str | bool | None]:
    if output is not None:
        output.message(f"{unit} {'has lost its drop-in' if dry_run else 'had lost its drop-in: it is put back'}")
    return {"unit": unit, "cure": "restore", "served": None}


def _said(one: ailments.Ailing, served: bool | None, output: Output | None) -> Mapping[str, str | bool | None]:  # noqa: FBT001
    """Say it as it is done, where there is an output. `served`: None where nothing was done."""
    if output is not None:
        verb = {None: "is to be", True: "is", False: "could not be"}[served] + " served again"
        how = "" if one.cure is Cure.ADMIT else ", by a restart"
        output.message(f"{one.unit} {_SAYS[one.cure]}: it {verb}{how}", style="" if served else "yellow")
    return {"unit": one.unit, "cure": one.cure.value, "served": served}
