"""Take running workers out of service: new requests get 503, and running requests finish.

Returns when no router process has a request or a WebSocket open at them. The workers keep running,
so that you can look at them, and 'systemctl stop' then ends them at once. The order holds through
restarts of the routers and of the workers until 'tqunits resume' or a reboot; 'tqunits ls' shows
it. It replaces an earlier order (pause, maintenance).

Exit status: 0 no request is left, 6 some were left when --timeout was over (the order holds), 4 no
such worker, 5 not permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli import ordered
from tqunits.cli.context import Context
from tqunits.cli.span import positive_span_argument
from tqunits.errors import ExitStatus, TimedOut
from tqunits.routing.traffic import DRAIN, Order
from tqunits.system.bus import Bus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits drain`."""
    ordered.configure(parser)
    parser.add_argument(
        "--timeout", metavar="SPAN", type=positive_span_argument, help="wait at most so long (30s, 2min) for what runs"
    )


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Drain."""
    workers = ordered.chosen(arguments, context, files_too=False, singly=True)
    timeout_s = None if arguments.timeout is None else arguments.timeout / 1_000_000
    with Bus(user_mode=context.user_mode) as bus:
        ordered.order(workers, Order(DRAIN), bus, context)
        late = ordered.drained(workers, bus, context, timeout_s)
    if late:
        hint = "the order holds: 'tqunits drain' waits again, 'tqunits resume' takes it back"
        raise TimedOut(f"requests still run at {', '.join(late)}", hint=hint)
    return ordered.said(workers, "is drained: nothing runs there, until 'tqunits resume'", DRAIN, arguments, context)
