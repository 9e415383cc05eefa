"""How much work the changes of one folder may cause, and what is said about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from manager.watched_folder import ALL, YAML, watch_bench
from manager.written_acts import Desk

from tqunits.lifecycle.work_share import LEAST_US, OF_WORDS
from tqunits.manager.watched_worker import WatchedWorker
from tqunits.manager.worker_watch import WatchState

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop

NOTE = replace(ALL, debounce=1000, max_wait=1000)
WITH_OTHERS = replace(NOTE, ignore=("*.txt",))
TOO_MUCH = 10**12  # µs


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with watch_bench() as bench:
        found = Desk(bench, tmp_path)
        yield found
        found.end()


@pytest.fixture
async def worker(desk: Desk) -> WatchedWorker:
    """One that was deployed a moment ago, because its files are newer than what runs."""
    desk.acts.runs_from = 1
    found = desk.begin(NOTE)
    await desk.did(1)
    return found


async def test_after_too_much_work_a_change_waits_and_says_so(desk: Desk, worker: WatchedWorker) -> None:
    assert worker.pause_s == 0
    desk.acts.took = TOO_MUCH
    desk.edit(**{"main.py": "new"})
    await desk.bench.until(lambda: desk.bench.said_of("its files change so often"))
    assert len(desk.acts.done) == 1
    assert worker.pause_s > 0


async def test_settings_have_a_share_of_their_own(desk: Desk, worker: WatchedWorker) -> None:
    worker.deploys.charge(TOO_MUCH)
    desk.edit(**{YAML: "path: /api\n"})
    assert (await desk.did(2))[1:] == ["apply"]


async def test_who_is_watched_in_another_way_keeps_what_he_has_caused(worker: WatchedWorker) -> None:
    """Else a change of watch.ignore would buy him new work of root's."""
    worker.applies.charge(TOO_MUCH)
    worker.follow(replace(worker.subject, note=WITH_OTHERS), "")
    assert worker.pause_s > 0


async def test_a_folder_that_was_flooded_again_and_again_is_looked_at_later(desk: Desk, worker: WatchedWorker) -> None:
    """With its watches it would flood the queue again, and all others would be looked at."""
    worker.watch.floods.charge(TOO_MUCH)
    desk.edit(**{"main.py": "new"})
    await desk.bench.until(lambda: desk.bench.said_of("more than 5000 changes in a second"))
    assert worker.watch.state is WatchState.POLLS
    assert len(desk.acts.done) == 1


async def test_a_folder_whose_state_changes_for_ever_does_not_fill_the_journal(
    desk: Desk, worker: WatchedWorker
) -> None:
    yaml = desk.folder / YAML
    for _ in range(40):
        for state, to in ((WatchState.BROKEN, "away"), (WatchState.WATCHES, "worker.yaml")):
            next(yaml.parent.iterdir()).rename(yaml.with_name(to))
            worker.watch.look_again()
            async with asyncio.timeout(10):
                while worker.watch.state is not state:
                    await asyncio.sleep(0)
    assert OF_WORDS.free // LEAST_US <= len(desk.bench.said) <= OF_WORDS.free // LEAST_US + 2
    assert len(desk.acts.done) == 1


async def test_settings_that_change_the_watch_are_applied_once(desk: Desk, worker: WatchedWorker) -> None:
    """The new note is installed while root is still at work."""
    desk.acts.goes_on.clear()
    desk.acts.took = TOO_MUCH
    desk.edit(**{YAML: "path: /api\nwatch: {ignore: ['*.txt']}"})
    await desk.did(2)
    worker.follow(replace(worker.subject, note=WITH_OTHERS), "")
    desk.acts.goes_on.set()
    desk.edit(**{"main.py": "newer"})
    await desk.bench.until(lambda: desk.bench.said_of("its files change so often"))
    assert desk.acts.done[1:] == ["apply"]
