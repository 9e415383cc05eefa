"""New folders of workers: when one is tried, that several are one run of root's, and what they can
not do whose owner is no friend."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from host.releases import written
from manager.watched_folder import YAML, Bench, watch_bench, worker_folder

from tqunits.lifecycle.work_share import LEAST_US, OF_WORDS
from tqunits.manager import new_workers, source_room
from tqunits.manager.new_workers import NewFolder, NewWorkers
from tqunits.manager.work_meter import WorkMeter
from tqunits.system.inotify import FolderWatches

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop

ALICE = 12345


class Discovery:
    """A folder of workers, and how often all that lies there was applied."""

    def __init__(self, bench: Bench, place: Path) -> None:
        self.bench, self.directory = bench, place / "workers"
        self.directory.mkdir()
        self.tried: list[str] = []  # of the folders that are watched alone
        self.refusal = ""
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.count = 0
        self.folders = FolderWatches(asyncio.get_running_loop())
        self.new = NewWorkers(self.directory, self.folders, bench.tools, self.apply)

    async def apply(self, _: WorkMeter) -> str:
        self.count += 1
        self.bench.ring()
        await self.goes_on.wait()
        return self.refusal

    async def has_tried(self, count: int) -> None:
        await self.bench.until(lambda: self.count >= count)

    def folder_of(self, worker: str, *, was_left: bool) -> NewFolder:
        """One that is watched alone, without the others."""
        folder = written(self.directory / worker, **{YAML: f"path: /{worker}"})
        return NewFolder(folder, self.bench.tools, partial(self._try, worker), was_left=was_left)

    def _try(self, worker: str) -> None:
        self.tried.append(worker)
        self.bench.ring()

    def close(self) -> None:
        self.new.close()
        self.folders.close()


@asynccontextmanager
async def discovering(directory: Path) -> AsyncIterator[Discovery]:
    async with watch_bench() as bench:
        found = Discovery(bench, directory)
        yield found
        found.close()


@pytest.fixture
async def discovery(tmp_path: Path) -> AsyncIterator[Discovery]:
    async with discovering(tmp_path) as found:
        yield found


@pytest.fixture
async def of_root(roots: Path) -> AsyncIterator[Discovery]:
    """Below folders in which nobody but root can switch a link: no other link is followed."""
    async with discovering(roots) as found:
        yield found


async def test_what_is_there_already_is_tried_once(discovery: Discovery) -> None:
    worker_folder(discovery.directory)
    discovery.new.follow(())
    await discovery.has_tried(1)
    assert discovery.bench.said == [
        f"there is something new in {discovery.directory}, and it is installed if it can be"
    ]
    discovery.new.follow(("api",))
    await discovery.bench.bells.all_is_told()
    assert discovery.count == 1


async def test_a_folder_that_comes_is_tried_when_it_has_its_worker_yaml(discovery: Discovery) -> None:
    discovery.new.follow(())
    folder = discovery.directory / "api"
    for part in (folder, folder / "config"):
        part.mkdir()
        await discovery.bench.bells.all_is_told()
    assert discovery.count == 0
    (folder / YAML).write_text("type: exec\n")
    await discovery.has_tried(1)


async def test_installed_ones_and_what_has_no_workers_name_are_none(discovery: Discovery) -> None:
    for name in ("installed", ".hidden", "Not a name", "x" * 200):
        written(discovery.directory / name, **{YAML: "type: exec\n"})
    (discovery.directory / "file").touch()
    discovery.new.follow(("installed",))
    worker_folder(discovery.directory)
    await discovery.has_tried(1)
    assert set(discovery.bench.looks) == {"api"}


async def test_several_at_once_are_one_run_and_one_that_comes_meanwhile_another(discovery: Discovery) -> None:
    discovery.goes_on.clear()
    discovery.new.follow(())
    worker_folder(discovery.directory)
    await discovery.has_tried(1)
    looks = len(discovery.bench.looks)
    for name in ("one", "two"):
        written(discovery.directory / name, **{YAML: "type: exec\n"})
    while len(discovery.bench.looks) < looks + 2:
        await asyncio.sleep(0)
    await discovery.bench.look_is_over()
    discovery.goes_on.set()
    await discovery.has_tried(2)


async def test_what_is_refused_is_tried_again_when_it_has_changed(discovery: Discovery) -> None:
    discovery.refusal = "worker.yaml:1: no such setting"
    folder = worker_folder(discovery.directory)
    discovery.new.follow(())
    await discovery.bench.until(lambda: discovery.bench.said_of("no such setting"))
    discovery.new.follow(())
    (folder / YAML).touch()
    await discovery.bench.bells.all_is_told()
    assert discovery.count == 1
    (folder / YAML).write_text("type: exec\n")
    await discovery.has_tried(2)


async def test_a_folder_that_goes_and_comes_back_is_new_again(discovery: Discovery) -> None:
    folder = worker_folder(discovery.directory)
    discovery.new.follow(())
    await discovery.has_tried(1)
    shutil.rmtree(folder)
    discovery.new.follow(())
    worker_folder(discovery.directory)
    await discovery.has_tried(2)


async def test_a_folder_that_is_closed_to_us_hides_no_other(of_root: Discovery) -> None:
    for name in ("api", "own", "half"):
        written(of_root.directory / name, **{YAML: "type: exec\n"})
    (of_root.directory / "own").chmod(0o700)
    (of_root.directory / "half/config").chmod(0o700)
    os.seteuid(ALICE)
    try:
        of_root.new.follow(())
        await of_root.has_tried(1)
    finally:
        os.seteuid(0)
    assert of_root.bench.looks == ["api"]
    assert [of_root.bench.said_of(f"{name} is not looked at") for name in ("own", "half")] == [1, 1]


async def test_more_folders_than_are_watched_are_said_once(discovery: Discovery) -> None:
    for number in range(new_workers.MOST + 1):
        (discovery.directory / f"w{number}").mkdir()
    discovery.new.follow(())
    discovery.new.follow(())
    [line] = discovery.bench.said
    assert line.startswith(f"{discovery.directory} has more than {new_workers.MOST} folders that are no workers")


async def test_whoever_is_uninstalled_is_installed_again_when_something_changes_there(discovery: Discovery) -> None:
    """His folder stays, and nobody has asked for him. One thread looks at one folder after the
    other."""
    left, new = discovery.folder_of("api", was_left=True), discovery.folder_of("shop", was_left=False)
    await discovery.bench.until(lambda: discovery.tried)
    assert discovery.tried == ["shop"]
    (discovery.directory / "api" / YAML).write_text("path: /other")
    await discovery.bench.until(lambda: discovery.tried[1:])
    assert discovery.tried == ["shop", "api"]
    left.close()
    new.close()


async def test_a_directory_that_is_not_there_is_said_once(discovery: Discovery) -> None:
    discovery.directory.rmdir()
    discovery.new.follow(())
    discovery.new.follow(())
    assert discovery.bench.said == [f"new workers in {discovery.directory} are not noticed: No such file or directory"]


async def test_who_makes_the_same_folder_again_and_again_waits(discovery: Discovery) -> None:
    """A folder that is made anew has no pause of its own, so all of them together have a bound."""
    discovery.new.cost.charge(10**12)
    worker_folder(discovery.directory)
    discovery.new.follow(())
    await discovery.bench.until(lambda: discovery.bench.said_of("waits"))
    assert discovery.count == 0


@pytest.mark.parametrize("kind", ["folder", "link"])
async def test_another_directory_in_the_place_of_the_first_is_watched(of_root: Discovery, kind: str) -> None:
    """It comes when the first one has been gone for a while; also as a link that is switched."""
    discovery, directory = of_root, of_root.directory
    if kind == "link":
        directory.symlink_to(directory.rename(directory.with_name("first")))
    discovery.new.follow(())
    directory.rename(directory.with_name("before"))
    await discovery.bench.until(lambda: discovery.bench.said_of("are not noticed: No such file or directory"))
    second = directory.with_name("second")
    second.mkdir()
    if kind == "link":
        directory.symlink_to(second)
    else:
        second.rename(directory)
    await discovery.bench.bells.all_is_told()
    worker_folder(directory)
    await discovery.has_tried(1)


async def test_a_link_to_a_folder_that_gets_its_worker_yaml_later_is_a_worker(of_root: Discovery) -> None:
    target = of_root.directory.with_name("checkout")
    target.mkdir()
    (of_root.directory / "api").symlink_to(target)
    of_root.new.follow(())
    written(target, **{YAML: "type: exec\n"})
    await of_root.has_tried(1)


async def test_a_folder_that_is_opened_to_us_as_we_said_is_tried(of_root: Discovery) -> None:
    folder = worker_folder(of_root.directory)
    folder.chmod(0o700)
    os.seteuid(ALICE)
    try:
        of_root.new.follow(())
        assert of_root.bench.said_of(f"chmod o+x {folder}") == 1
        os.seteuid(0)
        folder.chmod(0o755)
        os.seteuid(ALICE)
        await of_root.has_tried(1)
    finally:
        os.seteuid(0)


async def test_who_makes_and_removes_folders_for_ever_does_not_fill_the_journal(of_root: Discovery) -> None:
    folder = of_root.directory / "own"
    os.seteuid(ALICE)
    try:
        for number in range(200):
            os.seteuid(0)
            written(folder, **{YAML: f"{number}"}).chmod(0o700)
            os.seteuid(ALICE)
            of_root.new.follow(())
            os.seteuid(0)
            shutil.rmtree(folder)
            of_root.new.follow(())
    finally:
        os.seteuid(0)
    assert of_root.bench.said_of("own is not looked at") <= OF_WORDS.free // LEAST_US + 1


async def test_many_files_in_new_folders_take_no_room_from_those_who_are_installed(discovery: Discovery) -> None:
    discovery.bench.tools.room.take("installed", source_room.MOST)
    worker_folder(discovery.directory)
    discovery.new.follow(())
    await discovery.has_tried(1)
    discovery.bench.tools.room.take("installed", source_room.MOST)  # it raises nothing


async def test_events_without_end_in_a_new_folder_begin_no_watch_anew(discovery: Discovery) -> None:
    """A watch counts its events, and ends when they are too many; a new one would not know them."""
    folder = discovery.directory / "api"
    folder.mkdir()
    discovery.new.follow(())
    before = _last_watch()
    for number in range(100):
        (folder / str(number)).touch()
        await discovery.bench.bells.all_is_told()
    assert _last_watch() == before


def _last_watch() -> int:
    """The highest number of a watch for folders alone; each new one has a higher one."""
    texts = [path.read_text() for path in Path("/proc/self/fdinfo").iterdir() if path.exists()]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("inotify wd:")]
    return max(int(line.split()[1].removeprefix("wd:"), 16) for line in lines)
