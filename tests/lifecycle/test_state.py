"""The table of an instance's states: complete, and true of every order of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.lifecycle import state
from tqunits.lifecycle.state import Detail, Event, NoInstance, State

CHECKS = state.OF_CHECKS
SYSTEMDS = [event for event in Event if event not in CHECKS]


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_every_event_is_decided_in_every_state(before: State, event: Event) -> None:
    assert isinstance(state.TABLE[before][event], State)
    assert state.TABLE[before].keys() == set(Event)


def test_there_is_a_way_from_every_state_to_every_other() -> None:
    for before in State:
        assert set(state.TABLE[before].values()) == set(State)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event.BEGUN, State.STARTING),
        (Event.READY, State.HEALTHY),
        (Event.EXITED, State.UNHEALTHY),
        (Event.LEAVING, State.STOPPING),
        (Event.ENDED, State.STOPPED),
        (Event.GIVEN_UP, State.FAILED),
    ],
)
@pytest.mark.parametrize("before", list(State))
def test_what_systemd_reports_holds_whatever_was_before(before: State, event: Event, expected: State) -> None:
    assert state.after(before, event) is expected
    assert state.of_systemd(event) is expected


@pytest.mark.parametrize("before", [State.STARTING, State.STOPPING, State.STOPPED, State.FAILED])
@pytest.mark.parametrize("event", sorted(CHECKS))
def test_a_check_says_nothing_of_what_does_not_serve(before: State, event: Event) -> None:
    assert state.after(before, event) is before


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_the_state_is_what_systemd_told_last_and_the_last_check_since(events: list[Event]) -> None:
    found = state.FIRST
    for event in events:
        found = state.after(found, event)
    last = next((i for i in reversed(range(len(events))) if events[i] in SYSTEMDS), None)
    base = state.FIRST if last is None else state.of_systemd(events[last])
    since = [event for event in events[0 if last is None else last + 1 :] if event in CHECKS]
    if base in {State.HEALTHY, State.UNHEALTHY} and since:
        assert found is (State.HEALTHY if since[-1] is Event.PASSED else State.UNHEALTHY)
    else:
        assert found is base


@given(st.lists(st.sampled_from(list(Event)), max_size=30), st.sampled_from(SYSTEMDS))
def test_lost_signals_do_no_lasting_harm(events: list[Event], told: Event) -> None:
    """Whatever was missed, the next report of systemd makes it right."""
    found = state.FIRST
    for event in events:
        found = state.after(found, event)
    assert state.after(found, told) is state.after(state.FIRST, told)


@pytest.mark.parametrize(
    ("active", "sub", "comes_again", "expected"),
    [
        ("inactive", "dead", False, Event.ENDED),
        ("inactive", "dead", True, Event.EXITED),  # 252 during a back-off
        ("activating", "start", False, Event.BEGUN),
        ("activating", "start-post", False, Event.BEGUN),
        ("activating", "auto-restart", False, Event.EXITED),
        ("activating", "auto-restart-queued", False, Event.EXITED),  # 257 during a back-off
        ("active", "running", False, Event.READY),
        ("reloading", "reload", False, Event.READY),
        ("refreshing", "refresh-extensions", False, Event.READY),  # 257
        ("deactivating", "stop", False, Event.LEAVING),
        ("deactivating", "stop-sigterm", False, Event.LEAVING),
        ("deactivating", "final-sigkill", False, Event.LEAVING),
        ("failed", "failed", False, Event.GIVEN_UP),
        ("failed", "failed", True, Event.EXITED),
        ("maintenance", "", False, Event.ENDED),
    ],
)
def test_what_a_unit_is_doing_is_an_event(active: str, sub: str, comes_again: bool, expected: Event) -> None:  # noqa: FBT001 (a table's column)
    assert state.event_of(active, sub, comes_again=comes_again) is expected
    assert state.of_unit(active, sub, comes_again=comes_again) is state.of_systemd(expected)


@pytest.mark.parametrize("active", ["inactive", "failed"])
@pytest.mark.parametrize(
    ("job", "expected"), [("start", Event.BEGUN), ("restart", Event.BEGUN), ("stop", None), ("", None)]
)
def test_between_a_stop_and_a_start_it_starts(active: str, job: str, expected: Event | None) -> None:
    at_rest = Event.ENDED if active == "inactive" else Event.GIVEN_UP
    assert state.event_of(active, "dead", job=job) is (expected or at_rest)
    assert state.event_of(active, "dead", job=job, comes_again=True) is Event.EXITED


@pytest.mark.parametrize(
    ("active", "sub", "is_unhealthy", "expected"),
    [
        ("active", "running", False, "healthy"),
        ("activating", "start-post", False, "starting"),
        ("activating", "auto-restart", False, "unhealthy (restarting)"),
        ("activating", "auto-restart-queued", True, "unhealthy (health check)"),
        ("deactivating", "stop", False, "stopping (draining)"),
        ("deactivating", "stop-sigterm", False, "stopping"),
        ("deactivating", "stop-post", False, "stopping"),
        ("failed", "failed", False, "failed"),
        ("failed", "failed", True, "failed (health check)"),
        ("inactive", "dead", False, "stopped"),
        ("inactive", "dead", True, "stopped"),
    ],
)
def test_what_the_state_alone_does_not_tell_is_a_detail(
    active: str,
    sub: str,
    is_unhealthy: bool,  # noqa: FBT001 (a table's column)
    expected: str,
) -> None:
    found = state.of_unit(active, sub)
    assert state.words(found, state.detail_of(found, sub, is_unhealthy=is_unhealthy)) == expected


@pytest.mark.parametrize("found", [*State, *NoInstance])
@pytest.mark.parametrize("detail", list(Detail))
def test_what_is_unhealthy_runs_or_comes_again_and_nothing_else_does_both(
    found: State | NoInstance, detail: Detail
) -> None:
    runs, comes_again = state.runs(found, detail), state.comes_again(found, detail)
    assert not (runs and comes_again)
    assert (runs or comes_again) is (found in {State.HEALTHY, State.UNHEALTHY})


def test_each_word_is_one_things() -> None:
    assert not {*State} & {*NoInstance}
    assert not ({*State} | {*NoInstance}) & {*Detail}
