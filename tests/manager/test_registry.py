"""The registry: what systemd says, what checks find, and the changes that are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tqunits.lifecycle.state import Event, State
from tqunits.manager.record import Change, Checked, InstanceRecord, Place, Seen
from tqunits.manager.registry import Registry
from tqunits.model import Instance

API = Instance("api")
SHOP = Instance("shop", 2)
RUNS = Seen(event=Event.READY, invocation="a" * 32, pid=7, started=5)
WELL = Checked(at=10, elapsed=2, asked="127.0.0.1:9000/health")
ILL = replace(WELL, wrong="500 Internal Server Error: boom", failures=1)


def place(whose: Instance) -> Place:
    return Place(
        whose=whose, unit=f"tq-worker@{whose}.service", routes=("/",), hosts=(), address="127.0.0.1:9000", source="/y"
    )


class Told(list[Change]):
    """A registry of two instances, and what its subscribers were told."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry()
        self.registry.place([place(SHOP), place(API)])
        self.registry.settle()
        self.registry.subscribe(self.append)

    def states(self) -> list[tuple[Event, State, State]]:
        return [(change.event, change.before, change.after) for change in self]

    def api(self) -> InstanceRecord:
        return self.registry.records[API]


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_start_is_two_changes(told: Told) -> None:
    told.registry.see(API, replace(RUNS, event=Event.BEGUN), 100)
    told.registry.see(API, RUNS, 200)
    assert told.states() == [
        (Event.BEGUN, State.STOPPED, State.STARTING),
        (Event.READY, State.STARTING, State.HEALTHY),
    ]
    assert [(change.number, change.at, change.whose) for change in told] == [(1, 100, API), (2, 200, API)]
    assert told.api().since == 200


def test_what_is_said_twice_is_one_change(told: Told) -> None:
    for at in (1, 2, 3):
        told.registry.see(API, RUNS, at)
    assert len(told) == 1


def test_what_was_there_before_the_manager_is_no_change() -> None:
    registry, changes = Registry(), list[Change]()
    registry.subscribe(changes.append)
    registry.place([place(API)])
    registry.see(API, RUNS, 0)
    registry.settle()
    assert registry.records[API].state is State.HEALTHY
    assert not changes


def test_another_run_is_a_change_though_the_unit_is_active_as_before(told: Told) -> None:
    told.registry.see(API, RUNS, 1)
    told.registry.checked(API, RUNS.invocation, ILL, Event.MISSED)
    told.registry.see(API, replace(RUNS, invocation="b" * 32), 2)
    assert told.states()[-1] == (Event.READY, State.UNHEALTHY, State.HEALTHY)
    assert told.api().check is None, "it is of the run before"


def test_a_start_that_waits_for_its_turn_and_then_runs_is_one_change(told: Told) -> None:
    """systemd gives it an invocation when it runs."""
    told.registry.see(API, replace(RUNS, event=Event.BEGUN, invocation=""), 1)
    told.registry.see(API, replace(RUNS, event=Event.BEGUN), 2)
    assert [change.event for change in told] == [Event.BEGUN]


def test_what_waits_for_its_next_start_has_ended_once(told: Told) -> None:
    """systemd counts the restart, and gives it an invocation, before the pause has begun."""
    told.registry.see(API, replace(RUNS, event=Event.EXITED, cause="it was killed"), 1)
    told.registry.see(API, replace(RUNS, event=Event.EXITED, restarts=1, invocation="b" * 32), 2)
    assert [change.event for change in told] == [Event.EXITED]


def test_an_automatic_restart_that_was_not_seen_is_told(told: Told) -> None:
    told.registry.see(API, RUNS, 1)
    told.registry.see(API, replace(RUNS, invocation="b" * 32, restarts=1), 2)
    assert told.states()[1:] == [
        (Event.EXITED, State.HEALTHY, State.UNHEALTHY),
        (Event.READY, State.UNHEALTHY, State.HEALTHY),
    ]


def test_an_automatic_restart_that_was_seen_is_told_once(told: Told) -> None:
    told.registry.see(API, RUNS, 1)
    told.registry.see(API, replace(RUNS, event=Event.EXITED, pid=None, restarts=0, cause="it was killed"), 2)
    told.registry.see(API, replace(RUNS, event=Event.BEGUN, invocation="b" * 32, restarts=1), 3)
    assert [change.event for change in told] == [Event.READY, Event.EXITED, Event.BEGUN]
    assert told[1].cause == "it was killed"


def test_a_failed_check_and_enough_good_ones_are_changes(told: Told) -> None:
    told.registry.see(API, RUNS, 1)
    told.registry.checked(API, RUNS.invocation, WELL, None)
    told.registry.checked(API, RUNS.invocation, ILL, Event.MISSED)
    assert told.api().why == "127.0.0.1:9000/health: 500 Internal Server Error: boom"
    told.registry.checked(API, RUNS.invocation, WELL, Event.PASSED)
    assert told.states()[1:] == [
        (Event.MISSED, State.HEALTHY, State.UNHEALTHY),
        (Event.PASSED, State.UNHEALTHY, State.HEALTHY),
    ]
    assert told[1].at == ILL.at + ILL.elapsed
    assert told.api().why == ""


@pytest.mark.parametrize(
    "now",
    [
        replace(RUNS, event=Event.LEAVING),
        replace(RUNS, event=Event.EXITED, cause="it was killed"),
        replace(RUNS, invocation="b" * 32),
    ],
    ids=["it stops", "it has ended", "it is another run"],
)
def test_a_late_answer_says_nothing(told: Told, now: Seen) -> None:
    told.registry.see(API, RUNS, 1)
    told.registry.see(API, now, 2)
    before = told.api()
    told.registry.checked(API, RUNS.invocation, ILL, Event.MISSED)
    assert told.api() == before
    assert len(told) == 2


def test_why_is_the_end_of_the_process_where_there_is_none(told: Told) -> None:
    told.registry.see(API, RUNS, 1)
    told.registry.checked(API, RUNS.invocation, ILL, Event.MISSED)
    told.registry.see(API, replace(RUNS, event=Event.EXITED, cause="it was killed"), 2)
    assert told.api().why == "it was killed"


def test_an_instance_that_is_not_installed_is_not_known(told: Told) -> None:
    told.registry.see(Instance("other"), RUNS, 1)
    told.registry.checked(Instance("other"), "", ILL, Event.MISSED)
    told.registry.restarted(Instance("other"))
    assert list(told.registry.records) == [API, SHOP]
    assert not told


def test_what_is_installed_anew_keeps_what_is_known(told: Told) -> None:
    told.registry.see(API, RUNS, 1)
    told.registry.restarted(API)
    told.registry.place([replace(place(API), address="127.0.0.1:9001")])
    assert told.api().state is State.HEALTHY
    assert (told.api().place.address, told.api().requested_restarts) == ("127.0.0.1:9001", 1)
    assert SHOP not in told.registry.records


def test_a_record_is_json(told: Told) -> None:
    told.registry.see(API, RUNS, 1)
    told.registry.checked(API, RUNS.invocation, ILL, Event.MISSED)
    body = told.api().body()
    assert (body["name"], body["state"], body["pid"], body["started_us"]) == ("api", "unhealthy", 7, 5)
    assert body["check"] == {
        "at_us": 10,
        "elapsed_us": 2,
        "asked": "127.0.0.1:9000/health",
        "healthy": False,
        "wrong": "500 Internal Server Error: boom",
        "failures": 1,
    }
    assert told.registry.records[SHOP].body()["name"] == "shop:2"
