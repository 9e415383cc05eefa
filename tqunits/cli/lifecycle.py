"""What start, stop and restart share: queue all jobs at once, wait for them together, say what failed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

from tqunits.cli.context import Context
from tqunits.cli.jobs import add_timeout, report, short, timeout_of
from tqunits.errors import ExitStatus
from tqunits.system.bus import Bus

_NAMED = 5  # units that fit a line of progress


def configure_waiting(parser: argparse.ArgumentParser) -> None:
    """Declare --no-block and --timeout."""
    parser.add_argument("--no-block", action="store_true", help="return at once, without waiting for the result")
    add_timeout(parser)


def perform(method: str, units: Sequence[str], bus: Bus, arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """One job for each unit, `method` being StartUnit, StopUnit or RestartUnit; gives the exit status."""
    results = bus.jobs(
        method,
        units,
        timeout_us=timeout_of(arguments),
        block=not arguments.no_block,
        on_wait=_progress(context) if context.output.interactive else None,
    )
    return report(tuple(results), context)


def forget_failures(bus: Bus, units: Sequence[str]) -> None:
    """Reset those that have failed: who asks for a start means it, also where the restarts are used up."""
    for unit in bus.list_units(units):
        if unit.active == "failed":
            bus.reset_failed(unit.name)


def _progress(context: Context) -> Callable[[Sequence[str]], None]:
    """Say who is waited for after 1, 2, 4, 8 ... seconds: often enough to trust it, seldom enough to read."""
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
