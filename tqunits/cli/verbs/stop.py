"""Stop workers and wait until they have ended.

First the router sends a worker no new requests and waits for the running ones. Then the worker gets
SIGTERM, has `timeouts.stop` to finish, and gets SIGKILL. Later requests are answered with 503 at
once. ('systemctl stop' does not tell the router, so requests wait first, as in a restart.) The
worker starts again at the next boot, unless 'tqunits disable' says otherwise. To stop a worker that
does not run is no error. An instance that a roll has started beside it is stopped too.

An operator of a worker (grants.NAME.operators) needs no root. The manager does it for him and
writes down who has asked; without the manager polkit's rule lets him ask systemd himself.

Exit status: 0 none runs any more, 1 one could not be stopped, 6 not in time, 4 no such worker, 5
not permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.lifecycle import by_manager, configure_waiting, finish, perform, with_surges
from tqunits.cli.selection import add_names, select
from tqunits.errors import ExitStatus
from tqunits.host.installed import installed
from tqunits.system.bus import Bus
from tqunits.units import unitfile


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits stop`."""
    add_names(parser, all_means="every worker")
    configure_waiting(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Stop, and wait for the sockets of workers too, which systemd ends after them."""
    chosen = select(arguments, installed(context.layout), context)
    with Bus(user_mode=context.user_mode) as bus:
        workers = with_surges(chosen, bus, context)
        sockets = (unitfile.last_value(worker.text, "Service", "Sockets") for worker in workers)
        units = [*(worker.unit for worker in workers), *filter(None, sockets)]
        results = by_manager("StopUnit", workers, arguments, context)
        if results is not None:
            return finish(results, units, arguments, context)
        return perform("StopUnit", units, bus, arguments, context)
