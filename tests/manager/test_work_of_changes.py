"""What a change of a worker's folder has done, and how often: the folder is a real one, and what
would be done is written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from host.releases import written

from tqunits.layout import SYSTEM_LAYOUT
from tqunits.lifecycle.own_changes import MOST
from tqunits.lifecycle.work_share import LEAST_US, OF_WORDS
from tqunits.manager.folder_look import WatchSubject
from tqunits.manager.source_room import SourceRoom
from tqunits.manager.watched_files import WatchedFiles
from tqunits.manager.watched_worker import WatchedWorker
from tqunits.manager.work_meter import WorkMeter
from tqunits.manager.worker_watch import WatchState, WatchTools
from tqunits.system.tree_watch import TreeWatches
from tqunits.units.watch_note import WatchNote

pytestmark = pytest.mark.loops("uvloop")

NOTE = WatchNote(paths=(".",), ignore=(), without=(), debounce=1000, max_wait=1000, may_write=False)
TOO_MUCH = 10**12  # µs


class Host:
    """Writes down what is asked of it."""

    def __init__(self, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        self.folder = folder
        self.said: list[str] = []
        self.took = 0  # µs of a deploy
        self.done: list[str] = []
        self.began: list[str] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._bell = asyncio.Event()
        self._trees, self._thread = TreeWatches(loop), ThreadPoolExecutor(1)
        tools = WatchTools(
            trees=self._trees,
            local=self._thread,
            slow=self._thread,
            remote=self._thread,
            results=lambda _: (),
            room=SourceRoom(),
            say=self._say,
        )
        layout = replace(SYSTEM_LAYOUT, state=PurePosixPath(folder.parent / "state"))
        self.subject = WatchSubject(worker="api", source=str(folder / "config/worker.yaml"), note=NOTE)
        self.worker = WatchedWorker(self.subject, tools, WatchedFiles(layout), self, lambda: None)

    def _say(self, line: str) -> None:
        self.said.append(line)
        self._bell.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """The bell rings for all that is said and done."""
        async with asyncio.timeout(10):
            while not is_so():
                self._bell.clear()
                await self._bell.wait()

    async def apply(self, worker: str, cost: WorkMeter) -> str:
        cost.charge(1)
        self.began.append(worker)
        self._bell.set()
        await self.may_end.wait()
        self.done.append(f"apply {worker}")
        self._bell.set()
        return ""

    def deploy(self, worker: str, message: str) -> int | None:
        self.done.append(f"deploy {worker}: {message}")
        self._bell.set()
        return len(self.done)

    def ended_us(self, worker: str, number: int) -> int | None:
        return None if worker and number else 0  # each one goes on, so each change is soon

    def took_us(self, worker: str, number: int) -> int | None:
        return self.took if worker and number else None

    def runs_from_us(self, worker: str) -> int | None:
        return len(worker)  # long ago: what lies there is newer

    def close(self) -> None:
        self.worker.close()
        self._trees.close()
        self._thread.shutdown()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    found = Host(written(tmp_path / "api", **{"config/worker.yaml": "path: /api", "main.py": "1"}))
    await found.until(lambda: len(found.done) == 1)
    yield found
    found.close()


async def test_what_is_newer_than_what_runs_is_deployed(host: Host) -> None:
    assert host.done == ["deploy api: its files have changed while the manager did not watch them"]
    assert host.worker.pause_s == 0


async def test_after_too_much_work_a_change_waits_and_says_so(host: Host) -> None:
    host.took = TOO_MUCH
    (host.folder / "main.py").write_text("2")
    await host.until(lambda: any("its files change so often" in line for line in host.said))
    assert len(host.done) == 1
    assert host.worker.pause_s > 0


async def test_settings_have_a_share_of_their_own(host: Host) -> None:
    host.worker.deploys.charge(TOO_MUCH)
    (host.folder / "config/worker.yaml").write_text("path: /api\n")
    await host.until(lambda: "apply api" in host.done)


async def test_who_is_watched_in_another_way_keeps_what_he_has_caused(host: Host) -> None:
    """Else a change of watch.ignore would buy him new work of root's."""
    host.worker.applies.charge(TOO_MUCH)
    host.worker.follow(replace(host.subject, note=replace(NOTE, ignore=("*.txt",))))
    assert host.worker.pause_s > 0


@pytest.mark.parametrize("may_write", [True, False])
async def test_who_may_write_his_own_folder_is_suspected_of_it(host: Host, *, may_write: bool) -> None:
    host.worker.follow(replace(host.subject, note=replace(NOTE, may_write=may_write)))
    for number in range(MOST + 3):
        (host.folder / "main.py").write_text(f"{number} is new")
        await host.until(partial(has_acted, host, number + 2))
    assert host.worker.suspended == ("main.py" if may_write else "")
    assert (
        any("main.py has changed right after each of the last 3 replacements" in line for line in host.said)
        == may_write
    )


async def test_a_folder_that_was_flooded_again_and_again_is_looked_at_later(host: Host) -> None:
    """With its watches it would flood the queue again, and all others would be looked at."""
    host.worker.watch.floods.charge(TOO_MUCH)
    (host.folder / "main.py").write_text("2")
    await host.until(lambda: any("more than 5000 changes in a second" in line for line in host.said))
    assert host.worker.watch.state is WatchState.POLLS
    assert len(host.done) == 1


async def test_a_folder_whose_state_changes_for_ever_does_not_fill_the_journal(host: Host) -> None:
    yaml = host.folder / "config/worker.yaml"
    for _ in range(40):
        for state, to in ((WatchState.BROKEN, "away"), (WatchState.WATCHES, "worker.yaml")):
            next(yaml.parent.iterdir()).rename(yaml.with_name(to))
            host.worker.watch.look_again()
            await reached(host, state)
    assert OF_WORDS.free // LEAST_US <= len(host.said) <= OF_WORDS.free // LEAST_US + 2
    assert len(host.done) == 1


def has_acted(host: Host, times: int) -> bool:
    return len(host.done) == times or bool(host.worker.suspended)


async def reached(host: Host, state: WatchState) -> None:
    async with asyncio.timeout(10):
        while host.worker.watch.state is not state:
            await asyncio.sleep(0)


async def test_settings_that_change_the_watch_are_applied_once(host: Host) -> None:
    """The new note is installed while root is still at work."""
    host.may_end.clear()
    host.took = TOO_MUCH
    (host.folder / "config/worker.yaml").write_text("path: /api\nwatch: {ignore: ['*.txt']}")
    await host.until(lambda: bool(host.began))
    host.worker.follow(replace(host.subject, note=replace(NOTE, ignore=("*.txt",))))
    host.may_end.set()
    await host.until(lambda: "apply api" in host.done)
    (host.folder / "main.py").write_text("3")
    await host.until(lambda: any("its files change so often" in line for line in host.said))
    assert host.began == ["api"]
