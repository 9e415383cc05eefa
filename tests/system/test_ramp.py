"""How many starts go on at once: never more than so many that are young, and each has its turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tqunits.system.ramp import PATIENCE_S, Ramp


def test_the_next_one_begins_when_one_has_ended() -> None:
    ramp = Ramp("abcde", abreast=2)
    running = {"a", "b"}
    assert list(ramp.due(0.0, running.__contains__)) == ["a", "b"]
    assert list(ramp.due(0.1, running.__contains__)) == []
    running = {"b", "c"}
    assert list(ramp.due(0.2, running.__contains__)) == ["c"]
    assert (bool(ramp), ramp.wanted) == (True, ("d", "e"))
    assert list(ramp.rest()) == ["d", "e"]
    assert not ramp


def test_what_never_ends_holds_nobody_up_for_long() -> None:
    ramp = Ramp(range(6), abreast=2)
    begun = [list(ramp.due(at, lambda _: True)) for at in (0.0, PATIENCE_S - 0.1, PATIENCE_S, 2 * PATIENCE_S)]
    assert begun == [[0, 1], [], [2, 3], [4, 5]]


def test_where_all_take_long_no_more_begin() -> None:
    ramp, running = Ramp(range(6), abreast=2), {0, 1}
    assert list(ramp.due(0.0, running.__contains__)) == [0, 1]
    running = {1, 2}
    assert list(ramp.due(4.0, running.__contains__)) == [2]
    assert list(ramp.due(15.9, running.__contains__)) == []
    assert list(ramp.due(16.0, running.__contains__)) == [3], "four times as long as the last one"


@given(st.integers(0, 30), st.integers(1, 8), st.lists(st.tuples(st.floats(0, 4), st.integers(0, 2**30))))
def test_each_has_one_turn_and_few_are_young(count: int, abreast: int, steps: list[tuple[float, int]]) -> None:
    ramp, now, ends, begun = Ramp(range(count), abreast=abreast), 0.0, set[int](), list[tuple[int, float]]()
    for after, seed in steps:
        now += after
        ends |= {one for one, _ in begun if seed >> (one % 30) & 1}
        begun += [(one, now) for one in ramp.due(now, (set(range(count)) - ends).__contains__)]
        assert sum(one not in ends and now - at < PATIENCE_S for one, at in begun) <= abreast
    assert [one for one, _ in begun] + list(ramp.rest()) == list(range(count))
