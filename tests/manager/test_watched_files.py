"""What the manager remembers of the folders that it watches."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from host.releases import API, layout_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from manager.watched_folder import ALL

from tqunits.layout import Layout
from tqunits.manager.watched_files import Acted, WatchedFiles, scope_of

DIGESTS = st.text("0123456789abcdef", max_size=128)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return layout_in(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acted=st.builds(Acted, DIGESTS, DIGESTS, DIGESTS))
def test_what_is_saved_is_loaded(layout: Layout, acted: Acted) -> None:
    WatchedFiles(layout).save(API, acted)
    assert WatchedFiles(layout).load(API) == acted


def test_nobody_else_reads_it(layout: Layout) -> None:
    WatchedFiles(layout).save(API, Acted("ab"))
    assert stat.S_IMODE(Path(layout.watched(API)).stat().st_mode) == 0o600


GOOD = '{"version": 1, "sources": "ab", "settings": "cd", "scope": "ef"}'


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param(GOOD[:-1], id="cut off"),
        pytest.param(GOOD.replace("1", "2"), id="another version"),
        pytest.param(GOOD.replace('"ab"', "null"), id="no text"),
        pytest.param(GOOD.replace("ab", "AB"), id="no digest"),
        pytest.param(GOOD.replace("ab", "a" * 129), id="too long a digest"),
        pytest.param(GOOD.replace('"ab"', '["ab"]'), id="a list"),
        pytest.param(GOOD.replace(', "scope": "ef"', ""), id="one is missing"),
        pytest.param(GOOD.replace("}", ', "more": 1}'), id="one too many"),
        pytest.param(GOOD + " " * 5000, id="too long"),
        pytest.param("[" * 4000, id="deep"),
        pytest.param("\ud8ff", id="no UTF-8"),
    ],
)
def test_anything_else_counts_as_nothing(layout: Layout, content: str) -> None:
    path = Path(layout.watched(API))
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    assert WatchedFiles(layout).load(API) == Acted("ab", "cd", "ef")
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert WatchedFiles(layout).load(API) is None


def test_a_folder_in_its_place_counts_as_nothing(layout: Layout) -> None:
    Path(layout.watched(API)).mkdir(parents=True)
    assert WatchedFiles(layout).load(API) is None


def test_the_scope_is_which_files_count() -> None:
    others = [replace(ALL, paths=("a",)), replace(ALL, ignore=("a",)), replace(ALL, without=("a",))]
    assert len({scope_of(each) for each in (ALL, *others)}) == 4
    assert scope_of(replace(ALL, debounce=1, max_wait=2, may_write=True)) == scope_of(ALL)
