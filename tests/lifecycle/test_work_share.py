"""How long a change waits, by what the changes before it have cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.lifecycle.work_share import (
    LEAST_US,
    LONGEST_PAUSE,
    LONGEST_PAUSE_US,
    OF_DEPLOYS,
    OF_QUESTIONS,
    OF_ROOT,
    WorkDone,
    WorkShare,
)

SECOND = 1_000_000


def begun(share: WorkShare, took: int, every: int, until: int) -> list[int]:
    """When the acts for changes every so many µs begin; each takes the same."""
    work, now, begins = WorkDone(), 0, list[int]()
    while now < until:
        now = max(now, work.next_at(share))
        begins.append(now)
        now += took
        work = work.after(took, now, share)
        now = max(now, begins[-1] + every)
    return begins


def test_a_burst_is_free() -> None:
    assert begun(OF_ROOT, 2 * SECOND, 2 * SECOND, 100 * SECOND) == [at * SECOND for at in range(0, 100, 2)]


@pytest.mark.parametrize(
    ("share", "took", "every"),
    [
        pytest.param(OF_DEPLOYS, 3 * SECOND, 15 * SECOND, id="he saves four times a minute, all day"),
        pytest.param(OF_ROOT, 2 * SECOND, 60 * SECOND, id="he tunes a worker.yaml all day"),
    ],
)
def test_who_saves_often_never_waits(share: WorkShare, took: int, every: int) -> None:
    hours = 8 * 3600 * SECOND
    assert begun(share, took, every, hours) == list(range(0, hours, every))


@pytest.mark.parametrize("share", [pytest.param(OF_ROOT, id="root"), pytest.param(OF_DEPLOYS, id="deploys")])
def test_who_never_ends_gets_his_part(share: WorkShare) -> None:
    took, day = 2 * SECOND, 24 * 3600 * SECOND
    acts = len(begun(share, took, took, day))
    assert acts * took <= share.free + day // share.part + 2 * took
    assert acts * took >= day // share.part


def test_an_act_that_costs_nothing_counts_all_the_same() -> None:
    day = 24 * 3600 * SECOND
    assert len(begun(OF_ROOT, 0, 1, day)) * LEAST_US <= OF_ROOT.free + day // OF_ROOT.part + 2 * LEAST_US


@given(st.lists(st.tuples(st.integers(0, 3600 * SECOND), st.integers(0, 3600 * SECOND)), max_size=50))
def test_no_pause_is_longer_than_its_bound(acts: list[tuple[int, int]]) -> None:
    work, now = WorkDone(), 0
    for took, pause in acts:
        now += pause + took
        work = work.after(took, now, OF_DEPLOYS)
        assert 0 <= work.next_at(OF_DEPLOYS) - now <= max(LONGEST_PAUSE_US, LONGEST_PAUSE * took)


@pytest.mark.parametrize("share", [pytest.param(OF_ROOT, id="root"), pytest.param(OF_DEPLOYS, id="deploys")])
def test_who_makes_his_acts_long_has_no_more_of_the_time(share: WorkShare) -> None:
    took, week = 900 * SECOND, 7 * 24 * 3600 * SECOND
    acts = len(begun(share, took, took, week))
    assert acts * took <= share.free + week // 4 + 2 * took


def test_a_question_that_was_made_to_take_long_is_the_last_one_for_a_while() -> None:
    """On the event loop, where everybody waits for it."""
    work = WorkDone().after(SECOND // 2, SECOND, OF_QUESTIONS)
    assert work.next_at(OF_QUESTIONS) - SECOND == (SECOND // 2 - OF_QUESTIONS.free) * OF_QUESTIONS.part


def test_as_many_questions_as_files_of_an_ignored_log_folder_are_free() -> None:
    assert begun(OF_QUESTIONS, 10, 1000, 60 * SECOND) == list(range(0, 60 * SECOND, 1000))
