"""What a change of a worker's folder leads to: real folders, a real watch, and acts that are only
written down."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from manager.watched_folder import ALL, WORKER, YAML, subject_of, watch_bench
from manager.written_acts import Desk

from tqunits.lifecycle.own_changes import MOST
from tqunits.manager.watched_files import Acted
from tqunits.manager.worker_watch import WatchState

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop

MAY_WRITE = replace(ALL, may_write=True)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with watch_bench() as bench:
        found = Desk(bench, tmp_path)
        yield found
        found.end()


@pytest.mark.parametrize(
    ("runs_from", "deploys"),
    [
        pytest.param(None, 0, id="nothing runs"),
        pytest.param(2**60, 0, id="what runs is newer"),
        pytest.param(1, 1, id="what runs is older"),
    ],
)
async def test_the_first_time(desk: Desk, runs_from: int | None, deploys: int) -> None:
    """What lies there is not changed by being seen for the first time."""
    desk.acts.runs_from = runs_from
    desk.begin()
    await desk.looked()
    assert len(await desk.did(deploys)) == deploys
    await desk.looked()
    assert len(desk.acts.done) == deploys
    assert desk.kept.load(WORKER) is not None


async def test_a_change_is_one_deploy_and_its_message_says_what(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    desk.edit(**{"main.py": "new"})
    assert await desk.did(1) == ["main.py has changed"]
    desk.edit(**{"main.py": "newer", "lib/deep/er.py": "new"})
    assert (await desk.did(2))[1:] == ["2 files have changed: lib/deep/er.py, main.py"]
    for _ in range(3):
        await desk.looked()
    assert len(desk.acts.done) == 2


async def test_what_is_written_anew_without_a_change_is_none(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    text = (desk.folder / "main.py").read_text()
    desk.edit(**{"main.py": text})
    (desk.folder / YAML).touch()
    await desk.looked()
    assert desk.acts.done == []


async def test_settings_come_before_sources(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    desk.acts.goes_on.clear()
    desk.edit(**{"main.py": "new", YAML: "type: http\nroute: /x\n"})
    assert await desk.did(1) == ["apply"]
    await desk.looked()
    assert desk.acts.done == ["apply"]
    desk.acts.goes_on.set()
    assert await desk.did(2) == ["apply", "main.py has changed"]


async def test_sources_wait_while_the_settings_are_refused(desk: Desk) -> None:
    watched = desk.begin()
    await desk.looked()
    desk.acts.refusal = "worker.yaml:2: no such setting"
    desk.edit(**{"main.py": "new", YAML: "rute: /x\n"})
    await desk.did(1)
    await desk.bench.until(lambda: desk.bench.said_of("no such setting"))
    assert watched.refused == desk.acts.refusal
    desk.edit(**{"main.py": "newer"})
    await desk.looked()
    assert desk.acts.done == ["apply"]
    desk.acts.refusal = ""
    desk.edit(**{YAML: "route: /x\n"})
    assert await desk.did(3) == ["apply", "apply", "main.py has changed"]
    assert watched.refused == ""


async def test_what_was_refused_is_asked_for_again_when_other_settings_are_installed(desk: Desk) -> None:
    """What was wrong lay in another file, and somebody has mended that, and applied it."""
    watched = desk.begin()
    watched.follow(watched.subject, "before")
    await desk.looked()
    desk.acts.refusal = "it has no grant"
    desk.edit(**{"main.py": "new", YAML: "user: x\n"})
    await desk.bench.until(lambda: watched.refused and watched.rests)
    desk.acts.refusal = ""
    watched.follow(watched.subject, "before")
    await desk.looked()
    assert desk.acts.done == ["apply"]
    watched.follow(watched.subject, "after")
    assert await desk.did(3) == ["apply", "apply", "main.py has changed"]
    assert watched.refused == ""


async def test_sources_wait_for_refused_settings_also_after_a_restart_of_the_manager(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    desk.acts.refusal = "no such setting"
    desk.edit(**{YAML: "rute: /x\n"})
    await desk.bench.until(lambda: desk.bench.said_of("no such setting"))
    desk.end()
    desk.edit(**{"main.py": "new"})
    watched = desk.begin()
    await desk.looked()
    await desk.bench.until(lambda: watched.refused)
    assert desk.acts.done == ["apply", "apply"], "what is refused is known by asking once more"


async def test_a_change_of_the_settings_while_they_are_applied_is_applied_too(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    desk.acts.goes_on.clear()
    desk.edit(**{YAML: "route: /x\n"})
    await desk.did(1)
    desk.edit(**{YAML: "route: /y\n"})
    await desk.looked()
    desk.acts.goes_on.set()
    assert await desk.did(2) == ["apply", "apply"]
    await desk.looked()
    assert len(desk.acts.done) == 2


async def test_what_was_not_accepted_is_tried_again_with_the_next_look(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    desk.acts.is_accepting = False
    desk.edit(**{"main.py": "new"})
    await desk.did(1)
    desk.acts.is_accepting = True
    await desk.looked()
    assert await desk.did(2) == ["main.py has changed"] * 2
    await desk.looked()
    assert len(desk.acts.done) == 2


async def test_another_manager_does_nothing_twice_and_finds_what_has_changed(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    desk.edit(**{"main.py": "new"})
    await desk.did(1)
    desk.end()
    desk.begin()
    await desk.looked()
    assert len(desk.acts.done) == 1
    desk.end()
    desk.edit(**{"main.py": "newer", YAML: "route: /x\n"})
    desk.begin()
    assert (await desk.did(3))[1:] == ["apply", "its files have changed while the manager did not watch them"]
    await desk.looked()
    assert len(desk.acts.done) == 3


async def test_a_folder_that_was_emptied_meanwhile_is_no_order(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    desk.end()
    (desk.folder / "main.py").unlink()
    shutil.rmtree(desk.folder / "lib")
    watched = desk.begin()
    await desk.bench.until(lambda: desk.bench.said_of("has become empty"))
    assert (watched.watch.state, desk.acts.done) == (WatchState.BROKEN, [])


async def test_a_change_of_what_is_watched_restarts_nobody(desk: Desk) -> None:
    """Another watch.ignore makes other sources, and no other content."""
    desk.acts.runs_from = 2**60
    desk.begin()
    await desk.looked()
    desk.end()
    desk.begin(replace(ALL, ignore=("deep/",)))
    await desk.looked()
    assert desk.acts.done == []
    desk.edit(**{"main.py": "new"})
    assert await desk.did(1) == ["main.py has changed"]


async def test_a_worker_that_writes_its_folder_at_each_start_is_suspended(desk: Desk) -> None:
    watched = desk.begin(MAY_WRITE)
    await desk.looked()
    desk.edit(**{"main.py": "human"})
    await desk.did(1)
    for number in range(1, MOST + 1):
        desk.edit(**{"state.json": str(number)})
        await desk.did(1 + number)
    desk.edit(**{"state.json": "once more"})
    await desk.bench.until(lambda: watched.suspended)
    assert (watched.suspended, desk.bench.said_of("may write its folder")) == ("state.json", 1)
    assert len(desk.acts.done) == 1 + MOST
    desk.edit(**{"state.json": "and again"})
    await desk.looked()
    assert len(desk.acts.done) == 1 + MOST
    desk.edit(**{"main.py": "human again"})
    assert (await desk.did(2 + MOST))[-1] == "2 files have changed: main.py, state.json"
    assert (watched.suspended, desk.bench.said_of("may write its folder")) == ("", 1)


async def test_a_worker_that_may_not_write_its_folder_is_not_suspected(desk: Desk) -> None:
    watched = desk.begin()
    await desk.looked()
    for number in range(MOST + 3):
        desk.edit(**{"main.py": f"human {number}"})
        await desk.did(1 + number)
    assert watched.suspended == ""


async def test_what_can_not_be_written_down_is_done_nevertheless_and_once(desk: Desk) -> None:
    desk.begin()
    await desk.looked()
    state = desk.file.parent
    shutil.rmtree(state)
    state.write_text("no folder")
    desk.edit(**{"main.py": "new"})
    assert await desk.did(1) == ["main.py has changed"]
    await desk.bench.until(lambda: desk.bench.said_of("is not written down"))
    await desk.looked()
    assert len(desk.acts.done) == 1


async def test_what_does_not_read_counts_as_nothing(desk: Desk) -> None:
    desk.kept.save(WORKER, Acted("abc", "def"))
    desk.file.write_text("{")
    desk.begin()
    await desk.looked()
    assert desk.acts.done == []


async def test_new_rules_that_are_applied_with_the_settings_are_no_change_of_a_source(desk: Desk) -> None:
    """They come into effect, and the folder is looked at by them, before the run of root's ends."""
    desk.acts.runs_from = 2**60
    watched = desk.begin()
    await desk.looked()
    desk.acts.goes_on.clear()
    desk.edit(**{YAML: "watch: {ignore: [deep/]}\n"})
    await desk.did(1)
    watched.follow(subject_of(desk.folder, replace(ALL, ignore=("deep/",))), "other")
    await desk.looked()
    desk.acts.goes_on.set()
    await desk.bench.until(lambda: watched.rests)
    await desk.looked()
    assert desk.acts.done == ["apply"]


