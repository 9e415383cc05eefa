"""What start, stop and restart share: queue all jobs at once, wait for them together, say what failed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress

from tqunits.cli.context import Context
from tqunits.cli.jobs import add_timeout, progress, report, timeout_of
from tqunits.errors import ExitStatus, NotPermitted
from tqunits.system import traffic
from tqunits.system.bus import Bus
from tqunits.units import name


def configure_waiting(parser: argparse.ArgumentParser) -> None:
    """Declare --no-block and --timeout."""
    parser.add_argument("--no-block", action="store_true", help="return at once, without waiting for the result")
    add_timeout(parser)


def perform(method: str, units: Sequence[str], bus: Bus, arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """One job for each unit, `method` being StartUnit, StopUnit or RestartUnit; gives the exit status."""
    workers = {worker for unit in units if (worker := name.worker_of(unit))}
    with suppress(PermissionError):  # whoever may start units, but is not root: requests wait, as with systemctl
        (traffic.stop if method == "StopUnit" else traffic.wanted)(context.layout, workers)
    try:
        results = bus.jobs(
            method,
            units,
            timeout_us=timeout_of(arguments),
            block=not arguments.no_block,
            on_wait=progress(context),
        )
        return report(tuple(results), context)
    except NotPermitted:
        with suppress(PermissionError):
            traffic.wanted(context.layout, workers)
        raise


def forget_failures(bus: Bus, units: Sequence[str]) -> None:
    """Reset those that have failed: who asks for a start means it, also where the restarts are used up."""
    for unit in bus.list_units(units):
        if unit.active == "failed":
            bus.reset_failed(unit.name)
