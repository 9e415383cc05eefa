"""Which instances count as idle: what the routers tell of their requests, over time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tqunits.lifecycle.idleness import IDLE_AFTER_US, Idleness
from tqunits.lifecycle.liveness import Work
from tqunits.model import Instance

API, WEB = Instance("api"), Instance("web", 2)
RESTS = Work(answers=7, in_flight=0)


def test_who_has_no_request_for_a_while_is_idle_until_it_has_one() -> None:
    idleness = Idleness()
    assert not idleness.see({API: RESTS, WEB: RESTS}, 0)
    assert not idleness.see({API: RESTS, WEB: Work(8, 0)}, IDLE_AFTER_US - 1)
    assert not idleness.is_idle(API)
    assert not idleness.see({API: RESTS, WEB: Work(8, 0)}, IDLE_AFTER_US)
    assert (idleness.is_idle(API), idleness.is_idle(WEB)) == (True, False)
    assert idleness.see({API: Work(8, 0), WEB: Work(8, 0)}, IDLE_AFTER_US + 1) == {API}
    assert not idleness.is_idle(API)


def test_a_request_that_goes_on_is_work() -> None:
    idleness, tunnel = Idleness(), Work(7, 1)
    for now in (0, IDLE_AFTER_US, 2 * IDLE_AFTER_US):
        assert not idleness.see({API: tunnel}, now)
        assert not idleness.is_idle(API)


def test_nobody_is_idle_when_the_routers_do_not_say() -> None:
    idleness = Idleness()
    idleness.see({API: RESTS}, 0)
    idleness.see({API: RESTS}, IDLE_AFTER_US)
    assert idleness.see(None, IDLE_AFTER_US + 1) == {API}
    assert not idleness.is_idle(API)
    idleness.see({API: RESTS}, IDLE_AFTER_US + 2)
    assert not idleness.is_idle(API), "nobody knows what it did meanwhile"


def test_a_router_that_starts_anew_counts_as_a_request() -> None:
    idleness = Idleness()
    idleness.see({API: RESTS}, 0)
    idleness.see({API: Work(0, 0)}, IDLE_AFTER_US)
    assert not idleness.is_idle(API)


LOOKS = st.lists(st.tuples(st.integers(1, IDLE_AFTER_US), st.integers(0, 2), st.integers(0, 1)), max_size=20)


@given(LOOKS)
def test_who_is_idle_had_no_request_for_so_long(looks: list[tuple[int, int, int]]) -> None:
    idleness, now, last, answers = Idleness(), 0, 0, 0
    for after, more, in_flight in looks:
        is_first = now == 0
        now, answers = now + after, answers + more
        if more or in_flight or is_first:
            last = now
        idleness.see({API: Work(answers, in_flight)}, now)
        assert idleness.is_idle(API) == (now - last >= IDLE_AFTER_US)