async def test_what_was_written_anew_without_a_change_is_none_by_other_rules_either(desk: Desk) -> None:
    desk.acts.runs_from = time.time_ns() // 1000
    watched = desk.begin()
    await desk.looked()
    (desk.folder / "main.py").unlink()
    desk.edit(**{"main.py": "1"})
    await desk.looked()
    watched.follow(subject_of(desk.folder, replace(ALL, ignore=("x/",))), "other")
    await desk.looked()
    assert desk.acts.done == []
    watched.follow(subject_of(desk.folder), "others again")
    desk.edit(**{"main.py": "2"})
    assert len(await desk.did(1)) == 1


async def test_a_file_that_has_gone_with_the_edit_of_the_rules_is_a_change(desk: Desk) -> None:
    """It leaves nothing that is newer than what runs."""
    desk.acts.runs_from = 2**60
    watched = desk.begin()
    await desk.looked()
    desk.acts.goes_on.clear()
    (desk.folder / "main.py").unlink()
    desk.edit(**{YAML: "watch: {ignore: [x/]}\n"})
    await desk.did(1)
    watched.follow(subject_of(desk.folder, replace(ALL, ignore=("x/",))), "other")
    await desk.looked()
    desk.acts.goes_on.set()
    assert len(await desk.did(2)) == 2
    await desk.looked()
    assert desk.acts.done == ["apply", "its files have changed while the manager did not watch them"]
