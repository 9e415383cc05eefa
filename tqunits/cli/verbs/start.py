"""Start workers and wait until they are healthy.

All are started at once, and waited for together. The command returns when each has answered its
health check (or has said READY=1 itself), or has failed: then it prints why, with the last lines of
the worker's journal.

A worker that failed too often, so that systemd does not start it any more, is given a new chance;
one that waits for its next try has it now. With --all those that their worker.yaml disables
(enabled: false) are left alone.

What was built is started as it is: when its sources have changed since then, that is said ('tqunits
install --now' builds it).

An operator of a worker (grants.NAME.operators) needs no root. The manager does it for him and
writes down who has asked; without the manager polkit's rule lets him ask systemd himself.

Exit status: 0 all run, 1 one failed, 6 one did not get healthy in time, 4 no such worker, 5 not
permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.cli.lifecycle import configure_waiting, start, wanted
from tqunits.cli.selection import add_names
from tqunits.errors import ExitStatus
from tqunits.system.bus import Bus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits start`."""
    add_names(parser, all_means="every worker that is enabled in its worker.yaml")
    configure_waiting(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Start."""
    workers = wanted(arguments, context)
    with Bus(user_mode=context.user_mode) as bus:
        return start(workers, bus, arguments, context)
