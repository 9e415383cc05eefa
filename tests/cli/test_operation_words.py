"""Texts of the operating verbs: why something failed, and numbers that fit a column."""

from __future__ import annotations

import pytest

from tqunits.cli import condition
from tqunits.cli import format as human
from tqunits.host.status import InstanceStatus
from tqunits.lifecycle.state import Detail, NoInstance, State


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
    ("status", "text", "then"),
    [
        pytest.param(InstanceStatus(state=State.HEALTHY), "healthy", "", id="healthy"),
        pytest.param(
            InstanceStatus(state=State.UNHEALTHY, detail=Detail.HOLDING), "unhealthy (holding)", "", id="holding"
        ),
        pytest.param(
            InstanceStatus(state=State.STOPPING, detail=Detail.DRAINING), "stopping (draining)", "", id="draining"
        ),
        pytest.param(
            InstanceStatus(state=State.UNHEALTHY, detail=Detail.RESTARTING, result="signal", next_us=3_000_000),
            "unhealthy (signal)",
            "again in 3.0s",
            id="a failure",
        ),
        pytest.param(
            InstanceStatus(state=State.UNHEALTHY, detail=Detail.RESTARTING, next_us=0),
            "unhealthy (restarting)",
            "again in 0.0s",
            id="an end without an error",
        ),
        pytest.param(
            InstanceStatus(state=State.UNHEALTHY, detail=Detail.HEALTH_CHECK, result="exit-code"),
            "unhealthy (health check)",
            "",
            id="a health check, nobody knows until when",
        ),
        pytest.param(
            InstanceStatus(state=State.FAILED, detail=Detail.HEALTH_CHECK, result="exit-code"),
            "failed (health check)",
            "",
            id="a health check",
        ),
        pytest.param(InstanceStatus(state=State.FAILED, result="oom-kill"), "failed (oom-kill)", "", id="failed"),
    ],
)
def test_a_state_says_in_parentheses_why(status: InstanceStatus, text: str, then: str) -> None:
    assert (condition.words(status), condition.next_start(status)) == (text, then)


def test_a_document_has_the_same_members_with_and_without_an_instance() -> None:
    without = condition.members(NoInstance.SKIPPED, None)
    assert {key: value for key, value in without.items() if value is not None} == {"state": "skipped"}
    status = InstanceStatus(state=State.STOPPED)
    found = condition.members(status.state, status)
    assert found.keys() == without.keys()
    assert (found["state"], found["detail"], found["restarts"]) == ("stopped", None, 0)
