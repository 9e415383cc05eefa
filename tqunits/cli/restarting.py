"""A restart: workers that serve are rolled by the manager, so that no request waits; all others are
restarted by systemd at once.

The manager's part goes on without whoever has asked for it. Where no manager answers, or where it
may do nothing, systemd is asked for all. Of an operator the manager takes his own workers; about
each of the others systemd is asked, which refuses, unless a rule of the administrator's allows it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

from tqunits.cli import deploy_progress, lifecycle
from tqunits.cli.context import Context
from tqunits.cli.deploy_words import Lines, goes_on
from tqunits.cli.restart_ways import RestartWays, endings_of, restart_orders, restart_ways
from tqunits.cli.results import ending_json, name_again, status_of, tell_failures, timeout_of
from tqunits.control import deploying, managers
from tqunits.control.deploying import Away
from tqunits.errors import NoSuchWorker, NotPermitted, TqunitsError
from tqunits.host import endings, pauses
from tqunits.host.endings import Ending
from tqunits.host.installed import Installed, installed
from tqunits.host.polkit_service import lack_of_polkit
from tqunits.lifecycle.deploys import DeployRecord
from tqunits.model import INFINITY, Instance
from tqunits.system.bus import Bus, UnitStatus
from tqunits.units import name

_SERVING = frozenset({"active", "reloading"})
_RESTING = frozenset({"inactive", "failed"})
_STOP = "stop"  # the type of a job


def restart(workers: Sequence[Installed], bus: Bus, arguments: argparse.Namespace, context: Context) -> int:
    """Restart these instances, and wait for all of them; returns the exit status. Raises
    TqunitsError."""
    outdated = lifecycle.tell_outdated(workers, context)
    until = _deadline(arguments)
    own, others = _parted(workers, context)
    ways, accepted = _asked(own, bus, arguments, context)
    try:
        ended = [
            *_direct([each for each in own if each.instance in ways.direct], bus, arguments, context),
            *(ending for each in others for ending in _direct_or_denied(each, bus, arguments, context)),
        ]
        records = _followed(accepted, arguments, context, until)
    except KeyboardInterrupt:
        if not accepted:
            raise
        too = "; what systemd was asked to do goes on too" if ways.direct else ""
        context.output.message(f"interrupted; {goes_on(accepted)}{too}")
        return deploy_progress.INTERRUPTED
    except TqunitsError:
        if accepted:
            context.output.message(goes_on(accepted))
        raise
    rolled = [
        each
        for record in records
        for each in endings_of(record, _replicas(record, own, ways), is_left=arguments.no_block)
    ]
    return _conclude([*ended, *rolled], workers, accepted, outdated, arguments, context)


def _deadline(arguments: argparse.Namespace) -> float | None:
    timeout_us = timeout_of(arguments)
    return None if timeout_us >= INFINITY else time.monotonic() + timeout_us / 1e6


def _parted(workers: Sequence[Installed], context: Context) -> tuple[Sequence[Installed], Sequence[Installed]]:
    """Those that an operator may restart, and the others. There are no others for root, and for who
    operates none of these, which the manager or systemd tells him."""
    if context.user_mode or os.geteuid() == 0:
        return workers, ()
    operated = {each.get("worker") for each in managers.instances(context.layout) or ()}
    own = [each for each in workers if each.worker in operated]
    return (own, [each for each in workers if each.worker not in operated]) if own else (workers, ())


def _asked(
    workers: Sequence[Installed], bus: Bus, arguments: argparse.Namespace, context: Context
) -> tuple[RestartWays, Sequence[DeployRecord]]:
    """Who is restarted in which way, and what the manager has accepted of it. What it refuses it
    has not begun: then systemd is asked, and says no where that is due."""
    chosen = tuple(each.instance for each in workers)
    if arguments.at_once or not _can_roll(bus, context):
        return RestartWays((), frozenset(chosen)), ()
    ways, accepted = _ways(chosen, bus, context), list[DeployRecord]()
    try:
        for order in restart_orders(ways.rolled):
            accepted += deploying.deploy(context.layout, order)
    except (Away, NoSuchWorker, NotPermitted):
        if accepted:  # it rolls these, and would be overtaken
            raise
        return RestartWays((), frozenset(chosen)), ()
    return ways, accepted


def _can_roll(bus: Bus, context: Context) -> bool:
    """Whether a manager is there that may restart workers."""
    return not context.user_mode and managers.running(context.layout) is not None and not lack_of_polkit(bus)


def _ways(chosen: Sequence[Instance], bus: Bus, context: Context) -> RestartWays:
    present = tuple(each.instance for each in installed(context.layout))
    loaded, paused = pauses.loaded_workers(bus)
    found = {each: loaded.get(name.service(each)) for each in chosen}
    return restart_ways(
        chosen,
        present,
        active=frozenset(each for each, unit in found.items() if unit is not None and unit.active in _SERVING),
        resting=frozenset(each for each, unit in found.items() if _rests(unit) and name.service(each) not in paused),
    )


def _rests(unit: UnitStatus | None) -> bool:
    """Whether it does not run, or is being stopped: a roll leaves that as it is, and who asks for a
    restart wants it to run."""
    return unit is None or unit.active in _RESTING or unit.job == _STOP


def _direct(
    workers: Sequence[Installed], bus: Bus, arguments: argparse.Namespace, context: Context
) -> Sequence[Ending]:
    """What came of those that systemd restarts; what failed is told."""
    if not workers:
        return ()
    results = lifecycle.jobs_of("RestartUnit", workers, bus, arguments, context)
    ended = endings.judged(results, context.layout, user_mode=context.user_mode)
    tell_failures(ended, context.output)
    return ended


def _direct_or_denied(worker: Installed, bus: Bus, arguments: argparse.Namespace, context: Context) -> Sequence[Ending]:
    """The same for one that the caller may have no right to: that is no reason to leave the others
    as they are."""
    try:
        return _direct([worker], bus, arguments, context)
    except NotPermitted as error:
        details = (("hint", error.hint),) if error.hint else ()
        denied = Ending(unit=worker.unit, result="refused", sentence=error.message, details=details, is_denied=True)
        tell_failures([denied], context.output)
        return (denied,)


def _followed(
    accepted: Sequence[DeployRecord], arguments: argparse.Namespace, context: Context, until: float | None
) -> Sequence[DeployRecord]:
    """The rolls as they are in the end, or when the time is over; each step is told as it comes."""
    form = Lines(context.output)
    for record in accepted:
        form.accepted(record, is_left=arguments.no_block)
    if arguments.no_block:
        return accepted
    records = deploy_progress.follow(accepted, form, context, until)
    for record in records:
        if not record.outcome.is_ended:
            context.output.message(f"{record.worker}: not done yet; {goes_on([record])}", style="red")
    return records


def _replicas(record: DeployRecord, workers: Sequence[Installed], ways: RestartWays) -> Sequence[Instance]:
    """The instances that its roll is about."""
    return [each.instance for each in workers if each.worker == record.worker and each.instance not in ways.direct]


def _conclude(
    ended: Sequence[Ending],
    workers: Sequence[Installed],
    accepted: Sequence[DeployRecord],
    outdated: lifecycle.Outdated,
    arguments: argparse.Namespace,
    context: Context,
) -> int:
    rolled = {record.worker for record in accepted}
    failed = [(name.worker_of(each.unit), name.named(each.unit)) for each in ended if each.sentence]
    name_again(tuple(dict.fromkeys(worker if worker in rolled else it for worker, it in failed)), context.output)
    status = status_of(ended)
    if arguments.json:
        context.output.json(
            "jobs",
            1,
            units=[each.unit for each in workers],
            outdated=lifecycle.outdated_json(outdated),
            jobs=[ending_json(each) for each in ended],
            restarts=[record.number for record in accepted],
            exit_status=int(status),
        )
    return status
