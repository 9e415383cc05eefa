"""Texts of the operating verbs: why something failed, and numbers that fit a column."""

from __future__ import annotations

import pytest

from tqunits.cli import format as human
from tqunits.host.status import State, state_of


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
