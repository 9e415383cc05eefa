"""Gathers the facts of a worker's end for lifecycle/: from systemd, the drop-in, the journal and
the worker's files.

For a job that has just failed, the bus has already read systemd's properties (`Failure`). For a
worker that is asked about later, they are read here; where the next start has overwritten them,
from the journal.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import PurePosixPath

from tqunits import health
from tqunits.health import HealthType
from tqunits.host import healthy
from tqunits.host.installed import Installed
from tqunits.host.status import InstanceStatus
from tqunits.late_pattern import late_pattern
from tqunits.layout import Layout
from tqunits.lifecycle import error_lines, outcome
from tqunits.lifecycle.facts import Facts, UnitEnd
from tqunits.lifecycle.outcome import Failure
from tqunits.lifecycle.state import Detail, State
from tqunits.light_dataclass import dataclass
from tqunits.system import access, cgroup, journal
from tqunits.system.bus import Bus
from tqunits.system.entries import Exit
from tqunits.system.listeners import holder
from tqunits.system.ownership import first_not_roots
from tqunits.units import grants, sandbox, unitfile
from tqunits.units.unitfile import Ledger

_GATE = late_pattern(r"/gate\.py (.*)")
_MINE = frozenset({"yes", "true", "on", "1"})
_NOT_RESULTS = {1: "exit-code", 2: "signal", 3: "core-dump"}
_PATIENCE = 5.0  # seconds that a health check may take which we send now
_FAILED = InstanceStatus(state=State.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An installed worker: its name, unit and drop-in."""

    name: str
    unit: str
    text: str
    ledger: Ledger
    layout: Layout
    user_mode: bool


def subject_of(worker: Installed, layout: Layout, *, user_mode: bool) -> Subject:
    """An installed worker as a subject."""
    return Subject(
        name=worker.name,
        unit=worker.unit,
        text=worker.text,
        ledger=worker.ledger,
        layout=layout,
        user_mode=user_mode,
    )


def of_failure(subject: Subject, failure: Failure, *, status: InstanceStatus = _FAILED) -> Facts:
    """The facts of the start that `failure` is about. For a worker that was given up, the facts of
    its last real start."""
    facts = _installed(subject, status)
    end = _end(failure)
    if (end.code, end.status) == ("exited", outcome.GIVEN_UP) and _last(subject, "RestartPreventExitStatus"):
        return _of_last_run(replace(facts, end=end, gave_up=True), subject, failure)
    gave_up = failure.result == "start-limit-hit"
    if gave_up and failure.main_code in _NOT_RESULTS:
        failed = failure.gate_status is not None
        end = replace(end, result="exit-code" if failed else _NOT_RESULTS[failure.main_code])
    kernel = ""
    if end.code == "killed" and outcome.signal_name(end.status) == "SIGKILL" and not subject.user_mode:
        kernel = journal.kernel_killed(failure.main_pid, failure.main_exit_us)
    facts = replace(facts, end=end, gave_up=gave_up, kernel=kernel)
    return _with_words(facts, subject, failure.invocation)


def of_overtaken(subject: Subject, start: Failure) -> Facts:
    """The facts of the run before that start, as the journal has them: of a start that has failed,
    when the next one has begun before anybody has asked systemd."""
    return _of_last_run(_installed(subject, _FAILED), subject, start)


def of_now(subject: Subject, bus: Bus, status: InstanceStatus) -> Facts:
    """The facts of a worker as it is now. If it runs, it is sent one health check."""
    if status.state is State.FAILED or status.comes_again:
        return of_failure(subject, bus.failure(subject.unit), status=status)
    facts = _installed(subject, status)
    match status.state:
        case State.STARTING if status.restarts:
            return _of_last_run(facts, subject, bus.failure(subject.unit))
        case State.HEALTHY | State.UNHEALTHY if facts.address and status.detail is not Detail.HOLDING:
            facts = replace(facts, answer=healthy.answer(facts, patience=_PATIENCE))
            return _with_words(facts, subject, bus.invocation(subject.unit)) if facts.answer else facts
        case _:
            return facts


def _of_last_run(facts: Facts, subject: Subject, start: Failure) -> Facts:
    """Add what the journal has of the run before that start; without an entry the facts stay as
    they are."""
    runs = journal.exits(subject.unit, 2, user_mode=subject.user_mode)
    last = next((run for run in runs if run.invocation != start.invocation), None)
    if last is None:
        return facts
    end = replace(_of_exit(last), program=start.program)
    return _with_words(replace(facts, end=end), subject, last.invocation)


def of_exit(exit_: Exit) -> str:
    """How one run in the journal ended, in words."""
    end = _of_exit(exit_)
    return outcome.of_run(end.result, end.code, end.status, end.gate)


