"""What health checks of a running instance lead to: events, restarts, and their limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from units.cases import worker

from tqunits.health import Health
from tqunits.lifecycle.liveness import (
    BUDGET_SPAN_US,
    LONGEST_DELAY_US,
    PATIENCE_US,
    Budget,
    Restarts,
    Streak,
    Work,
    is_at_work,
)
from tqunits.lifecycle.state import Event

SECOND = 1_000_000
RULES = worker("api").health


def told(answers: str, rules: Health = RULES) -> list[Event | None]:
    """The events of a row of checks: `+` healthy, `-` not."""
    streak, events = Streak(), []
    for answer in answers:
        streak, event = streak.after(healthy=answer == "+", rules=rules)
        events.append(event)
    return events


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("+++", [None, None, None]),
        ("-", [Event.MISSED]),
        ("---", [Event.MISSED, None, None]),
        ("-+", [Event.MISSED, None]),
        ("-++", [Event.MISSED, None, Event.PASSED]),
        ("-+-++", [Event.MISSED, None, None, None, Event.PASSED]),
        ("-++-", [Event.MISSED, None, Event.PASSED, Event.MISSED]),
    ],
)
def test_one_failed_check_takes_it_out_and_several_good_ones_bring_it_back(
    answers: str, expected: list[Event | None]
) -> None:
    assert told(answers) == expected


@pytest.mark.parametrize("threshold", [0, 1])
def test_a_success_threshold_of_one_brings_it_back_at_once(threshold: int) -> None:
    assert told("-+", replace(RULES, success_threshold=threshold)) == [Event.MISSED, Event.PASSED]


@given(st.text("+-", max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_events_alternate_and_dead_means_the_last_checks_failed(answers: str, failures: int, successes: int) -> None:
    rules = replace(RULES, failure_threshold=failures, success_threshold=successes)
    streak, events = Streak(), []
    for answer in answers:
        streak, event = streak.after(healthy=answer == "+", rules=rules)
        events += [event] if event else []
    assert events == [Event.MISSED, Event.PASSED] * (len(events) // 2) + [Event.MISSED] * (len(events) % 2)
    assert streak.is_out == bool(events and events[-1] is Event.MISSED)
    assert streak.is_dead(rules) == answers.endswith("-" * failures)


def test_in_the_start_period_a_failure_makes_it_unhealthy_and_is_no_reason_for_a_restart() -> None:
    streak, event = Streak().after(healthy=False, rules=RULES, age=RULES.start_period - 1)
    assert event is Event.MISSED
    for _ in range(10):
        streak, event = streak.after(healthy=False, rules=RULES, age=RULES.start_period - 1)
        assert event is None
    assert not streak.is_dead(RULES)
    for _ in range(RULES.failure_threshold):
        streak, _ = streak.after(healthy=False, rules=RULES, age=RULES.start_period)
    assert streak.is_dead(RULES)


def test_a_restart_that_did_not_help_makes_the_next_one_come_later() -> None:
    delay, restarts, now, waits = 10 * SECOND, Restarts(), 0, []
    for _ in range(4):
        assert restarts.may_restart(now, delay)
        restarts = restarts.after(now)
        begin = now
        while not restarts.may_restart(now, delay):
            now += SECOND
        waits.append((now - begin) // SECOND)
    assert waits == [10, 20, 40, 80]


def test_the_wait_between_restarts_has_a_limit() -> None:
    restarts = Restarts(count=1000, last=0)
    assert not restarts.may_restart(LONGEST_DELAY_US - 1, 10 * SECOND)
    assert restarts.may_restart(LONGEST_DELAY_US, 10 * SECOND)


def test_an_instance_that_was_well_for_a_while_begins_anew() -> None:
    restarts = Restarts().after(0).after(SECOND)
    assert restarts.healthy(2 * SECOND, 10 * SECOND) == restarts
    assert restarts.healthy(SECOND + BUDGET_SPAN_US, 10 * SECOND) == Restarts()


def test_a_host_has_so_many_restarts_in_a_minute() -> None:
    budget, allowed = Budget(most=2, span=60), []
    for now in (0, 10, 20, 59, 60, 61, 70, 71):
        if budget.allows(now):
            budget.spend(now)
            allowed.append(now)
    assert allowed == [0, 10, 60, 70]


def test_what_is_allowed_and_not_done_is_not_spent() -> None:
    budget = Budget(most=1, span=60)
    assert all(budget.allows(now) for now in range(10))


@pytest.mark.parametrize(
    ("before", "now", "since", "expected"),
    [
        (Work(7, 0), Work(8, 0), PATIENCE_US, True),  # it has answered
        (Work(7, 0), Work(0, 0), PATIENCE_US, True),  # the router has begun to count anew
        (Work(7, 0), Work(7, 0), 0, False),
        (Work(7, 1), Work(7, 1), PATIENCE_US - 1, True),  # it may need that long
        (Work(7, 1), Work(7, 1), PATIENCE_US, False),
        (None, Work(7, 0), 0, False),
        (None, Work(7, 1), 0, True),
        (Work(7, 1), None, 0, False),
    ],
)
def test_an_instance_that_works_is_not_dead(
    before: Work | None, now: Work | None, since: int, expected: object
) -> None:
    assert is_at_work(before, now, since) is expected
