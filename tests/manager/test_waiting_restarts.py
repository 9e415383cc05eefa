"""Who waits for a restart is restarted: once for a change, and not while it is deployed."""

from __future__ import annotations

from pathlib import Path

import pytest
from host.releases import layout_in
from manager.placed import place

from tqunits.host import restart_waits
from tqunits.host.restart_waits import RestartWait
from tqunits.lifecycle.state import Event
from tqunits.manager.record import Seen
from tqunits.manager.registry import Registry
from tqunits.manager.waiting_restarts import WaitingRestarts
from tqunits.model import Instance

API = "api"
RUNS_SINCE, CHANGED, STARTS = 1000, 2000, 3


class WrittenRestarts:
    """Writes down who is restarted."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.busy: set[str] = set()

    def restart(self, worker: str, message: str) -> int | None:
        self.done.append((worker, message))
        return len(self.done)

    def is_busy(self, worker: str) -> bool:
        return worker in self.busy


class Waiting:
    """A host on which api runs."""

    def __init__(self, folder: Path) -> None:
        self.layout = layout_in(folder)
        self.acts, self.said = WrittenRestarts(), list[str]()
        self.registry = Registry()
        self.registry.place([place(Instance(API)), place(Instance("web"))])
        self.runs(RUNS_SINCE)
        self.waits = WaitingRestarts(self.registry, self.acts, self.layout, self.said.append)

    def runs(self, since: int) -> None:
        seen = Seen(event=Event.READY, invocation=f"{since:032x}", pid=1, begun=since, started=since + STARTS)
        self.registry.see(Instance(API), seen, since)

    def change(self, *workers: str, at: int = CHANGED) -> None:
        restart_waits.write(self.layout, {each: RestartWait(at, "its unit has changed") for each in workers})
        self.waits.read()

    def look(self, *watched: str) -> tuple[bool, int]:
        """Whether one is held up, and how many were restarted until now."""
        return self.waits.look(watched), len(self.acts.done)


@pytest.fixture
def waiting(tmp_path: Path) -> Waiting:
    return Waiting(tmp_path)


def test_who_waits_is_restarted_once(waiting: Waiting) -> None:
    waiting.waits.read()
    assert waiting.look(API) == (False, 0)
    waiting.change(API)
    assert [waiting.look(API) for _ in range(3)] == [(False, 1)] * 3
    assert waiting.acts.done == [(API, "its unit has changed")]
    waiting.change(API, at=CHANGED + 1)
    assert waiting.look(API) == (False, 2)


def test_a_run_that_began_later_does_not_wait(waiting: Waiting) -> None:
    waiting.runs(CHANGED)
    waiting.change(API)
    assert waiting.look(API) == (False, 0)


def test_a_run_that_was_starting_when_it_changed_waits(waiting: Waiting) -> None:
    waiting.runs(CHANGED - STARTS)
    waiting.change(API)
    assert waiting.look(API) == (False, 1)


def test_only_who_is_watched_and_runs_is_restarted(waiting: Waiting) -> None:
    waiting.change(API, "web", "gone")
    assert waiting.look("web", "gone") == (False, 0)
    assert waiting.look() == (False, 0)
    assert waiting.look(API, "web", "gone") == (False, 1)


def test_one_that_is_being_deployed_has_to_wait(waiting: Waiting) -> None:
    waiting.change(API)
    waiting.acts.busy.add(API)
    assert waiting.look(API) == (True, 0)
    waiting.acts.busy.clear()
    assert waiting.look(API) == (False, 1)


def test_a_deploy_that_has_replaced_it_was_the_restart(waiting: Waiting) -> None:
    waiting.change(API)
    waiting.acts.busy.add(API)
    assert waiting.look(API) == (True, 0)
    waiting.acts.busy.clear()
    waiting.runs(CHANGED + 5)
    assert waiting.look(API) == (False, 0)


@pytest.mark.parametrize("content", ["", "{", '{"version": 1, "workers": {"../x": {"since_us": 1, "why": ""}}}'])
def test_what_does_not_read_is_said_and_what_was_known_stays(waiting: Waiting, content: str) -> None:
    waiting.change(API)
    Path(waiting.layout.waiting).write_text(content)
    waiting.waits.read()
    assert len(waiting.said) == 1
    assert waiting.look(API) == (False, 1)
