"""Jobs on the command line: how long to wait for them, and what is said when they end.

The exit status is 0 when all went well, 6 when all that went wrong is a matter of time or health, else 1.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Sequence

from tqunits.cli import causes
from tqunits.cli.context import Context
from tqunits.cli.selection import installed
from tqunits.cli.span import positive_span_argument
from tqunits.errors import ExitStatus
from tqunits.model import INFINITY
from tqunits.system import journal
from tqunits.system.bus import JobResult, OnWait
from tqunits.system.listeners import Holder, holder
from tqunits.units import name, unitfile

JOURNAL_LINES = 10
_NAMED = 5  # units that fit a line of progress

_FINE = {"done", "queued"}


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Declare --timeout."""
    parser.add_argument(
        "--timeout",
        metavar="SPAN",
        type=positive_span_argument,
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
    if len(failed) > 1:  # the first of them may have left the screen
        context.output.message(f"failed: {', '.join(short(result.unit) for result in failed)}", style="red")
    return ExitStatus.TIMEOUT if all(map(causes.is_slow, failed)) else ExitStatus.FAILED


def progress(context: Context, *, quiet: bool = False) -> OnWait | None:
    """Say on a terminal who is waited for, after 1, 2, 4, 8 ... seconds: enough to trust it, and few enough to read."""
    if quiet or not context.output.interactive:
        return None
    begin = time.monotonic()
    due = 1.0

    def tell(units: Sequence[str]) -> None:
        nonlocal due
        waited = time.monotonic() - begin
        if waited < due:
            return
        due = max(due * 2, waited)
        names = ", ".join(short(unit) for unit in units[:_NAMED])
        more = f" and {len(units) - _NAMED} more" if len(units) > _NAMED else ""
        context.output.message(f"waiting for {names}{more} since {waited:.0f} s", style="dim")

    return tell


def short(unit: str) -> str:
    """A worker's own name, or the whole name of any other unit."""
    return name.worker_of(unit) or unit


def intruder(unit: str, context: Context) -> Holder | None:
    """Who else listens on the port of an installed worker: a process of another user's."""
    worker = next((w for w in installed(context.layout) if w.unit == unit), None)
    found = holder(worker.ledger.port) if worker is not None and worker.ledger.port else None
    if worker is None or found is None:
        return None
    own = unitfile.last_value(worker.text, "Service", "User")
    return None if found.user == own or (own is None and found.uid == os.geteuid()) else found


def _tell(result: JobResult, context: Context) -> None:
    tell = context.output.message
    if result.result == "waiting":
        tell(f"{short(result.unit)}: not done yet; it goes on without being waited for", style="red")
        return
    tell(f"{short(result.unit)}: {causes.of_job(result)}", style="red")
    lines = _last_lines(result, context)
    for line in lines:
        tell(f"    {line}", style="dim")
    advice = causes.advice(result, lines, intruder(result.unit, context))
    if advice:
        tell(f"    hint: {advice.replace('NAME', short(result.unit))}")


def _last_lines(result: JobResult, context: Context) -> tuple[str, ...]:
    """What the failed start has left in the journal; or where it would be, for who may not read it."""
    if result.failure is None:
        return ()
    lines = journal.last_lines(
        result.unit,
        JOURNAL_LINES,
        user_mode=context.user_mode,
        invocation=result.failure.invocation,
        verdict=causes.GATE_VERDICT if causes.is_unhealthy(result.failure) else "",
    )
    if lines or context.user_mode or os.geteuid() == 0:
        return lines
    return (f"(its journal has nothing that you may read: sudo tqunits logs {short(result.unit)})",)