def _installed(subject: Subject, status: InstanceStatus) -> Facts:
    ledger, gate = subject.ledger, _gate(subject)
    own, _ = access.numbers(_last(subject, "User"))
    other = holder(ledger.port, but=own) if ledger.port else None
    folder = _last(subject, "WorkingDirectory").lstrip("-~")
    profile = sandbox.installed(subject.text)
    is_request = not subject.user_mode and bool(ledger.source) and first_not_roots(ledger.source) is not None
    return Facts(
        name=subject.name,
        state=status.state,
        detail=status.detail,
        restarts=status.restarts,
        names_killer=cgroup.hierarchy() is cgroup.Hierarchy.UNIFIED,
        source=ledger.source,
        is_enabled=ledger.enabled,
        address=ledger.socket or (f"127.0.0.1:{ledger.port}" if ledger.port else ""),
        health_type=_health_type(subject, gate),
        health=_asked(subject) or gate.get("--path", ""),
        accepted=health.read(gate.get("--status", "")),
        health_host=gate.get("--host-field", ""),
        patience=f"{gate['--budget']} s" if gate.get("--budget", "infinity") != "infinity" else "",
        holder=str(other) if other else "",
        memory_max=_size(_last(subject, "MemoryMax")),
        user=_last(subject, "User") or ("you" if subject.user_mode else "root"),
        folder=folder,
        state_folder=str(PurePosixPath(subject.layout.state) / "workers" / subject.ledger.worker),
        sandbox=profile,
        missing=sandbox.missing(profile, user_mode=subject.user_mode) if profile else frozenset(),
        by_grant=grants.SANDBOXES if is_request else frozenset(),
    )


def _with_words(facts: Facts, subject: Subject, invocation: str) -> Facts:
    """Add the messages of that start, and look at the paths that they name."""
    verdict = ""
    lines: tuple[str, ...] = ()
    if invocation:
        mode, begins, runs = subject.user_mode, outcome.GATE_VERDICT, facts.end is None
        said = journal.said(subject.unit, invocation, user_mode=mode, verdict=begins, runs=runs)
        lines = tuple(line for line in said if not line.startswith(outcome.GATE_VERDICT))
        verdict = next((line for line in reversed(said) if line.startswith(outcome.GATE_VERDICT)), "")
    end = facts.end
    error = error_lines.complaint(lines, last=end is None or end.is_started, folder=facts.folder)
    view = _view(subject)
    looks = [access.look(error.path, view)] if error and error.path else []
    if end is not None and end.program and end.status == 203:
        looks.append(access.look(end.program, view, runs=True))
    return replace(facts, lines=lines, verdict=verdict, looks=tuple(looks))


def _end(failure: Failure) -> UnitEnd:
    return UnitEnd(
        result=failure.result,
        code=outcome.CODES.get(failure.main_code, ""),
        status=failure.main_status,
        gate=failure.gate_status,
        program=failure.program,
        is_started=failure.was_active,
    )


def _of_exit(last: Exit) -> UnitEnd:
    status = int(last.status or 0)
    is_gates = last.command == "ExecStartPost"
    return UnitEnd(
        result=last.result, code="" if is_gates else last.code, status=status, gate=status if is_gates else None
    )


def _gate(subject: Subject) -> dict[str, str]:
    """The options of the gate's command line in the drop-in."""
    return dict(_gate_options(subject))


def _gate_options(subject: Subject) -> list[tuple[str, str]]:
    match = _GATE.search(_last(subject, "ExecStartPost"))
    try:
        words = shlex.split(match[1].replace("%%", "%").replace("$$", "$")) if match else []
    except ValueError:
        return []
    return list(zip(words[::2], words[1::2], strict=False))


def _health_type(subject: Subject, gate: dict[str, str]) -> HealthType | None:
    """The kind of the health check. None: the worker sends READY=1 itself. Units of earlier
    releases have no --type."""
    if not gate:
        return None if _last(subject, "Type") == "notify" else HealthType.NONE
    return next((each for each in HealthType if each == gate.get("--type")), HealthType.HTTP)


def _asked(subject: Subject) -> str:
    """The words of the command, as one text."""
    return shlex.join(value for option, value in _gate_options(subject) if option == "--run")


def _view(subject: Subject) -> access.View:
    back = (_last(subject, directive).strip('"') for directive in ("BindPaths", "BindReadOnlyPaths"))
    return access.View(
        user=_last(subject, "User"),
        hides_homes=not subject.user_mode and _last(subject, "ProtectHome") in {*_MINE, "tmpfs"},
        hides_temporary=not subject.user_mode,
        hides_devices=not subject.user_mode and _last(subject, "PrivateDevices") in _MINE,
        put_back=tuple(path for path in back if path),
    )


def _last(subject: Subject, directive: str) -> str:
    return unitfile.last_value(subject.text, "Service", directive) or ""


def _size(text: str) -> str:
    return "" if text in {"", "infinity"} else text
