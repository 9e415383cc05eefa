"""The way to a folder, and what can make it lead elsewhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tree_owner import watching

from tqunits.system import process
from tqunits.system.path_watch import MAX_LINKS, MAX_STEPS, WatchedPath, steps

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """workers/api -> srv/current -> releases/7, as deploys make it."""
    for release in ("7", "8"):
        (tmp_path / "srv/releases" / release / "api").mkdir(parents=True)
    (tmp_path / "workers").mkdir()
    (tmp_path / "srv/current").symlink_to("releases/7")
    (tmp_path / "workers/api").symlink_to(tmp_path / "srv/current/api")
    return tmp_path


def below(place: Path, path: Path) -> list[str]:
    """The steps in a folder, without those on the way to it."""
    found = [os.path.join(*step) for step in steps(path)]
    return [os.path.relpath(step, place) for step in found if Path(step).is_relative_to(place) and step != str(place)]


def test_every_name_that_is_looked_up_is_a_step(place: Path) -> None:
    expected = ["workers", "workers/api", "srv", "srv/current", "srv/releases", "srv/releases/7", "srv/releases/7/api"]
    assert below(place, place / "workers/api") == expected


def test_the_way_begins_at_the_root() -> None:
    assert list(steps(Path("/proc/sys/fs"))) == [("/", "proc"), ("/proc", "sys"), ("/proc/sys", "fs")]
    assert list(steps(Path("/"))) == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("../srv/./releases//8", ["srv", "srv/releases", "srv/releases/8"], id="dots"),
        pytest.param("../srv/current/..", ["srv", "srv/current", "srv/releases", "srv/releases/7"], id="above a link"),
        pytest.param("../../../../../../../../../../..", [], id="above the root"),
        pytest.param("none/below", ["workers/none"], id="nowhere"),
        pytest.param("link", [], id="circle"),
        pytest.param("/../..", [], id="root"),
    ],
)
def test_what_a_link_says_is_followed_as_the_kernel_does(place: Path, target: str, expected: list[str]) -> None:
    link = place / "workers/link"
    link.symlink_to(target)
    found = below(place, link)
    assert found[:2] == ["workers", "workers/link"]
    assert [step for step in found[2:] if step != "workers/link"] == expected


def test_links_without_end_have_an_end(place: Path) -> None:
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    found = [step for step in steps(place / "a") if step[0] == str(place)]
    assert len(found) == MAX_LINKS + 1


def test_a_link_of_many_names_is_a_bounded_way(place: Path) -> None:
    deep = place / Path(*["d"] * 200)
    deep.mkdir(parents=True)
    (place / "many").symlink_to(deep)
    assert len(list(steps(place / "many"))) == MAX_STEPS


def test_the_name_may_be_anything(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n")
    (tmp_path / name).symlink_to(os.fsdecode(b"\xfe"))
    os.mkdir(os.fsencode(tmp_path) + b"/\xfe")
    assert list(steps(tmp_path / name))[-2:] == [(str(tmp_path), name), (str(tmp_path), os.fsdecode(b"\xfe"))]


def switch(link: Path, target: str) -> None:
    link.with_name("new").symlink_to(target)
    link.with_name("new").replace(link)


CHANGES: dict[str, Callable[[Path], object]] = {
    "ln -sfn": lambda place: process.run(["ln", "-sfn", "releases/8", str(place / "srv/current")]),
    "a link renamed over it": lambda place: switch(place / "srv/current", "releases/8"),
    "the first link": lambda place: switch(place / "workers/api", "../srv/releases/8/api"),
    "a folder on the way renamed": lambda place: (place / "srv").rename(place / "aside"),
    "the last folder renamed": lambda place: (place / "srv/releases/7/api").rename(place / "aside"),
    "the last folder removed": lambda place: process.run(["rm", "-r", str(place / "srv/releases/7/api")]),
    "the folder of the links removed": lambda place: process.run(["rm", "-r", str(place / "workers")]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_makes_it_lead_elsewhere_is_told(place: Path, change: Callable[[Path], object]) -> None:
    told: list[bool] = []
    async with watching() as (watches, bells):
        watched = WatchedPath(watches, place / "workers/api", lambda: told.append(True))
        await follow(watched)
        (place / "srv/releases/7/other").touch()
        (place / "workers/other").symlink_to("nowhere")
        (place / "srv/releases/9").mkdir()
        (place / "srv/releases/7/api/main.go").touch()
        await bells.all_is_told()
        assert told == []
        change(place)
        await bells.all_is_told()
        assert told


async def test_the_new_way_is_watched_and_the_old_one_no_more(place: Path) -> None:
    told: list[bool] = []
    async with watching() as (watches, bells):
        watched = WatchedPath(watches, place / "workers/api", lambda: told.append(True))
        await follow(watched)
        switch(place / "srv/current", "releases/8")
        await follow(watched)
        await bells.all_is_told()
        told.clear()
        (place / "srv/releases/7/api").rename(place / "aside")
        await bells.all_is_told()
        assert told == []
        (place / "srv/releases/8/api").rename(place / "aside/it")
        await bells.all_is_told()
        assert told
        watched.close()


async def test_what_is_not_there_yet_is_told_when_it_comes(place: Path) -> None:
    told: list[bool] = []
    async with watching() as (watches, bells):
        watched = WatchedPath(watches, place / "later/api", lambda: told.append(True))
        await follow(watched)
        (place / "later").mkdir()
        await bells.all_is_told()
        assert told
        await follow(watched)
        told.clear()
        (place / "later/api").mkdir()
        await bells.all_is_told()
        assert told


async def follow(watched: WatchedPath) -> None:
    renewal = watched.begin_look()
    await asyncio.to_thread(watched.follow, renewal.add)
    renewal.end()
