"""A rollback goes to what was stable before; the next one goes further back."""

from __future__ import annotations

import pytest

from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord
from tqunits.lifecycle.way_back import ways_back


def deployed(text: str) -> DeployRecord:
    """`a` is a deploy of the release a, `-a` a rollback to it, `+a` a restart with it; behind them
    `!`: it was not stable."""
    kind = {"-": DeployKind.ROLLBACK, "+": DeployKind.RESTART}.get(text[0], DeployKind.DEPLOY)
    return DeployRecord(
        number=1,
        worker="api",
        kind=kind,
        actor="root",
        asked_us=1,
        outcome=DeployOutcome.FAILED if text.endswith("!") else DeployOutcome.DONE,
        release=text.strip("-+!") * 12,
        was_stable=not text.endswith("!"),
    )


@pytest.mark.parametrize(
    ("deploys", "present", "expected"),
    [
        ("", "a", ""),
        ("a", "a", ""),
        ("a b c", "c", "b a"),
        ("a b c!", "b", "a"),
        ("a b c!", "c", "b a"),
        ("a b c -b", "b", "a"),
        ("a b c -b -a", "a", ""),
        ("a b c -a", "a", ""),
        ("a b -a c", "c", "a"),
        ("a b -a b", "b", "a"),
        ("a b a", "a", "b"),
        ("a b a -b", "b", "a"),
        ("a a b", "b", "a"),
        ("a b c -b!", "c", "b a"),
        ("-a b", "b", "a"),
        ("a b", None, "b a"),
        ("a b +a c", "c", "b a"),
        ("a +b", "a", ""),
    ],
)
def test_what_one_can_go_back_to(deploys: str, present: str | None, expected: str) -> None:
    found = ways_back(map(deployed, deploys.split()), present and present * 12)
    assert found == tuple(each * 12 for each in expected.split())
