"""Folders that may become workers, where whoever made them is no friend. What becomes of good ones
is tried on a booted systemd."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from host.releases import written

from tqunits.manager import new_workers
from tqunits.manager.new_workers import NewFolder, NewWorkers
from tqunits.manager.source_room import SourceRoom
from tqunits.manager.work_meter import WorkMeter
from tqunits.manager.worker_watch import WatchTools
from tqunits.system.inotify import FolderWatches
from tqunits.system.tree_watch import TreeWatches

pytestmark = pytest.mark.loops("uvloop")

ALICE = 12345
YAML = "config/worker.yaml"


class Said:
    """What was said, and a way to wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._bell = asyncio.Event()

    def say(self, line: str) -> None:
        self.lines.append(line)
        self._bell.set()

    async def until(self, is_there: Callable[[str], bool]) -> None:
        async with asyncio.timeout(10):
            while not any(map(is_there, self.lines)):
                self._bell.clear()
                await self._bell.wait()


class Directory:
    """The folder of the workers' folders, and who watches it."""

    def __init__(self, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        self.folder = folder
        self.said = Said()
        self._trees, self.folders, self._thread = TreeWatches(loop), FolderWatches(loop), ThreadPoolExecutor(1)
        self.tools = WatchTools(
            trees=self._trees,
            local=self._thread,
            slow=self._thread,
            remote=self._thread,
            results=lambda _: (),
            room=SourceRoom(),
            say=self.said.say,
        )
        self.new = NewWorkers(folder, self.folders, self.tools, self._apply)

    async def _apply(self, _: WorkMeter) -> str:
        return "api is refused"

    def folder_of(self, worker: str, *, was_left: bool) -> NewFolder:
        """Alone, without the others: a try of it is said."""
        written(self.folder, **{f"{worker}/{YAML}": f"path: /{worker}"})
        tell = partial(self.said.say, f"{worker} is tried")
        return NewFolder(self.folder / worker, self.folders, self.tools, tell, was_left=was_left)

    def close(self) -> None:
        for each in (self.new, self._trees, self.folders):
            each.close()
        self._thread.shutdown()


@pytest.fixture
async def directory(roots: Path) -> AsyncIterator[Directory]:
    found = Directory(roots)
    yield found
    os.seteuid(0)
    found.close()


def is_tried(line: str) -> bool:
    return line.startswith("not all of it is installed")


async def test_a_new_folder_is_tried(directory: Directory) -> None:
    written(directory.folder, **{f"api/{YAML}": "path: /api"})
    directory.new.follow(())
    await directory.said.until(is_tried)


async def test_a_folder_that_is_closed_to_us_hides_no_other(directory: Directory) -> None:
    written(directory.folder, **{f"api/{YAML}": "1", f"own/{YAML}": "1", f"half/{YAML}": "1"})
    (directory.folder / "own").chmod(0o700)
    (directory.folder / "half/config").chmod(0o700)
    os.seteuid(ALICE)
    directory.new.follow(())
    await directory.said.until(is_tried)


async def test_more_folders_than_are_watched_are_said_once(directory: Directory) -> None:
    for number in range(new_workers.MOST + 1):
        (directory.folder / f"w{number}").mkdir()
    directory.new.follow(())
    directory.new.follow(())
    [line] = directory.said.lines
    assert line.startswith(f"{directory.folder} has more than {new_workers.MOST} folders that are no workers")


async def test_whoever_is_uninstalled_is_installed_again_when_something_changes_there(directory: Directory) -> None:
    """His folder stays, and nobody has asked for him. One thread looks at one folder after the
    other."""
    left, new = directory.folder_of("api", was_left=True), directory.folder_of("shop", was_left=False)
    await directory.said.until(lambda line: line == "shop is tried")
    assert directory.said.lines == ["shop is tried"]
    (directory.folder / "api" / YAML).write_text("path: /other")
    await directory.said.until(lambda line: line == "api is tried")
    left.close()
    new.close()


async def test_a_directory_that_is_not_there_is_said_once(directory: Directory) -> None:
    directory.folder.rename(directory.folder.with_name(f"{directory.folder.name}-elsewhere"))
    directory.new.follow(())
    directory.new.follow(())
    directory.folder.with_name(f"{directory.folder.name}-elsewhere").rename(directory.folder)
    assert directory.said.lines == [f"new workers in {directory.folder} are not noticed: No such file or directory"]


async def test_who_makes_the_same_folder_again_and_again_waits(directory: Directory) -> None:
    """A folder that is made anew has no pause of its own, so all of them together have a bound."""
    directory.new.cost.charge(10**12)
    written(directory.folder, **{f"api/{YAML}": "path: /api"})
    directory.new.follow(())
    await directory.said.until(lambda line: "waits" in line)
    assert not any(map(is_tried, directory.said.lines))
