"""A run that is killed, or a call that fails, at any moment: a release is whole or not there, and
the next run needs no help."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from host.moments import failures, kills
from host.releases import API, ONE, THREE, TWO, draft, layout_in, own, taken, tree, written

from tqunits.host import release_links, release_manifests, release_store
from tqunits.host.release_manifests import NoSuchRelease
from tqunits.layout import Layout

STEPS = 25
"""At least so many moments are tried."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = layout_in(tmp_path / "state")
    release_manifests.folder_of(API, found).mkdir(parents=True)
    return found


@pytest.fixture
def folder(layout: Layout) -> Path:
    return release_manifests.folder_of(API, layout)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = written(tmp_path / "source", run="program", lib__data="data")
    (made / "link").symlink_to("run")
    return made


WHOLE = {
    f"{ONE}/",
    f"{ONE}.json",
    f"{ONE}/run",
    f"{ONE}/link",
    f"{ONE}/lib/",
    f"{ONE}/lib/data",
    f"{ONE}/var/",
    f"{ONE}/.tqunits-release",
}


def whole(layout: Layout) -> bool:
    try:
        release_manifests.read(layout, API, ONE)
    except NoSuchRelease:
        return False
    return True


def take(layout: Layout, source: Path) -> bool:
    return release_store.take(layout, API, own(source, mount_points=("var",)), draft()).is_new


def test_whatever_fails_leaves_nothing(layout: Layout, folder: Path, source: Path) -> None:
    steps = []
    for step in failures(lambda: take(layout, source)):
        steps.append(step)
        assert tree(folder) in (set(), WHOLE), step
        assert whole(layout) is (tree(folder) == WHOLE), step
        if whole(layout):
            shutil.rmtree(folder)
            folder.mkdir()
    assert len(steps) > STEPS
    assert tree(folder) == WHOLE


def test_a_kill_leaves_a_whole_release_or_none(layout: Layout, folder: Path, source: Path) -> None:
    count = 0
    for number in kills(lambda: take(layout, source)):
        count += 1
        was_whole = whole(layout)
        assert not was_whole or tree(folder) == WHOLE, number
        assert take(layout, source) is not was_whole, number
        assert tree(folder) == WHOLE, number
        shutil.rmtree(folder)
        folder.mkdir()
    assert count > STEPS


def test_a_kill_while_old_ones_are_removed(layout: Layout, folder: Path, source: Path) -> None:
    count = 0
    taken(layout, source, ONE, TWO, THREE)
    release_links.point(layout, API, {1: TWO})
    for number in kills(lambda: release_store.prune(layout, API, 1)):
        count += 1
        there = {each.release for each in release_manifests.all_of(layout, API)}
        assert {TWO, THREE} <= there, number
        assert not (ONE in there and tree(folder / ONE) != tree(folder / TWO)), number
        release_store.prune(layout, API, 1)
        assert {path.name for path in folder.iterdir()} == {TWO, f"{TWO}.json", THREE, f"{THREE}.json", "runs"}
        taken(layout, source, ONE)
    assert count > 3


def test_a_kill_while_links_are_swapped(layout: Layout, folder: Path, source: Path) -> None:
    taken(layout, source, ONE, TWO)
    old: Mapping[int, str] = {1: ONE, 2: ONE}
    release_links.point(layout, API, old)
    count = 0
    for number in kills(lambda: release_links.point(layout, API, {1: TWO, 2: TWO})):
        count += 1
        runs = release_links.runs_of(layout, API)
        assert runs.keys() == {1, 2}, number
        assert set(runs.values()) <= {ONE, TWO}, number
        release_links.point(layout, API, old)
    assert count > 3
    release_store.remove_leftovers(layout, API)
    assert {path.name for path in (folder / "runs").iterdir()} == {"1", "2"}
