"""Performs a plan, step by step. Nothing is decided here.

A crash or a power cut may come after any step: files.py writes each file whole, and the plan has
ordered the steps for that. A unit that fails to start does not stop the others: its result is
reported at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import assert_never

from tqunits.host import handover, live, pauses, traffic_file, writable
from tqunits.host.leftovers import discard
from tqunits.host.pauses import let_go
from tqunits.host.progress import HomeStay, StepStart, Tell, waiting
from tqunits.layout import Layout
from tqunits.lifecycle.outcome import JobResult
from tqunits.model import account_of
from tqunits.system import files, users
from tqunits.system.bus import Bus
from tqunits.system.jobs import Jobs
from tqunits.units import steps, unattended

_Jobs = Callable[[str, Sequence[str]], Iterable[JobResult]]


def execute(
    plan: steps.Plan, layout: Layout, bus: Bus, *, timeout_us: int, tell: Tell, is_unattended: bool = False
) -> tuple[JobResult, ...]:
    """Perform every step. Returns the result of every job. Raises TqunitsError when a step other
    than a job fails."""
    results: list[JobResult] = []
    for step in plan.steps:
        tell(StepStart(step))
        is_left = is_unattended and isinstance(step, steps.Start)
        most_us = min(timeout_us, unattended.LONGEST_START_US) if is_left else timeout_us
        jobs = partial(Jobs(bus).run, timeout_us=most_us, block=True, on_wait=waiting(tell))
        ended = _perform(step, layout, bus, jobs, tell)
        results += map(_left_alone, ended) if is_left else ended
    return tuple(results)


def _left_alone(result: JobResult) -> JobResult:
    """A start that goes on by itself, and was not to be waited for."""
    return replace(result, result="queued") if result.result == "waiting" else result


def _write(step: steps.WriteFile) -> None:
    path, file = Path(step.file.path), step.file
    if file.is_secret:
        files.write_secret(path, file.content, file.mode)
    else:
        files.write_atomically(path, file.content, file.mode, keep_time=step.keep_time)


def _arrange(step: steps.Rehome | steps.Admit | steps.Give, tell: Tell) -> None:
    """The steps that write no unit file. A home that can not be removed yet does not keep the
    worker from serving; `doctor` names it."""
    for folder in step.folders if isinstance(step, steps.Give) else ():
        writable.give(folder)
    for file in step.files if isinstance(step, steps.Admit) else ():
        handover.admit(file)
    for worker in step.workers if isinstance(step, steps.Rehome) else ():
        reason = users.rehome(worker)
        if reason is not None:
            tell(HomeStay(account_of(worker), reason))


def _perform(step: steps.Step, layout: Layout, bus: Bus, jobs: _Jobs, tell: Tell) -> tuple[JobResult, ...]:
    match step:
        case steps.WriteFile():
            _write(step)
        case steps.RemoveFile(path=path, is_secret=is_secret):
            (files.remove_secret if is_secret else files.remove)(Path(path))
        case steps.Rehome() | steps.Admit() | steps.Give():
            _arrange(step, tell)
        case steps.Discard() | steps.Unshadow() | steps.Expect() | steps.ForgetPauses():
            _keep_up(step, layout, bus)
        case steps.CreateUsers(path=path):
            users.create(Path(path))
        case steps.ReloadDaemon():
            bus.reload_daemon()
        case steps.Enable(units):
            bus.enable(units, reload=False)  # the plan has one reload for all of them
        case steps.Disable(units):
            bus.disable(units, reload=False)
        case steps.Start() | steps.Restart() | steps.Stop() | steps.Reload():
            return _run_jobs(step, bus, jobs)
        case _:
            assert_never(step)
    return ()


def _keep_up(step: steps.Upkeep, layout: Layout, bus: Bus) -> None:
    match step:
        case steps.Discard(paths):
            for path in paths:
                discard(path)
        case steps.Unshadow():
            live.recover(layout, bus)
        case steps.Expect(instances):
            traffic_file.wanted(layout, instances)
        case steps.ForgetPauses(workers):
            pauses.forget(layout, workers)
        case _:
            assert_never(step)


def _run_jobs(step: steps.Job, bus: Bus, jobs: _Jobs) -> tuple[JobResult, ...]:
    match step:
        case steps.Start(units):
            let_go(bus, units)  # an install is an order to try again
            return tuple(jobs("StartUnit", units))
        case steps.Restart(units):
            return tuple(jobs("RestartUnit", units))
        case steps.Stop(units):
            return _stop(bus, units, jobs)
        case steps.Reload(units):
            return tuple(jobs("ReloadUnit", units))
        case _:
            assert_never(step)


def _stop(bus: Bus, units: tuple[str, ...], jobs: _Jobs) -> tuple[JobResult, ...]:
    """Stop units that are not meant to run, and clear their failures from `systemctl --failed`:
    their files may be removed soon."""
    results = tuple(jobs("StopUnit", units))
    _forget_failures(bus, units)
    return results


def _forget_failures(bus: Bus, units: tuple[str, ...]) -> None:
    for unit in bus.list_units(units):
        if unit.active == "failed":
            bus.reset_failed(unit.name)
