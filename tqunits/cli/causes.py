"""Why a unit failed, in plain words: systemd's result names and exit codes as sentences without a subject.

systemd.service(5) lists the results, systemd.exec(5) ("PROCESS EXIT CODES") the statuses that systemd itself gives.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable

from tqunits.system.bus import Failure, JobResult
from tqunits.system.entries import Exit
from tqunits.system.listeners import Holder
from tqunits.units.backoff import GIVEN_UP

GATE_UNHEALTHY = frozenset({1, 150, 151, 152, 153, 154})
"""Exit statuses of the readiness gate (alone/gate.py; 1 was an earlier release's)."""

GATE_VERDICT = "tqunits-gate: "
"""How its lines in the journal begin."""

_CODES = {os.CLD_EXITED: "exited", os.CLD_KILLED: "killed", os.CLD_DUMPED: "dumped"}

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

_STATUSES = {
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
    GIVEN_UP: "failed too often in a row, and is not started again by itself",
}


_UNHEALTHY = "did not answer its health check in time"

_ADVICE = {
    "timeout": "`timeouts.start` and `timeouts.stop` in its worker.yaml say how long it may take",
    "oom-kill": "`limits.memory_max` in its worker.yaml says how much it may have; install applies a new limit",
    "start-limit-hit": "'tqunits show NAME' tells how its last runs ended; 'tqunits start NAME' tries again",
}

_STATUS_ADVICE = {
    200: "its user must be able to enter the worker's folder and all above it",
    GIVEN_UP: "'tqunits show NAME' tells how its last runs ended; 'tqunits start NAME' tries again",
    203: "see `command` in its worker.yaml; a script needs #! in its first line, and chmod +x",
    216: "'tqunits install' creates the groups of the workers",
    217: "'tqunits install' creates the users of the workers",
    226: "every path in `unit` and `sandbox` of its worker.yaml must exist; one that may be missing begins with '-'",
    243: "the files in `credentials` and `environment_file` of its worker.yaml must exist, and hold 1 MiB at most",
}

_TAKEN = re.compile(r"address (already )?in use|EADDRINUSE", re.IGNORECASE)


def of_job(result: JobResult) -> str:
    """Why a job did not end as "done"."""
    if result.failure is not None and result.result == "failed":
        return of_failure(result.failure)
    return result.message or _JOBS.get(result.result, f"ended as {result.result!r}")


def of_failure(failure: Failure) -> str:
    """Why a unit failed."""
    if is_unhealthy(failure):
        return _UNHEALTHY
    code = _CODES.get(failure.main_code, "")
    return of_result(failure.result, code, failure.main_status, program=failure.program)


def is_unhealthy(failure: Failure) -> bool:
    """Whether the readiness gate gave the worker up."""
    return failure.result == "exit-code" and failure.gate_status in GATE_UNHEALTHY


def of_exit(exit_: Exit) -> str:
    """How one run in the journal ended."""
    if exit_.command == "ExecStartPost" and exit_.result == "exit-code":
        return _UNHEALTHY  # the gate's other failure is the main process' own end, which comes first
    return of_result(exit_.result, exit_.code, int(exit_.status or 0))


def of_result(result: str, code: str, status: int, *, program: str = "") -> str:
    """A unit's Result with what its main process did (`code`: exited, killed, dumped or ""; `program`: its path)."""
    if result in {"exit-code", "signal", "core-dump"} and code:
        return _of_process(code, status, program or "its program")
    return _RESULTS.get(result, f"failed with result {result!r}")


def advice(result: JobResult, lines: Iterable[str], holder: Holder | None = None) -> str:
    """What to do about a job that failed, its last words considered; "" when they say it best.

    `holder` is another user's process that has the worker's port.
    """
    failure = result.failure
    if holder is not None:
        return of_port(holder)
    if any(_TAKEN.search(line) for line in lines):
        return "another program has its port: 'ss -ltnp' tells which"
    if failure is None or result.result != "failed":
        return ""
    if is_unhealthy(failure):
        return "it must listen on 127.0.0.1:$WORKER_PORT (or $WORKER_SOCKET) and answer `health.path` with 200"
    if _CODES.get(failure.main_code) == "exited" and failure.result == "exit-code":
        return _STATUS_ADVICE.get(failure.main_status, "")
    return _ADVICE.get(failure.result, "")


def of_port(holder: Holder) -> str:
    """What a worker is told whose port somebody else has."""
    return f"its port is held by {holder}; when that lets go, the next start gets it"


def is_slow(result: JobResult) -> bool:
    """Whether it is a matter of time or of health: exit status 6, not 1."""
    if result.failure is not None:
        return is_unhealthy(result.failure) or result.failure.result == "timeout"
    return result.result in {"timeout", "waiting"}


def _of_process(code: str, status: int, program: str) -> str:
    if code == "exited":
        known = _STATUSES.get(status, "").replace("PROGRAM", program)
        return f"{known} (status {status})" if known else f"exited with status {status}"
    name = _signal(status)
    if code == "dumped":
        return f"crashed with {name} (core dumped)"
    # With cgroup v1 systemd is not told whom the kernel has killed for want of memory.
    return f"was killed by {name}" + (", perhaps because it needs more than memory_max" if name == "SIGKILL" else "")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
