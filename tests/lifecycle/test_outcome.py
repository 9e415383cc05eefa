"""How units and jobs ended, in words; and that the gate's exit statuses are the same in the two
places that define them."""

from __future__ import annotations

import pytest

from tqunits.alone import launch, verdicts
from tqunits.lifecycle import outcome


@pytest.mark.parametrize(
    ("result", "code", "status", "given", "words", "slow"),
    [
        pytest.param("exit-code", "exited", 7, None, "exited with status 7", False, id="exit"),
        pytest.param("exit-code", "exited", 217, None, "user does not exist", False, id="no-user"),
        pytest.param("exit-code", "exited", 203, None, "/x can not be executed", False, id="no-program"),
        pytest.param("exit-code", "killed", 15, 150, "health check", True, id="unhealthy"),
        pytest.param("exit-code", "killed", 15, 1, "health check", True, id="of-an-earlier-release"),
        pytest.param("exit-code", "exited", 7, 155, "exited with status 7", False, id="gone"),
        pytest.param("exit-code", "killed", 15, 156, "`serving` can not be made", False, id="unplaced"),
        pytest.param("signal", "killed", 9, None, "killed by SIGKILL", False, id="signal"),
        pytest.param("signal", "killed", 99, None, "signal 99", False, id="unknown-signal"),
        pytest.param("core-dump", "dumped", 11, None, "crashed with SIGSEGV", False, id="core"),
        pytest.param("timeout", "killed", 15, None, "in time", True, id="timeout"),
        pytest.param("oom-kill", "killed", 9, None, "memory_max", False, id="oom"),
        pytest.param("start-limit-hit", "", 0, None, "too often", False, id="start-limit"),
        pytest.param("something-new", "", 0, None, "'something-new'", False, id="unknown-result"),
    ],
)
def test_every_end_has_its_words_and_its_kind(
    result: str, code: str, status: int, given: int | None, words: str, *, slow: bool
) -> None:
    assert words in outcome.of_run(result, code, status, given, "/x")
    assert outcome.is_slow(result, given) is slow


@pytest.mark.parametrize(
    ("result", "message", "words"),
    [
        pytest.param("canceled", "", "another request", id="canceled"),
        pytest.param("dependency", "", "requires", id="dependency"),
        pytest.param("assert", "", "tqunits install", id="assert"),
        pytest.param("refused", "Unit x is masked", "masked", id="refused"),
        pytest.param("novel", "", "'novel'", id="unknown"),
    ],
)
def test_every_job_has_its_words(result: str, message: str, words: str) -> None:
    assert words in outcome.of_job(result, message)


def test_the_gates_exit_statuses_are_those_of_the_gate() -> None:
    for name in ("UNHEALTHY", "SILENT", "SLOW", "FOREIGN", "ELSEWHERE", "EXITED", "UNPLACED"):
        assert getattr(outcome, name) == getattr(verdicts, name)
    assert outcome.GIVEN_UP == launch.GIVEN_UP
