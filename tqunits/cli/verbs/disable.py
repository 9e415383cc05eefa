"""Do not start workers at boot; with --now also stop them.

As 'systemctl disable tq-worker@NAME.service'. Note that the next 'tqunits install' enables it
again, unless its worker.yaml says `enabled: false`.

Exit status: 0 ok, 4 no such worker, 5 not permitted; with --now as 'tqunits stop'.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.lifecycle import configure_waiting, finish, perform, with_surges
from tqunits.cli.selection import add_names, select
from tqunits.errors import ExitStatus
from tqunits.host.installed import installed
from tqunits.system.bus import Bus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits disable`."""
    add_names(parser, all_means="every worker")
    parser.add_argument("--now", action="store_true", help="also stop them")
    configure_waiting(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Disable."""
    workers = select(arguments, installed(context.layout), context)
    units = [worker.unit for worker in workers]
    with Bus(user_mode=context.user_mode) as bus:
        bus.disable(units)
        if not arguments.now:
            return finish((), units, arguments, context)
        units = [worker.unit for worker in with_surges(workers, bus, context)]
        return perform("StopUnit", units, bus, arguments, context)
