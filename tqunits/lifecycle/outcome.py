"""How units and jobs end: as values, and in words, as sentences without a subject.

systemd.service(5) lists the results, systemd.exec(5) ("PROCESS EXIT CODES") the statuses of systemd
itself, org.freedesktop.systemd1(5) the results of jobs.
"""

from __future__ import annotations

import signal

from tqunits.light_dataclass import dataclass

CODES = {1: "exited", 2: "killed", 3: "dumped"}
"""si_code of waitid(2) -> systemd's word: CLD_EXITED, CLD_KILLED, CLD_DUMPED."""

UNHEALTHY, SILENT, SLOW, FOREIGN, ELSEWHERE, EXITED, UNPLACED = range(150, 157)
"""Exit statuses of the readiness gate (alone/verdicts.py). alone/join.py uses the last one, too."""

GIVEN_UP = 199
"""The launcher's exit status for a worker that has failed too often (units/failure_pause.py)."""

GATE_VERDICT = "tqunits-gate: "
"""The beginning of the gate's lines in the journal."""

_WAITED_IN_VAIN = frozenset({1, UNHEALTHY, SILENT, SLOW, FOREIGN, ELSEWHERE})  # 1: of an earlier release

NOT_HEALTHY = "did not answer its health check in time"
NOT_PLACED = "is ready, but its file `serving` can not be made, without which no request comes"

_RESULTS = {
    "success": "was stopped, or ended by itself, without an error",
    "timeout": "did not start or stop in time",
    "oom-kill": "used more memory than memory_max allows, and was killed",
    "start-limit-hit": "failed too often in a short time, and is not started again by itself",
    "protocol": "ended, or did not say READY=1, while systemd waited for it to (type: notify)",
    "watchdog": "stopped answering systemd's watchdog",
    "resources": "could not be started: the host ran out of something, or a file that it needs is missing",
    "exec-condition": "was not started: its condition said no",
}

_JOBS = {
    "canceled": "was canceled by another request",
    "dependency": "was not started: something that it requires failed",
    "skipped": "was not started: a condition of its unit does not hold",
    "assert": "was not started: it is not installed completely ('tqunits install' repairs it)",
    "timeout": "waited too long for other jobs",
    "unsupported": "can not be started on this host",
    "invalid": "can not do that",
    "collected": "was removed from memory meanwhile",
    "once": "runs once in each boot, and has run",
}

STOPS = frozenset({"done", "queued", "waiting"})
"""Results of the stop jobs of units that have stopped or will stop."""

STATUSES = {
    78: "an environment file is wrong, or can not be read: its journal has the line",
    200: "its working directory can not be entered",
    203: "PROGRAM can not be executed: missing, not executable, or hidden by the sandbox",
    209: "its output can not be set up",
    216: "its group does not exist",
    217: "its user does not exist",
    218: "its capabilities can not be set",
    226: "its sandbox can not be set up: a path in it does not exist",
    228: "its system call filter can not be set",
    238: "its state folder can not be made",
    239: "its cache folder can not be made",
    243: "its credentials can not be read",
    GIVEN_UP: "failed too often in a row, and is not started again by itself (restart.max_restarts)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a unit failed, as systemd reported it when its job ended. Codes are those of si_code (1
    exited, 2 killed, 3 dumped)."""

    result: str  # the unit's Result: exit-code, signal, oom-kill, timeout, start-limit-hit, ...
    main_code: int
    main_status: int
    gate_status: int | None  # the exit status of the readiness gate, if the gate failed
    program: str  # the path of the main process' program; "" when the unit names none
    invocation: str  # 32 hex digits; "" when nothing was started
    main_pid: int = 0
    main_exit_us: int = 0  # since 1970
    was_active: bool = False  # this start had succeeded; the end came later


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended.

    `result` is that of the signal JobRemoved (done, failed, timeout, canceled, dependency, skipped,
    assert, ...), or one of ours: "queued" (we did not wait), "waiting" (our timeout ended first),
    "refused" (systemd did not accept the job; `message`).
    """

    unit: str
    result: str
    failure: Failure | None = None
    message: str = ""


def of_job(result: str, message: str) -> str:
    """Why a job did not end as "done", if the unit itself has not failed."""
    return message or _JOBS.get(result, f"ended as {result!r}")


def of_run(result: str, code: str, status: int, gate: int | None, program: str = "") -> str:
    """How one start ended, in words: from systemd's Result, the end of the main process, and the
    exit status of the gate if that failed."""
    if is_unhealthy(result, gate):
        return NOT_HEALTHY
    if gate == UNPLACED:
        return NOT_PLACED
    if result in {"exit-code", "signal", "core-dump"} and code:
        return _of_process(code, status, program or "its program")
    return _RESULTS.get(result, f"failed with result {result!r}")


def is_slow(result: str, gate: int | None) -> bool:
    """Whether it took too long or the health check failed: exit status 6, not 1."""
    return result == "timeout" or is_unhealthy(result, gate)


def is_unhealthy(result: str, gate: int | None) -> bool:
    """Whether the readiness gate has given up waiting."""
    return result == "exit-code" and gate in _WAITED_IN_VAIN


def signal_name(number: int) -> str:
    """SIGKILL, or "signal 99"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _of_process(code: str, status: int, program: str) -> str:
    if code == "exited":
        known = STATUSES.get(status, "").replace("PROGRAM", program)
        return f"{known} (status {status})" if known else f"exited with status {status}"
    name = signal_name(status)
    if code == "dumped":
        return f"crashed with {name} (core dumped)"
    # With cgroup v1 systemd does not learn which process the kernel has killed for lack of memory.
    return f"was killed by {name}" + (", perhaps because it needs more than memory_max" if name == "SIGKILL" else "")
