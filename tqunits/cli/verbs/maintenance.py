"""Answer all requests for workers with a page: status 503, and your text.

Files that the router serves for these workers get the same answer. Running requests finish, and
waiting ones get the page at once. The page is HTML, JSON or plain text, as the client accepts.
Returns when every router process has taken the order. It holds through restarts of the routers and
of the workers until 'tqunits maintenance off' (or 'tqunits resume') or a reboot; 'tqunits ls' shows
it. It replaces an earlier order (pause, drain).

Exit status: 0 done, 6 a router has not taken it in time, 4 no such worker, 5 not permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli import ordered
from tqunits.cli.context import Context
from tqunits.errors import ExitStatus, UsageError
from tqunits.http.answers import MAX_MESSAGE
from tqunits.routing.traffic import MAINTENANCE, Order
from tqunits.system.bus import Bus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits maintenance`."""
    parser.add_argument("switch", choices=("on", "off"), help="begin or end it")
    ordered.configure(parser)
    parser.add_argument("--text", metavar="TEXT", help="what the page says, with `on`")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Switch it."""
    text = arguments.text or ""
    if arguments.switch == "off" and arguments.text is not None:
        raise UsageError("--text is about `on`", hint="leave it out")
    if len(text) > MAX_MESSAGE:
        raise UsageError(f"--text has {len(text)} characters", hint=f"at most {MAX_MESSAGE}")
    workers = ordered.chosen(arguments, context, files_too=True)
    is_on = arguments.switch == "on"
    with Bus(user_mode=context.user_mode) as bus:
        ordered.order(workers, Order(MAINTENANCE, text) if is_on else None, bus, context)
    what = "is in maintenance: its requests get a page" if is_on else "gets requests as ever"
    return ordered.said(workers, what, MAINTENANCE if is_on else None, arguments, context)
