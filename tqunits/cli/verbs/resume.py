"""Send workers requests again: the end of 'tqunits pause', of 'tqunits drain', and of 'tqunits
maintenance on'.

Returns when every router process has taken it. For workers that nothing was ordered of nothing
changes.

Exit status: 0 done, 6 a router has not taken it in time, 4 no such worker, 5 not permitted.
"""

from __future__ import annotations

import argparse

from tqunits.cli import ordered
from tqunits.cli.context import Context
from tqunits.errors import ExitStatus
from tqunits.system.bus import Bus


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits resume`."""
    ordered.configure(parser)


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Resume."""
    workers = ordered.chosen(arguments, context, files_too=True, singly=True)
    with Bus(user_mode=context.user_mode) as bus:
        ordered.order(workers, None, bus, context)
    return ordered.said(workers, "gets requests as ever", None, arguments, context)
