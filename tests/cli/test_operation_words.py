"""Plain words: why something failed, and numbers that fit a column."""

from __future__ import annotations

import pytest

from tqunits.cli import causes
from tqunits.cli import format as human
from tqunits.system.bus import Failure, JobResult
from tqunits.system.status import State, state_of


def failure(result: str, *, code: int = 0, status: int = 0, gate: int | None = None) -> JobResult:
    why = Failure(result=result, main_code=code, main_status=status, gate_status=gate, program="/x", invocation="")
    return JobResult(unit="x.service", result="failed", failure=why)


@pytest.mark.parametrize(
    ("result", "words", "slow"),
    [
        pytest.param(failure("exit-code", code=1, status=7), "exited with status 7", False, id="exit"),
        pytest.param(failure("exit-code", code=1, status=217), "user does not exist", False, id="no-user"),
        pytest.param(failure("exit-code", code=1, status=203), "/x can not be executed", False, id="no-program"),
        pytest.param(failure("exit-code", code=2, status=15, gate=1), "health check", True, id="unhealthy"),
        pytest.param(failure("exit-code", code=1, status=7, gate=3), "exited with status 7", False, id="gone"),
        pytest.param(failure("signal", code=2, status=9), "killed by SIGKILL", False, id="signal"),
        pytest.param(failure("signal", code=2, status=99), "signal 99", False, id="unknown-signal"),
        pytest.param(failure("core-dump", code=3, status=11), "crashed with SIGSEGV", False, id="core"),
        pytest.param(failure("timeout", code=2, status=15), "in time", True, id="timeout"),
        pytest.param(failure("oom-kill", code=2, status=9), "memory_max", False, id="oom"),
        pytest.param(failure("start-limit-hit"), "too often", False, id="start-limit"),
        pytest.param(failure("something-new"), "'something-new'", False, id="unknown-result"),
        pytest.param(JobResult(unit="x", result="canceled"), "another request", False, id="canceled"),
        pytest.param(JobResult(unit="x", result="dependency"), "requires", False, id="dependency"),
        pytest.param(JobResult(unit="x", result="assert"), "tqunits install", False, id="assert"),
        pytest.param(JobResult(unit="x", result="refused", message="Unit x is masked"), "masked", False, id="refused"),
        pytest.param(JobResult(unit="x", result="waiting"), "", True, id="waiting"),
        pytest.param(JobResult(unit="x", result="novel"), "'novel'", False, id="unknown-job"),
    ],
)
def test_every_end_has_its_words_and_its_kind(result: JobResult, words: str, *, slow: bool) -> None:
    assert words in causes.of_job(result)
    assert causes.is_slow(result) is slow


@pytest.mark.parametrize(
    ("result", "lines", "words"),
    [
        pytest.param(failure("exit-code", code=1, status=7), [], "", id="its-own-status"),
        pytest.param(failure("exit-code", code=1, status=1), ["Error: listen EADDRINUSE"], "ss -ltnp", id="port-taken"),
        pytest.param(failure("exit-code", code=1, status=203), [], "`command`", id="no-program"),
        pytest.param(failure("exit-code", code=1, status=243), [], "`credentials`", id="no-credential"),
        pytest.param(failure("exit-code", code=2, status=15, gate=1), [], "`health.path`", id="unhealthy"),
        pytest.param(failure("oom-kill", code=2, status=9), [], "`limits.memory_max`", id="oom"),
        pytest.param(failure("start-limit-hit", code=1, status=203), [], "tqunits show NAME", id="start-limit"),
        pytest.param(JobResult(unit="x", result="canceled"), [], "", id="canceled"),
    ],
)
def test_advice_is_given_where_there_is_something_to_do(result: JobResult, lines: list[str], words: str) -> None:
    advice = causes.advice(result, lines)
    assert words in advice
    assert bool(words) is bool(advice)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "-", id="unknown"),
        pytest.param(0, "0B", id="zero"),
        pytest.param(999, "999B", id="bytes"),
        pytest.param(1000, "1K", id="thousand"),
        pytest.param(1536, "1.5K", id="fraction"),
        pytest.param(512 << 20, "512M", id="megabytes"),
        pytest.param(3 << 30, "3G", id="gigabytes"),
        pytest.param(5 << 50, "5120T", id="beyond"),
    ],
)
def test_sizes_are_short(value: int | None, text: str) -> None:
    assert human.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "-", id="unknown"),
        pytest.param(250_000, "0.2s", id="fraction"),
        pytest.param(59_000_000, "59s", id="seconds"),
        pytest.param(301_000_000, "5min 1s", id="minutes"),
        pytest.param(7_200_000_000, "2h", id="hours"),
        pytest.param(3 * 86_400_000_000 + 4 * 3_600_000_000 + 5, "3d 4h", id="days"),
    ],
)
def test_spans_have_two_units_at_most(value: int | None, text: str) -> None:
    assert human.span(value) == text


@pytest.mark.parametrize(
    ("active", "sub", "state"),
    [
        pytest.param("active", "running", State.RUNNING, id="running"),
        pytest.param("reloading", "reload", State.RUNNING, id="reloading"),
        pytest.param("activating", "start-post", State.STARTING, id="starting"),
        pytest.param("activating", "auto-restart", State.RESTARTING, id="restarting"),
        pytest.param("activating", "auto-restart-queued", State.RESTARTING, id="restarting-257"),
        pytest.param("deactivating", "stop", State.DRAINING, id="draining"),
        pytest.param("deactivating", "stop-sigterm", State.STOPPING, id="stopping"),
        pytest.param("failed", "failed", State.FAILED, id="failed"),
        pytest.param("inactive", "dead", State.STOPPED, id="stopped"),
        pytest.param("maintenance", "new", State.STOPPED, id="unknown"),
    ],
)
def test_states_of_systemd_have_our_words(active: str, sub: str, state: State) -> None:
    assert state_of(active, sub) is state
