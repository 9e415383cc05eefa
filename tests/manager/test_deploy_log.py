"""What the manager writes down of deploys: it is there after the next start, bounded, and told to
those who wait."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.control.deploy_protocol import DeployOrder
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.lifecycle.deploy_rules import KEPT, KEPT_RESTARTS
from tqunits.lifecycle.deploys import MAX_STEPS, MAX_TEXT, DeployKind, DeployOutcome, DeployStep
from tqunits.manager.deploy_files import DeployFiles
from tqunits.manager.deploy_log import DeployLog

pytestmark = pytest.mark.loops("uvloop")

ORDER = DeployOrder(("api",), DeployKind.DEPLOY, None, "for a test")
RESTART = DeployOrder(("api",), DeployKind.RESTART)
RELEASE = "0123456789ab"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return replace(SYSTEM_LAYOUT, state=PurePosixPath(tmp_path))


def log_in(layout: Layout) -> DeployLog:
    """The log of a manager that starts now; what it says is an error here."""
    return DeployLog(DeployFiles(layout), pytest.fail)


async def test_the_next_manager_knows_what_was_asked_for_and_how_far_it_came(layout: Layout) -> None:
    log = log_in(layout)
    number = log.open("api", ORDER, "1000/ann", release=None).number
    log.begin("api", number, "ba9876543210")
    log.made("api", number, RELEASE, None, is_dirty=False)
    log.step("api", number, "restart", "is restarted", 2)
    (found,) = log_in(layout).unfinished()
    assert found == log.get("api", number)
    assert (found.actor, found.message, found.before, found.release) == (
        "1000/ann",
        "for a test",
        "ba9876543210",
        RELEASE,
    )
    assert [(step.what, step.instance) for step in found.steps] == [("restart", 2)]


async def test_numbers_go_on_after_a_start(layout: Layout) -> None:
    first = log_in(layout).open("api", ORDER, "root", release=None)
    second = log_in(layout).open("shop", ORDER, "root", release=None)
    assert second.number == first.number + 1


async def test_one_that_has_ended_is_not_begun_again(layout: Layout) -> None:
    log = log_in(layout)
    number = log.open("api", ORDER, "root", release=None).number
    log.end("api", number, DeployOutcome.FAILED, "why", "hint")
    assert log_in(layout).unfinished() == ()


async def test_what_is_pending_of_a_worker_is_its_own_and_the_oldest_first(layout: Layout) -> None:
    log = log_in(layout)
    ended, first, _, second = (
        log.open(worker, ORDER, "root", release=None).number for worker in ("api", "api", "shop", "api")
    )
    log.end("api", ended, DeployOutcome.DONE)
    log.begin("api", first, None)
    assert [each.number for each in log.pending("api")] == [first, second]
    assert log.pending("web") == ()


async def test_the_last_ones_are_kept_and_what_has_not_ended(layout: Layout) -> None:
    log = log_in(layout)
    first = log.open("api", ORDER, "root", release=None).number
    for _ in range(KEPT + 5):
        log.end("api", log.open("api", ORDER, "root", release=None).number, DeployOutcome.UNCHANGED)
    kept = [each.number for each in log.of("api", 1000)]
    assert len(kept) == KEPT
    assert first in kept
    assert kept[:-1] == list(range(first + KEPT + 5, first + 6, -1))
    assert [each.number for each in log_in(layout).of("api", 1000)] == kept


async def test_restarts_push_no_deploy_out(layout: Layout) -> None:
    log = log_in(layout)
    orders = [ORDER] * KEPT + [RESTART] * (KEPT_RESTARTS + 5)
    numbers = [log.open("api", order, "root", release=None).number for order in orders]
    for number in numbers:
        log.end("api", number, DeployOutcome.DONE)
    newest = log.open("api", RESTART, "root", release=None).number
    kept = [each.number for each in log_in(layout).of("api", 1000)]
    assert kept[::-1] == [*numbers[:KEPT], *numbers[1 - KEPT_RESTARTS :], newest]


async def test_the_runs_that_a_restart_ends_are_those_of_its_first_begin(layout: Layout) -> None:
    log = log_in(layout)
    number = log.open("api", RESTART, "root", release=None).number
    log.begin("api", number, None, ["1" * 32])
    again = log_in(layout)
    assert again.begin("api", number, None, ["2" * 32]).replaces == ("1" * 32,)


async def test_texts_and_steps_are_bounded_and_the_end_is_still_told(layout: Layout) -> None:
    log = log_in(layout)
    number = log.open("api", ORDER, "root", release=None).number
    for _ in range(2 * MAX_STEPS):
        log.step("api", number, "drain", "x" * (2 * MAX_TEXT), 1)
    log.step("api", number, "stable", "at the end")
    log.end("api", number, DeployOutcome.FAILED, "w" * (2 * MAX_TEXT), "h" * (2 * MAX_TEXT))
    (found,) = log_in(layout).of("api", 1)
    assert len(found.steps) <= MAX_STEPS
    assert found.steps[-1].text == "at the end"
    assert {len(found.why), len(found.hint), len(found.steps[0].text)} == {MAX_TEXT}


async def test_a_wait_ends_with_the_next_change_of_what_it_is_about(layout: Layout) -> None:
    log = log_in(layout)
    mine, other = (log.open(worker, ORDER, "root", release=None).number for worker in ("api", "shop"))
    seen = log.last_event
    waiting = asyncio.create_task(log.wait(seen, [mine], 60))
    log.step("shop", other, "note", "is another's")
    log.step("api", mine, "note", "is mine")
    ((event, record),) = await waiting
    assert (record.number, event) == (mine, log.last_event)


async def test_a_wait_in_vain_ends_in_time(layout: Layout) -> None:
    log = log_in(layout)
    number = log.open("api", ORDER, "root", release=None).number
    assert await log.wait(log.last_event, [number], 0.01) == []


@pytest.mark.parametrize("event", [0, 10**9])
async def test_who_has_seen_nothing_or_another_manager_gets_all(layout: Layout, event: int) -> None:
    log_in(layout).open("api", ORDER, "root", release=None)
    log = log_in(layout)
    ((_, record),) = log.changed_since(event, [1])
    assert record.number == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2, "deploys": []}', '{"version": 1, "deploys": [{}]}'])
async def test_a_file_that_does_not_read_is_no_history(layout: Layout, text: str) -> None:
    path = Path(layout.deploys("api"))
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    log = log_in(layout)
    assert log.of("api", 10) == ()
    log.open("api", ORDER, "root", release=None)
    assert (path.parent / "api.json.unreadable").read_text(encoding="utf-8") == text
    assert len(log_in(layout).of("api", 10)) == 1


async def test_a_file_is_never_longer_than_what_is_read(layout: Layout) -> None:
    opened = log_in(layout).open("api", ORDER, "root", release=None)
    step = DeployStep(at_us=1, what="note", text="\U0001f600" * MAX_TEXT)
    deploys = [replace(opened, number=number, steps=(step,) * MAX_STEPS) for number in (1, 2)]
    deploys.append(replace(opened, number=3))
    files = DeployFiles(layout)
    files.save("api", deploys)
    assert files.load() == {"api": tuple(deploys[1:])}


async def test_a_disk_that_is_full_is_said_and_the_deploy_goes_on(tmp_path: Path) -> None:
    (tmp_path / "manager").write_text("in the way", encoding="utf-8")
    said: list[str] = []
    log = DeployLog(DeployFiles(replace(SYSTEM_LAYOUT, state=PurePosixPath(tmp_path))), said.append)
    number = log.open("api", ORDER, "root", release=None).number
    log.step("api", number, "note", "goes on")
    assert log.get("api", number).steps[-1].text == "goes on"
    assert all(text.startswith("the deploys of api are not written down: ") for text in said)
    assert len(said) == 2


async def test_the_file_is_the_managers_alone(layout: Layout) -> None:
    log_in(layout).open("api", ORDER, "root", release=None)
    path = Path(layout.deploys("api"))
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == 1
