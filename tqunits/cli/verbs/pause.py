"""Let new requests for workers wait in the routers. What runs goes on.

A request waits as in a restart: for proxy.queue_timeout at most, and proxy.max_inflight of them;
then it gets 504, or 503 at once. Returns when every router process has taken it. It holds through
restarts of the routers and of the workers, until 'tqunits resume', or until the host is restarted;
'tqunits ls' shows it. An order before it (drain, maintenance) is replaced.

Exit status: 0 done, 6 a router has not taken it in time, 4 no such worker, 5 not permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli import ordered
from tqunits.cli.context import Context
from tqunits.errors import ExitStatus
from tqunits.routing.traffic import PAUSE, Order
from tqunits.system.bus import Bus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits pause`."""
    ordered.configure(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Pause."""
    workers = ordered.chosen(arguments, context, files_too=False)
    with Bus(user_mode=context.user_mode) as bus:
        ordered.order(workers, Order(PAUSE), bus, context)
    return ordered.said(workers, "is paused: its requests wait until 'tqunits resume'", PAUSE, arguments, context)
