"""The common part of start, stop and restart: queue all jobs at once, wait for them together,
report failures. restarting.py has the restarts that are the manager's."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from tqunits.cli.context import Context
from tqunits.cli.results import add_timeout, conclude, progress, timeout_of
from tqunits.cli.selection import parted, select
from tqunits.control import managers
from tqunits.errors import ExitStatus
from tqunits.host import due, traffic_file
from tqunits.host.installed import Installed, installed
from tqunits.host.pauses import let_go
from tqunits.host.running_surges import running_surges
from tqunits.lifecycle.outcome import STOPS, JobResult
from tqunits.system.bus import Bus
from tqunits.system.jobs import Jobs
from tqunits.units import name

Outdated = Mapping[str, str]
"""Worker -> the remark about the program that it runs now."""

NONE_OUTDATED: Outdated = MappingProxyType({})


def configure_waiting(parser: argparse.ArgumentParser) -> None:
    """Declare --no-block, --timeout and --json."""
    parser.add_argument("--no-block", action="store_true", help="return at once, without waiting for the result")
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def start(workers: Sequence[Installed], bus: Bus, arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Start workers without any delay, and report programs that are older than their sources."""
    outdated = tell_outdated(workers, context)
    results = jobs_of("StartUnit", workers, bus, arguments, context)
    return finish(results, [worker.unit for worker in workers], arguments, context, outdated)


def jobs_of(
    method: str, workers: Sequence[Installed], bus: Bus, arguments: argparse.Namespace, context: Context
) -> Sequence[JobResult]:
    """What came of the starts or restarts of these, by the manager or by systemd. One that waits
    after a failure has its next start now."""
    results = by_manager(method, workers, arguments, context)
    if results is not None:
        return results
    units = [worker.unit for worker in workers]
    let_go(bus, units)
    return _run(method, units, bus, arguments, context)


def by_manager(
    method: str, workers: Sequence[Installed], arguments: argparse.Namespace, context: Context
) -> Sequence[JobResult] | None:
    """What came of it when the manager asks systemd, for an operator who is not root; None: ask
    systemd itself.

    The manager may clear a failure, which polkit's rule does not allow to operators, and writes
    down who has asked. Where it is away or refuses, the rule decides what systemd does.
    """
    if context.user_mode or os.geteuid() == 0:
        return None
    wait_us = 0 if arguments.no_block else timeout_of(arguments)
    return managers.operate(context.layout, method, [worker.instance for worker in workers], wait_us)


def wanted(arguments: argparse.Namespace, context: Context) -> tuple[Installed, ...]:
    """The workers of a start or restart; with --all those that their worker.yaml enables."""
    workers = select(arguments, installed(context.layout), context)
    return tuple(worker for worker in workers if worker.ledger.enabled or not arguments.all)


def with_surges(chosen: Sequence[Installed], bus: Bus, context: Context) -> tuple[Installed, ...]:
    """These replicas, and the running surges of the workers whose replicas are all among them: who
    stops a worker stops the instance of its roll as well."""
    present = [worker.instance for worker in installed(context.layout)]
    whole, _ = parted([worker.instance for worker in chosen], present)
    return (*chosen, *running_surges(bus, context.layout, whole))


def perform(method: str, units: Sequence[str], bus: Bus, arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """One job for each unit; `method` is StartUnit, StopUnit or RestartUnit. Returns the exit
    status."""
    return finish(_run(method, units, bus, arguments, context), units, arguments, context)


def _run(
    method: str, units: Sequence[str], bus: Bus, arguments: argparse.Namespace, context: Context
) -> Sequence[JobResult]:
    stops, failed = method == "StopUnit", {*units}
    _tell_routers(units, context, stops=stops)
    try:
        jobs = Jobs(bus).run(
            method,
            units,
            timeout_us=timeout_of(arguments),
            block=not arguments.no_block,
            on_wait=progress(context),
        )
        results = tuple(jobs)
        failed = {job.unit for job in results if job.result not in STOPS}
        return results
    finally:
        if stops and failed:
            _tell_routers(failed, context, stops=False)  # they still run: their requests wait during a restart


def finish(
    results: Iterable[JobResult],
    units: Sequence[str],
    arguments: argparse.Namespace,
    context: Context,
    outdated: Outdated = NONE_OUTDATED,
) -> ExitStatus:
    """Report the results of these jobs."""
    older = outdated_json(outdated)
    return conclude(results, context, as_json=arguments.json, units=list(units), outdated=older)


def outdated_json(outdated: Outdated) -> Sequence[Mapping[str, str]]:
    """As the document has them."""
    return [{"worker": worker, "message": message} for worker, message in outdated.items()]


def tell_outdated(workers: Iterable[Installed], context: Context) -> Outdated:
    """Report workers that are started with a program that does not match its sources; returns
    worker -> remark."""
    found = due.outdated_of(workers, context.layout)
    for worker, told in found.items():
        context.output.message(f"{worker}: {told}", style="yellow")
        context.output.message(f"    hint: {due.ADVICE}")
    return found


def _tell_routers(units: Iterable[str], context: Context, *, stops: bool) -> None:
    """Tell the routers whether requests for these units are to wait. If that fails, they wait, as
    after systemctl."""
    instances = {whose for unit in units if (whose := name.instance_of(unit))}
    try:
        (traffic_file.stop if stops else traffic_file.wanted)(context.layout, instances)
    except PermissionError:
        pass  # systemd may still permit it; if not, it says so
    except OSError as error:
        context.output.message(f"the routers can not be told: {error.strerror}; requests wait", style="yellow")
