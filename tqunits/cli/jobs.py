"""Jobs on the command line: how long to wait for them, and what is said when they end.

The exit status is 0 when all went well, 6 when all that went wrong is a matter of time or health, else 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from tqunits.cli import causes
from tqunits.cli.context import Context
from tqunits.config.findings import Reject
from tqunits.config.values import print_span, span
from tqunits.errors import ExitStatus
from tqunits.model import INFINITY
from tqunits.system import journal
from tqunits.system.bus import JobResult
from tqunits.units import name

JOURNAL_LINES = 10

_FINE = {"done", "queued"}


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Declare --timeout."""
    parser.add_argument(
        "--timeout",
        metavar="SPAN",
        type=_span,
        default=INFINITY,
        help="wait at most so long (30s, 2min); without it, as long as each worker's own timeouts allow",
    )


def timeout_of(arguments: argparse.Namespace) -> int:
    """The value of --timeout in microseconds; INFINITY without it."""
    return int(arguments.timeout)


def report(results: Iterable[JobResult], context: Context) -> ExitStatus:
    """Say on stderr what failed and why, with the last lines of its journal; gives the exit status."""
    failed = [result for result in results if result.result not in _FINE]
    for result in failed:
        _tell(result, context)
    if not failed:
        return ExitStatus.OK
    return ExitStatus.TIMEOUT if all(map(causes.is_slow, failed)) else ExitStatus.FAILED


def short(unit: str) -> str:
    """A worker's own name, or the whole name of any other unit."""
    return name.worker_of(unit) or unit


def _tell(result: JobResult, context: Context) -> None:
    tell = context.output.message
    if result.result == "waiting":
        tell(f"{short(result.unit)}: not done yet; it goes on without being waited for", style="red")
        return
    tell(f"{short(result.unit)}: {causes.of_job(result)}", style="red")
    if result.failure is None:
        return
    start = journal.Start(invocation=result.failure.invocation, time_us=result.failure.started_us)
    lines = journal.last_lines(result.unit, JOURNAL_LINES, user_mode=context.user_mode, start=start)
    for line in lines:
        tell(f"    {line}", style="dim")
    if not lines:
        tell(f"    its journal has nothing that you may read; see 'tqunits logs {short(result.unit)}'", style="dim")


def _span(text: str) -> int:
    """argparse's type: it wants an ArgumentTypeError to show its text."""
    try:
        value = span(text)
    except Reject as rejected:
        raise argparse.ArgumentTypeError(str(rejected)) from None
    if value == 0:
        raise argparse.ArgumentTypeError(f"{print_span(value)} is no time to wait; --no-block does not wait")
    return value
