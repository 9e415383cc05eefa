"""Histograms and counters: every value is in exactly one bucket, and a reload loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.metrics.counters import RouterMetrics, WorkerMetrics
from tqunits.metrics.histogram import LEAST, MOST, Histogram

BORDERS = {
    "nothing": (0, 64),
    "one": (1, 64),
    "the first bound": (64, 64),
    "one above": (65, 128),
    "a millisecond": (1000, 1024),
    "the last bound": (2**26, 2**26),
    "above all": (2**26 + 1, None),
    "an age": (2**64 - 1, None),
}


@pytest.mark.parametrize(("value", "bound"), BORDERS.values(), ids=BORDERS)
def test_a_value_counts_from_the_first_bound_that_is_not_below_it(value: int, bound: int | None) -> None:
    histogram = Histogram()
    histogram.observe(value)
    assert next((at for at, count in histogram.cumulative() if count), None) == bound
    assert (histogram.count, histogram.total) == (1, value)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 2**27)))
def test_buckets_count_what_is_at_most_their_bound(values: list[int]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    assert histogram.cumulative() == [(2**n, sum(value <= 2**n for value in values)) for n in range(LEAST, MOST + 1)]
    assert (histogram.count, histogram.total) == (len(values), sum(values))


@given(st.lists(st.tuples(st.integers(100, 599), st.integers(0, 2**40))))
def test_each_response_is_in_one_class_and_in_the_histogram(responses: list[tuple[int, int]]) -> None:
    worker = WorkerMetrics()
    for status, span in responses:
        worker.answered(status, span)
    assert worker.classes == [sum(status // 100 == n for status, _ in responses) for n in range(6)]
    assert worker.duration.count == len(responses)


def test_a_worker_has_the_same_numbers_when_it_is_asked_for_again() -> None:
    metrics = RouterMetrics()
    api = metrics.worker("api")
    assert metrics.worker("api") is api
    assert metrics.worker("web") is not api
