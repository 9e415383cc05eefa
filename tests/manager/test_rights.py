"""Who may ask for what, from values: users, groups, and what root has granted."""

from __future__ import annotations

import pytest

from tqunits.control.protocol import Problem
from tqunits.lifecycle.release import MAX_ACTOR
from tqunits.manager.rights import Caller, operated
from tqunits.system.members import Person

OPERATORS = {"api": ("alice", "%ops"), "shop": ("bob",), "files": ("%shop", "%alice")}


@pytest.mark.parametrize(
    ("user", "groups", "expected"),
    [
        ("alice", set(), {"api"}),
        ("alice", {"alice"}, {"api", "files"}),
        ("bob", {"ops"}, {"api", "shop"}),
        ("carol", {"ops"}, {"api"}),
        ("ops", set(), set()),  # a user with a group's name
        ("%ops", set(), set()),  # a user whose name looks like a group
        ("shop", {"users"}, set()),  # a user with a worker's name
        ("root", set(), set()),  # root's right is not his name
        ("Alice", {"OPS"}, set()),
        ("", set(), set()),
    ],
)
def test_the_workers_of_an_operator(user: str, groups: set[str], expected: set[str]) -> None:
    assert operated(OPERATORS, Person(1000, user, frozenset(groups))) == expected


def test_an_operator_is_asked_for_each_worker() -> None:
    alice = Caller(1000, "alice", frozenset({"api"}))
    alice.require({"api"})
    assert (alice.is_operator, alice.actor, alice.operates("shop")) == (True, "1000/alice", False)
    with pytest.raises(Problem, match=r"operators of shop may ask \(grants\.shop\.operators") as refused:
        alice.require({"api", "shop"})
    assert refused.value.status == 403


def test_root_is_asked_for_none() -> None:
    Caller(0).require({"api", "shop"})
    assert not Caller(0).is_operator


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        (Caller(0), "root"),
        (Caller(1000, "ann", frozenset({"api"})), "1000/ann"),
        (Caller(7, "a\nb\x1b[2J"), "7/a\\nb\\x1b[2J"),
        (Caller(7, "\x1b" * 256), "7/" + ("\\x1b" * 256)[: MAX_ACTOR - 2]),
    ],
)
def test_who_has_asked_is_written_down_as_a_bounded_printable_text(caller: Caller, name: str) -> None:
    assert caller.name == name
    assert len(caller.name) <= MAX_ACTOR
    assert caller.name.isprintable()
