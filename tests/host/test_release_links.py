"""Which release an instance runs is a link that is swapped; a missing one means the last stable
release."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from host.releases import API, ONE, THREE, TWO, layout_in, taken, tree, written

from tqunits.host import release_links as links
from tqunits.host import release_manifests
from tqunits.host.release_manifests import NoSuchRelease
from tqunits.layout import Layout
from tqunits.system import files


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """With three releases."""
    found = layout_in(tmp_path / "state")
    taken(found, written(tmp_path / "source", run="program"), ONE, TWO, THREE)
    return found


def test_a_link_leads_to_the_release(layout: Layout) -> None:
    links.point(layout, API, {1: ONE, 12: TWO})
    assert links.runs_of(layout, API) == {1: ONE, 12: TWO}
    assert (links.runs_folder(layout, API) / "12" / ".tqunits-release").read_text() == f"{TWO}\n"
    assert (links.runs_folder(layout, API) / "12").readlink() == Path("..", TWO)


def test_a_link_is_swapped_and_leaves_nothing(layout: Layout) -> None:
    links.point(layout, API, {1: ONE, 2: ONE})
    links.point(layout, API, {2: THREE})
    assert links.runs_of(layout, API) == {1: ONE, 2: THREE}
    assert {path.name for path in links.runs_folder(layout, API).iterdir()} == {"1", "2"}


def test_at_no_moment_there_is_no_link(layout: Layout) -> None:
    links.point(layout, API, {1: ONE})
    link, ended, seen = links.runs_folder(layout, API) / "1", threading.Event(), set[str]()

    def look() -> None:
        while not ended.is_set():
            try:
                seen.add(os.readlink(link))
            except OSError as error:
                seen.add(str(error))

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(100):
        links.point(layout, API, {1: TWO})
        links.point(layout, API, {1: ONE})
    ended.set()
    looking.join()
    assert seen <= {f"../{ONE}", f"../{TWO}"}
    assert seen


def test_a_release_that_is_not_there_changes_no_link(layout: Layout) -> None:
    links.point(layout, API, {1: ONE})
    with pytest.raises(NoSuchRelease):
        links.point(layout, API, {1: TWO, 2: "0" * 12})
    with pytest.raises(NoSuchRelease):
        links.mark_stable(layout, API, "../runs/1")
    assert links.runs_of(layout, API) == {1: ONE}
    assert links.stable_of(layout, API) is None


def test_a_link_that_can_not_be_swapped_leaves_nothing(layout: Layout) -> None:
    (links.runs_folder(layout, API) / "1" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        links.point(layout, API, {1: ONE})
    assert tree(links.runs_folder(layout, API)) == {"1/", "1/in the way/"}


def test_what_is_no_link_of_ours_is_none(layout: Layout) -> None:
    links.point(layout, API, {1: ONE})
    folder = links.runs_folder(layout, API)
    (folder / "2").symlink_to(f"../../other/{ONE}")
    (folder / "3").write_text("")
    (folder / "04").symlink_to(f"../{ONE}")
    (folder / "x").symlink_to(f"../{ONE}")
    assert links.runs_of(layout, API) == {1: ONE}
    (folder.parent / "stable").symlink_to("runs/1")
    assert links.stable_of(layout, API) is None


def test_the_last_stable_release_is_remembered(layout: Layout) -> None:
    assert links.stable_of(layout, API) is None
    links.mark_stable(layout, API, ONE)
    links.mark_stable(layout, API, TWO)
    assert links.stable_of(layout, API) == TWO


def test_who_has_no_link_gets_the_last_stable_release(layout: Layout) -> None:
    links.point(layout, API, {1: THREE})
    links.mark_stable(layout, API, TWO)
    links.complete(layout, API, [1, 2, 3])
    assert links.runs_of(layout, API) == {1: THREE, 2: TWO, 3: TWO}


def test_before_a_release_was_stable_it_is_the_newest(layout: Layout) -> None:
    links.complete(layout, API, [1])
    assert links.runs_of(layout, API) == {1: THREE}


def test_whose_release_is_gone_gets_another(layout: Layout) -> None:
    links.point(layout, API, {1: ONE})
    links.mark_stable(layout, API, ONE)
    files.remove_tree(release_manifests.folder_of(API, layout) / ONE)
    links.complete(layout, API, [1])
    assert links.runs_of(layout, API) == {1: THREE}


def test_without_releases_nothing_is_made(tmp_path: Path) -> None:
    none = layout_in(tmp_path / "none")
    links.complete(none, API, [1])
    assert (links.runs_of(none, API), links.stable_of(none, API), links.mounted(none, API)) == ({}, None, frozenset())
    assert not (tmp_path / "none").exists()
