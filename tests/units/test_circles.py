"""Workers that wait for each other: which circles there are, and which worker gets the error."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.model import Depends, NotRoots, Worker
from tqunits.units.circles import circles, refusals, waits_of

from .cases import worker

BOBS = NotRoots(PurePosixPath("/srv/tqunits/workers/b"), "is bob's")


def after(name: str, *others: str, before: str = "") -> Worker:
    ordered = (("Unit", "Before", f"tq-worker@{before}.service"),) if before else ()
    return worker(
        name, depends=Depends(after=tuple(f"tq-worker@{o}.service" for o in others), requires=()), unit=ordered
    )


@pytest.mark.parametrize(
    ("workers", "found"),
    [
        pytest.param([after("a", "b"), after("b")], [], id="a line"),
        pytest.param([after("a", "b"), after("b", "a")], [("a", "b", "a")], id="two"),
        pytest.param([after("a", "b"), after("b", "c"), after("c", "a")], [("a", "b", "c", "a")], id="three"),
        pytest.param([after("a", "b", before="b"), after("b")], [("a", "b", "a")], id="before and after"),
        pytest.param([after("a", "a")], [], id="itself, which is said elsewhere"),
        pytest.param([worker("a", unit=(("Unit", "After", "tq-worker@a.service"),))], [("a", "a")], id="itself"),
        pytest.param([after("a", "b:2"), after("b", "a")], [("a", "b", "a")], id="by way of another instance"),
        pytest.param([after("a", "b", "c"), after("b", "c"), after("c")], [], id="two ways"),
        pytest.param([after("a", "b"), after("b", "c"), after("c", "b")], [("b", "c", "b")], id="a way into a circle"),
    ],
)
def test_circles(workers: list[Worker], found: list[tuple[str, ...]]) -> None:
    assert list(circles(waits_of(workers))) == found


def test_who_is_not_in_a_circle_is_in_none_for_naming_somebody() -> None:
    mine = after("a", "b")
    theirs = worker("b", not_roots=BOBS, depends=Depends(after=("ssh.service",), requires=()))
    assert list(circles(waits_of([mine, theirs]))) == []


def blamed(*workers: Worker) -> list[str]:
    return [refusal.worker for refusal in refusals(workers)]


def test_a_circle_is_said_where_it_can_be_taken_apart() -> None:
    both = [after("a", "b"), after("b", "a")]
    assert blamed(*both) == ["a", "b"]
    message = "a waits for b waits for a: systemd would leave out the start of one of them"
    assert {refusal.message for refusal in refusals(both)} == {message}


def test_a_circle_is_the_mistake_of_who_is_not_root() -> None:
    assert blamed(after("a", "b"), replace(after("b", "a"), not_roots=BOBS)) == ["b"]


def test_who_has_written_nothing_of_it_is_not_blamed() -> None:
    """A worker that puts itself both before and after another one has made the circle alone."""
    alone = replace(after("a", "b", before="b"), not_roots=BOBS)
    assert blamed(alone, replace(worker("b"), not_roots=BOBS)) == ["a"]
    assert blamed(alone, worker("b")) == ["a"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef")), max_size=6))
def test_there_is_a_circle_where_no_order_is_right(says: dict[str, set[str]]) -> None:
    found = list(circles(waits_of(after(name, *sorted(others)) for name, others in says.items())))
    for circle in found:
        assert circle[0] == circle[-1]
        assert all(second in says[first] for first, second in pairwise(circle))
    left = {name: others - {name} for name, others in says.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert bool(found) == bool(left)
