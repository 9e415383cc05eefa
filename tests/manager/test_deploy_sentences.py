"""What the manager says of files that are not in a release: each one counts, whatever its name."""

from __future__ import annotations

import pytest

from tqunits.host.hostile_files import Untaken
from tqunits.lifecycle.deploys import MAX_TEXT
from tqunits.lifecycle.release import MAX_LEFT, HarvestResult, parse_result, result_text
from tqunits.manager.deploy_sentences import left_out

SAID = "not in the release, because not everybody may read it: "


def said(names: list[str]) -> str:
    """As the manager reads it in the result that root has written."""
    found = Untaken()
    for name in names:
        found.add(name)
    result = HarvestResult(number=1, left=tuple(found.names), left_count=found.count)
    return left_out(parse_result(result_text(result)))


@pytest.mark.parametrize(
    ("count", "end"), [(1, "f0"), (5, "f0, f1, f2, f3, f4"), (6, "f4 and 1 more"), (17, "f4 and 12 more")], ids=str
)
def test_those_that_are_not_named_are_counted(count: int, end: str) -> None:
    text = said([f"f{number}" for number in range(count)])
    assert text.startswith(f"{SAID}f0")
    assert text.endswith(end)


def test_long_names_leave_room_for_the_number_of_the_others() -> None:
    names = tuple("\x1b" * 4096 for _ in range(MAX_LEFT))
    text = left_out(parse_result(result_text(HarvestResult(number=1, left=names, left_count=1_000_000))))
    assert len(text) <= MAX_TEXT
    assert text.endswith("... and 999990 more")
