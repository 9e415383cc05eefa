"""Which instances are taken out of the traffic: those that fail, but never the last of a worker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.lifecycle.readiness import unready
from tqunits.lifecycle.state import State
from tqunits.model import Instance

ONE, TWO, OTHER = Instance("api"), Instance("api", 2), Instance("shop")
STATES = st.dictionaries(
    st.builds(Instance, st.sampled_from(["api", "shop"]), st.integers(1, 4)), st.sampled_from(State)
)


@pytest.mark.parametrize(
    ("other", "out"),
    [
        (State.HEALTHY, {ONE}),
        (State.STARTING, {ONE}),
        (State.STOPPING, {ONE}),
        (State.UNHEALTHY, set()),
        (State.STOPPED, set()),
        (State.FAILED, set()),
    ],
)
def test_one_of_two_is_out_while_the_other_can_take_its_requests(other: State, out: set[Instance]) -> None:
    states = {ONE: State.UNHEALTHY, TWO: other, OTHER: State.HEALTHY}
    assert unready(states, frozenset({ONE})) == out


def test_the_only_instance_stays_in_whatever_others_do() -> None:
    assert unready({ONE: State.UNHEALTHY, OTHER: State.HEALTHY}, frozenset({ONE})) == frozenset()


@given(STATES)
def test_none_is_out_that_is_healthy_and_a_worker_is_never_out_as_a_whole(states: dict[Instance, State]) -> None:
    failing = frozenset(whose for whose, state in states.items() if state is State.UNHEALTHY)
    out = unready(states, failing)
    assert out <= failing
    assert {whose.worker for whose in out} <= {whose.worker for whose in states.keys() - out}
