"""What deploys and restarts of one worker are to each other."""

from __future__ import annotations

import pytest

from tqunits.lifecycle.deploy_rules import KEPT, KEPT_RESTARTS, joined, last_failure, superseded, surplus
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord

KINDS = {"d": DeployKind.DEPLOY, "r": DeployKind.ROLLBACK, "b": DeployKind.BUILD, "s": DeployKind.RESTART}
OUTCOMES = {"!": DeployOutcome.FAILED, "?": DeployOutcome.WAITING, ">": DeployOutcome.RUNNING}


def records(text: str) -> list[DeployRecord]:
    """A word for each, numbered from 1: the first letter of its kind, or s for a restart; with `!`
    it has failed, with `?` it waits, with `>` it runs, else it is done."""
    return [
        DeployRecord(
            number=number,
            worker="api",
            kind=KINDS[word[0]],
            actor="root",
            asked_us=1,
            outcome=OUTCOMES.get(word[1:], DeployOutcome.DONE),
        )
        for number, word in enumerate(text.split(), 1)
    ]


def numbers(found: list[DeployRecord] | tuple[DeployRecord, ...]) -> list[int]:
    return [each.number for each in found]


@pytest.mark.parametrize(
    ("deploys", "expected"),
    [
        ("d s b r", ()),
        ("d " * KEPT + "s " * KEPT_RESTARTS, ()),
        ("s " + "d " * KEPT + "s " * KEPT_RESTARTS, (1,)),
        ("d " + "s " * KEPT_RESTARTS + "d " * KEPT, (1,)),
        ("d s " + "d " * KEPT + "s " * KEPT_RESTARTS, (2, 1)),
        ("s? s " + "s " * KEPT_RESTARTS, (2, 3)),  # what waits is kept, whatever it is
        ("d> " + "d " * KEPT, (2,)),
    ],
    ids=["few", "full", "a restart more", "a deploy more", "one more of each", "one waits", "one runs"],
)
def test_restarts_and_deploys_are_kept_apart(deploys: str, expected: tuple[int, ...]) -> None:
    assert surplus(records(deploys)) == expected


@pytest.mark.parametrize(
    ("kind", "pending", "expected"),
    [
        ("d", "d> d? r? b? s?", [2, 3, 4, 5]),
        ("r", "d> d? r? b? s?", [2, 3, 4, 5]),
        ("b", "d> d? r? b? s?", [4]),  # a build runs nothing
        ("s", "d> d? r? b? s?", []),  # a restart makes no release
        ("d", "s>", []),
    ],
)
def test_the_newest_wins(kind: str, pending: str, expected: list[int]) -> None:
    assert numbers(superseded(KINDS[kind], records(pending))) == expected


@pytest.mark.parametrize(
    ("kind", "pending", "expected"),
    [
        ("s", "d> s?", 2),
        ("s", "d> s? b?", 2),
        ("s", "s>", None),
        ("s", "d?", None),
        ("d", "d> s?", None),
        ("s", "", None),
    ],
)
def test_a_restart_joins_one_that_has_not_begun(kind: str, pending: str, expected: int | None) -> None:
    found = joined(KINDS[kind], records(pending))
    assert (found.number if found is not None else None) == expected


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ("", None),
        ("d", None),
        ("d!", 1),
        ("d d!", None),
        ("s! d", 1),
        ("s d!", 2),  # the worker still runs an older program
        ("s s! d", None),  # it was restarted since
        ("s s! d!", 3),
        ("d> d!", None),
    ],
)
def test_the_failure_that_still_counts(newest_first: str, expected: int | None) -> None:
    found = last_failure(records(newest_first))
    assert (found.number if found is not None else None) == expected
