"""When a changed tree is looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.lifecycle.settling import CHECKOUT_MAX_US, REST, LastLook, Unrest, look_at, may_put_off

MS = 1000
NOW = 60_000 * MS


@pytest.mark.parametrize(
    ("first", "last", "look", "expected"),
    [
        pytest.param(0, 0, None, 100, id="one event"),
        pytest.param(0, 90, None, 190, id="the quiet time begins again with each event"),
        pytest.param(0, 1950, None, 2000, id="a tree that is never quiet"),
        pytest.param(0, 0, (0, -10), 100, id="a look that took no time"),
        pytest.param(0, 0, (4, -10), 100, id="a quick look"),
        pytest.param(0, 0, (50, 0), 1000, id="a slow look pauses"),
        pytest.param(0, 1950, (200, 0), 4000, id="a slow look pauses for longer than the longest wait"),
        pytest.param(0, 0, (200, -9000), 100, id="a slow look that was long ago"),
    ],
)
def test_when(first: int, last: int, look: tuple[int, int] | None, expected: int) -> None:
    """All in ms from NOW; of the look, how long it took and when it ended."""
    before = None if look is None else LastLook(look[0] * MS, NOW + look[1] * MS)
    unrest = Unrest(NOW + first * MS, NOW + last * MS)
    assert look_at(unrest, before, debounce=100 * MS, max_wait=2000 * MS) == NOW + expected * MS


@given(
    times=st.lists(st.integers(0, 10**7), min_size=2, max_size=2).map(sorted),
    took=st.integers(0, 10**7),
    ended=st.integers(-(10**7), 0),
)
def test_looks_take_a_twentieth_of_a_cpu_at_most(times: list[int], took: int, ended: int) -> None:
    begin = look_at(Unrest(*times), LastLook(took, ended), debounce=100 * MS, max_wait=2000 * MS)
    assert begin - ended >= REST * took
    assert begin >= min(times[1] + 100 * MS, times[0] + 2000 * MS)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        pytest.param(None, True, id="the first time"),
        pytest.param(NOW - CHECKOUT_MAX_US + 1, True, id="a checkout"),
        pytest.param(NOW - CHECKOUT_MAX_US, False, id="one lock after the other"),
    ],
)
def test_for_git_nobody_waits_for_ever(since: int | None, *, expected: bool) -> None:
    assert may_put_off(since, NOW) is expected
