"""Restart workers and wait until they are healthy, without a failed or a waiting request.

A worker that serves is restarted by the manager in a roll, as 'tqunits deploy' does it, with what
it runs anyway: first one more instance is started beside it, and shows that it gets healthy; then
each instance in turn gets no more requests, finishes those that it has, and is restarted; then the
one more is stopped. If the first start fails, the command says why, and what runs was never
touched. Where the memory for one more is not there, this is said, and requests wait in the router
meanwhile. As many workers are restarted at once as manager.max_parallel_rolls says. Each step is
told as it is taken; the manager goes on with it after Ctrl-C, after --timeout and with --no-block,
and 'tqunits history' shows how it ended.

All others are restarted by systemd at once: a single instance, such as tq-worker@api:2, and a
worker of which no instance serves. One that does not run is started. One that failed too often, so
that systemd does not start it any more, is given a new chance; one that waits for its next try has
it now. When one fails, the command prints why, with the last lines of its journal.

--at-once restarts all in this way, each with all its instances, which takes the least time:
requests that run are finished first, and those that come wait in the router until the worker is
healthy again. So it is with --user too, and while no manager answers that may restart workers.

With --all those that their worker.yaml disables (enabled: false) are left alone.

What was built is started as it is: when its sources have changed since then, that is said ('tqunits
install --now' builds it). A worker that was deployed starts with the release that it is to run:
'tqunits deploy' takes what its folder has now.

An operator of a worker (grants.NAME.operators) needs no root. The manager does it for him and
writes down who has asked; without the manager polkit's rule lets him ask systemd himself. Those of
several workers that he does not operate are refused by name, and the others are restarted.

Exit status: 0 all run, 1 one failed, or a newer deploy came before it, 6 one did not get healthy in
time, 4 no such worker, 5 not permitted, for one of them at least, 130 interrupted.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.lifecycle import configure_waiting, wanted
from tqunits.cli.restarting import restart
from tqunits.cli.selection import add_names
from tqunits.system.bus import Bus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits restart`."""
    add_names(parser, all_means="every worker that is enabled in its worker.yaml")
    parser.add_argument(
        "--at-once", action="store_true", help="all instances together: requests wait in the router meanwhile"
    )
    configure_waiting(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Restart."""
    workers = wanted(arguments, context)
    with Bus(user_mode=context.user_mode) as bus:
        return restart(workers, bus, arguments, context)
