"""Perform a plan, step by step, and read back what came of it. Nothing is decided here.

Every step may be the last one (a crash, a power cut): files.py writes each file whole, and the order of the steps is
the plan's. A unit that fails to start does not stop the others: its result is reported when all is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

from tqunits.errors import TqunitsError
from tqunits.host import handover, writable
from tqunits.host.backoff import let_go
from tqunits.lifecycle.outcome import JobResult
from tqunits.model import Worker, account_of
from tqunits.resources import Share
from tqunits.system import files, rlimits, users
from tqunits.system.bus import Bus
from tqunits.system.jobs import Jobs, OnWait
from tqunits.units import name, unitfile
from tqunits.units.limits import limit_properties
from tqunits.units.steps import (
    Admit,
    CreateUsers,
    Disable,
    Enable,
    Give,
    Plan,
    Rehome,
    Reload,
    ReloadDaemon,
    RemoveFile,
    Restart,
    Start,
    Step,
    Stop,
    WriteFile,
)

Say = Callable[[str], None]
Progress = Callable[[], OnWait | None]
"""Makes, for each step that waits, what is told once a second who is waited for."""

_Jobs = Callable[[str, Sequence[str]], Iterable[JobResult]]

_PAGE = 4096
"""systemd rounds a share of the memory to pages (physical_memory_scale in its source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A limit that systemd has otherwise than was asked; `drop_in` is the administrator's, if that is why."""

    unit: str
    directive: str
    asked: int
    actual: int
    drop_in: Path | None


def execute(plan: Plan, bus: Bus, *, timeout_us: int, say: Say, progress: Progress) -> tuple[JobResult, ...]:
    """Perform every step; gives the result of every job. Raises TqunitsError when a step other than a job fails."""
    results: list[JobResult] = []
    for step in plan.steps:
        say(describe(step))
        jobs = partial(Jobs(bus).run, timeout_us=timeout_us, block=True, on_wait=progress())
        results += _perform(step, bus, jobs, say)
    return tuple(results)


def describe(step: Step) -> str:
    """A step as a line for the operator, in the words of the command that would do it."""
    match step:
        case WriteFile(file=file, before=before):
            return f"{'write' if before is None else 'update'} {file.path}"
        case RemoveFile(path=path):
            return f"remove {path}"
        case CreateUsers(path=path):
            return f"create users of {path}"
        case Rehome(workers=workers):
            return f"take the home from {' '.join(map(account_of, workers))}"
        case Give(folders=folders):
            return f"give {' '.join(map(str, folders))}"
        case Admit(files=missing):
            return f"serve {' '.join(file.parent.name for file in missing)}, as before"
        case ReloadDaemon():
            return "daemon-reload"
        case Enable() | Disable() | Start() | Restart() | Stop() | Reload():
            return f"{type(step).__name__.lower()} {' '.join(step.units)}"
        case _:
            assert_never(step)


def differences(workers: Iterable[Worker], bus: Bus) -> tuple[Difference, ...]:
    """The limits of every worker as systemd has them now, compared with what was asked (promise P4)."""
    memory = files.physical_memory()
    return tuple(found for worker in workers for found in _differences(worker, bus, memory))


def apply_process_limits(workers: Iterable[Worker], bus: Bus) -> tuple[str, ...]:
    """Give running processes their new LimitNOFILE= and LimitNPROC=: a reload changes cgroups, never a process.

    Gives the units whose processes could not get them, and take them with their next start.
    """
    units = (name.service(worker.name) for worker in workers)
    return tuple(unit for unit in units if not _apply_process_limits(unit, bus))


def _apply_process_limits(unit: str, bus: Bus) -> bool:
    """What systemd has, not what the YAML asks: a drop-in of the administrator may have decided otherwise."""
    kinds = ("NOFILESoft", "NOFILE", "NPROC")
    soft, hard, nproc = (int(str(bus.property_of(unit, "Service", f"Limit{kind}", "t"))) for kind in kinds)
    return rlimits.apply(bus.control_group(unit), nofile=(soft, hard), nproc=nproc)


def _write(step: WriteFile) -> None:
    path, file = Path(step.file.path), step.file
    if file.is_secret:
        files.write_secret(path, file.content, file.mode)
    else:
        files.write_atomically(path, file.content, file.mode, keep_time=step.keep_time)


def _arrange(step: Rehome | Admit | Give, say: Say) -> None:
    """What is no file of ours. A home that can not go yet keeps no worker from serving: `doctor` names it."""
    for folder in step.folders if isinstance(step, Give) else ():
        writable.give(folder)
    for file in step.files if isinstance(step, Admit) else ():
        handover.admit(file)
    for worker in step.workers if isinstance(step, Rehome) else ():
        reason = users.rehome(worker)
        if reason is not None:
            say(f"{account_of(worker)} keeps its home for now: {reason}")


def _perform(step: Step, bus: Bus, jobs: _Jobs, say: Say) -> tuple[JobResult, ...]:
    match step:
        case WriteFile():
            _write(step)
        case RemoveFile(path=path, is_secret=is_secret):
            (files.remove_secret if is_secret else files.remove)(Path(path))
        case Rehome() | Admit() | Give():
            _arrange(step, say)
        case CreateUsers(path=path):
            users.create(Path(path))
        case ReloadDaemon():
            bus.reload_daemon()
        case Enable(units):
            bus.enable(units, reload=False)  # the plan has one for all
        case Disable(units):
            bus.disable(units, reload=False)
        case Start() | Restart() | Stop() | Reload():
            return _run_jobs(step, bus, jobs)
        case _:
            assert_never(step)
    return ()


def _run_jobs(step: Start | Restart | Stop | Reload, bus: Bus, jobs: _Jobs) -> tuple[JobResult, ...]:
    match step:
        case Start(units):
            let_go(bus, units)  # who installs a new configuration means it to be tried
            return tuple(jobs("StartUnit", units))
        case Restart(units):
            return tuple(jobs("RestartUnit", units))
        case Stop(units):
            return _stop(bus, units, jobs)
        case Reload(units):
            return tuple(jobs("ReloadUnit", units))
        case _:
            assert_never(step)


def _stop(bus: Bus, units: tuple[str, ...], jobs: _Jobs) -> tuple[JobResult, ...]:
    """Stop, and leave no failure in `systemctl --failed` of what is not meant to run: its files may be gone soon."""
    results = tuple(jobs("StopUnit", units))
    _forget_failures(bus, units)
    return results


def _forget_failures(bus: Bus, units: tuple[str, ...]) -> None:
    for unit in bus.list_units(units):
        if unit.active == "failed":
            bus.reset_failed(unit.name)


def _differences(worker: Worker, bus: Bus, memory: int) -> Iterable[Difference]:
    unit = name.service(worker.name)
    actual = bus.properties(unit, "Service")
    for directive, asked in limit_properties(worker).items():
        wanted = _bytes(asked, memory)
        have = actual.get(directive)
        if not isinstance(have, int):
            raise TqunitsError(f"systemd does not tell {directive} of {unit}")
        slack = _PAGE if isinstance(asked, Share) else 0
        if abs(have - wanted) > slack:
            drop_in = _administrators(bus, unit, directive)
            yield Difference(unit=unit, directive=directive, asked=wanted, actual=have, drop_in=drop_in)


def _bytes(value: int | Share, memory: int) -> int:
    return memory * value.permyriad // 10000 if isinstance(value, Share) else value


_DIRECTIVES: Mapping[str, str] = {"CPUQuotaPerSecUSec": "CPUQuota", "LimitNOFILESoft": "LimitNOFILE"}
"""D-Bus properties that are spelled otherwise than the directive which sets them."""


def _administrators(bus: Bus, unit: str, property_name: str) -> Path | None:
    """The administrator's drop-in that sets this directive, when there is one."""
    directive = _DIRECTIVES.get(property_name, property_name)
    paths = bus.properties(unit, "Unit").get("DropInPaths")
    for path in reversed(paths if isinstance(paths, tuple) else ()):
        text = files.read_text_if_exists(Path(str(path))) or ""
        if not unitfile.is_ours(text) and unitfile.sets(text, directive):
            return Path(str(path))
    return None
