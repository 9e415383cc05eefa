"""Whether a worker is replaced for changes of its own making."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.lifecycle.own_changes import MOST, OwnChanges


def after(*changes: tuple[str, bool]) -> OwnChanges:
    """After these changes: the names of the files, and whether it was soon."""
    own = OwnChanges()
    for names, is_soon in changes:
        own = own.after(names.split(), is_soon=is_soon)
    return own


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        pytest.param([("a", True)] * MOST, "", id="the first one was a human's"),
        pytest.param([("a", True)] * (MOST + 1), "a", id="once more"),
        pytest.param([("a", False)] * 9, "", id="the same file, in a human's time"),
        pytest.param([*[("a", True)] * MOST, ("a", False), ("a", True)], "", id="a pause begins anew"),
        pytest.param([("a", True), ("b", True)] * 9, "", id="other files each time"),
        pytest.param([("main.py", False), *[("a", True)] * (MOST + 1)], "a", id="after a human's change"),
        pytest.param([("b a", True), ("c a", True), ("a", True), ("d a", True)], "a", id="among others"),
        pytest.param([("b a", True)] * (MOST + 1), "a", id="of two the first by name"),
        pytest.param([*[("a", True)] * 9, ("b", True)], "", id="another file lifts it"),
        pytest.param([("", True)] * 9, "", id="nothing"),
    ],
)
def test_who_is_suspected(changes: list[tuple[str, bool]], culprit: str) -> None:
    assert after(*changes).culprit == culprit


@given(st.lists(st.tuples(st.sets(st.sampled_from("abc"), min_size=1), st.booleans()), max_size=12))
def test_a_culprit_has_changed_soon_each_of_the_last_times(changes: list[tuple[set[str], bool]]) -> None:
    own = OwnChanges()
    for names, is_soon in changes:
        own = own.after(names, is_soon=is_soon)
    in_a_row = [names for names, is_soon in changes[-MOST:] if is_soon]
    named = set[str]().union(*in_a_row) if len(in_a_row) == MOST else set[str]()
    if own.culprit:
        assert own.culprit in named
        assert all(own.culprit in names for names in in_a_row)
