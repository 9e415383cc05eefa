"""What came of jobs, as the manager tells it and the command line reads it.

The command line judges and prints such a result as one of its own, so that a worker that does not
start has the same explanation however its start was asked for. An answer is parsed without trust.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from tqunits.control import manager_protocol
from tqunits.control.protocol import Body
from tqunits.lifecycle import outcome
from tqunits.lifecycle.outcome import Failure, JobResult
from tqunits.units import name

_FINE = frozenset({"done", "queued", "waiting"})


def body(results: Iterable[JobResult]) -> Body:
    """The JSON object."""
    return {"jobs": [_job(each) for each in results]}


def read(found: Mapping[str, object]) -> Sequence[JobResult] | None:
    """The inverse of `body`; None for anything else."""
    rows = manager_protocol.members(found, "jobs")
    try:
        return None if rows is None else [_result(row) for row in rows]
    except (LookupError, TypeError, ValueError):
        return None


def _job(result: JobResult) -> Body:
    return {
        "unit": result.unit,
        "worker": name.worker_of(result.unit),
        "result": result.result,
        "why": _why(result),
        "message": result.message or None,
        "failure": None if result.failure is None else asdict(result.failure),
    }


def _why(result: JobResult) -> str | None:
    """In words, for whoever reads the answer itself."""
    failure = result.failure
    if result.result in _FINE:
        return None
    if failure is None or result.result != "failed":
        return outcome.of_job(result.result, result.message)
    code = outcome.CODES.get(failure.main_code, "")
    return outcome.of_run(failure.result, code, failure.main_status, failure.gate_status, failure.program)


def _result(row: Mapping[str, object]) -> JobResult:
    failure = row["failure"]
    return JobResult(
        unit=_text(row["unit"]),
        result=_text(row["result"]),
        failure=_failure(failure) if isinstance(failure, dict) else None,
        message=_text(row["message"] or ""),
    )


def _failure(row: Mapping[str, object]) -> Failure:
    gate = row["gate_status"]
    return Failure(
        result=_text(row["result"]),
        main_code=_number(row["main_code"]),
        main_status=_number(row["main_status"]),
        gate_status=None if gate is None else _number(gate),
        program=_text(row["program"]),
        invocation=_text(row["invocation"]),
        main_pid=_number(row["main_pid"]),
        main_exit_us=_number(row["main_exit_us"]),
        was_active=row["was_active"] is True,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError(value)
    return value
