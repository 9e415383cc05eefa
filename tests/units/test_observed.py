"""Whether something is newer than a process."""

from __future__ import annotations

import pytest

from tqunits.units.observed import is_newer


@pytest.mark.parametrize(
    ("at", "started", "expected"),
    [(6, 5, True), (5, 5, False), (4, 5, False), (10, 5, True), (11, 5, False), (6, 0, False), (0, 5, False)],
    ids=["later", "at once", "before", "now", "yet to come", "never started", "never made"],
)
def test_newer(at: int, started: int, expected: object) -> None:
    assert is_newer(at, started, now=10) is expected
