"""Start workers at boot; with --now also at once.

As 'systemctl enable tq-worker@NAME.service'. Note that 'tqunits install' enables every worker that
its worker.yaml enables: to keep one off for good, write `enabled: false` there.

Exit status: 0 ok, 4 no such worker, 5 not permitted; with --now as 'tqunits start'.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.lifecycle import configure_waiting, finish, start
from tqunits.cli.selection import add_names, select
from tqunits.errors import ExitStatus
from tqunits.host.installed import installed
from tqunits.system.bus import Bus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits enable`."""
    add_names(parser, all_means="every worker")
    parser.add_argument("--now", action="store_true", help="also start them")
    configure_waiting(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Enable."""
    workers = select(arguments, installed(context.layout), context)
    units = [worker.unit for worker in workers]
    with Bus(user_mode=context.user_mode) as bus:
        bus.enable(units)
        if not arguments.now:
            return finish((), units, arguments, context)
        return start(workers, bus, arguments, context)
