"""How the end of a `release.command` is told."""

from __future__ import annotations

import pytest

from tqunits.lifecycle.outcome import Failure, JobResult
from tqunits.manager.release_command import told

SENTENCE = "what is said of any unit"


def ended(result: str, failure: Failure | None = None, message: str = "") -> JobResult:
    return JobResult(unit="tq-release@api.service", result=result, failure=failure, message=message)


def failure(result: str, status: int = 0) -> Failure:
    return Failure(result=result, main_code=1, main_status=status, gate_status=None, program="/x", invocation="")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ended("failed", failure("exit-code", 3)), SENTENCE),
        (ended("failed", failure("exit-code", 203)), f"was not run: {SENTENCE}"),
        (ended("failed", failure("signal", 203)), SENTENCE),
        (ended("failed", failure("timeout")), "took longer than 15 min"),
        (ended("failed", failure("oom-kill")), SENTENCE),
        (ended("canceled"), SENTENCE),
        (ended("refused", message="there is no such unit"), "was not run: there is no such unit"),
    ],
    ids=["status", "of systemd", "a signal", "time", "memory", "canceled", "refused"],
)
def test_why_it_has_failed_is_a_sentence(result: JobResult, expected: str) -> None:
    assert told(result, SENTENCE) == expected
