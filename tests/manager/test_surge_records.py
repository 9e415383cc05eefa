"""What the manager makes of a surge: it knows how it is, and counts it only while it serves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from manager.placed import RUNS, place

from tqunits.lifecycle.state import Event, State
from tqunits.manager.operating import operable
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.recent_changes import RecentChanges
from tqunits.manager.record import Checked, Seen, summary
from tqunits.manager.registry import Registry
from tqunits.model import Instance

ONE, SURGE = Instance("api"), Instance("api", 2)
ILL = Checked(at=5, elapsed=1, asked="x", wrong="500", failures=1)

SURGES = {
    "never started": (Seen(event=Event.ENDED), State.STOPPED),
    "failed": (Seen(event=Event.GIVEN_UP), State.FAILED),
    "starting": (replace(RUNS, event=Event.BEGUN), State.STARTING),
    "serving": (RUNS, State.HEALTHY),
    "stopping": (replace(RUNS, event=Event.LEAVING), State.STOPPING),
}


def registry(surge: Seen) -> Registry:
    """A replica that runs, and a surge of which systemd says this."""
    found = Registry()
    found.place([place(ONE), place(SURGE, is_surge=True)])
    found.settle()
    found.see(ONE, RUNS, 1)
    found.see(SURGE, surge, 1)
    return found


@pytest.mark.parametrize(("surge", "state"), SURGES.values(), ids=SURGES)
def test_its_state_is_known_and_the_status_line_is_about_replicas(surge: Seen, state: State) -> None:
    found = registry(surge)
    assert found.records[SURGE].state is state
    assert summary(found.records.values()) == "1 instances: 1 healthy"
    assert [record.body()["surge"] for record in found.records.values()] == [False, True]
    assert [record.rests for record in found.records.values()] == [False, state in {State.STOPPED, State.FAILED}]


@pytest.mark.loops("uvloop")
@pytest.mark.parametrize(("surge", "state"), SURGES.values(), ids=SURGES)
async def test_the_only_replica_is_taken_out_while_the_surge_serves_and_never_else(
    tmp_path: Path, surge: Seen, state: State
) -> None:
    found = registry(surge)
    file = ReadinessFile(tmp_path / "unready.json", found, say=print)
    found.checked(ONE, RUNS.invocation, ILL, Event.MISSED)
    file.write()
    assert ({*file.out} == {ONE}) == (state is State.HEALTHY)


@pytest.mark.loops("uvloop")
async def test_a_surge_that_fails_is_taken_out(tmp_path: Path) -> None:
    found = registry(RUNS)
    file = ReadinessFile(tmp_path / "unready.json", found, say=print)
    found.checked(SURGE, RUNS.invocation, ILL, Event.MISSED)
    file.write()
    assert json.loads((tmp_path / "unready.json").read_text())["unready"].keys() == {"api:2"}


@pytest.mark.parametrize(("surge", "state"), SURGES.values(), ids=SURGES)
def test_an_operator_starts_replicas_alone_and_stops_what_runs(surge: Seen, state: State) -> None:
    records = registry(surge).records
    runs = state not in {State.STOPPED, State.FAILED}
    assert operable(records, records, "StopUnit") == ((ONE, SURGE) if runs else (ONE,))
    for method in ("StartUnit", "RestartUnit"):
        assert operable(records, records, method) == (ONE,)


def test_its_changes_are_told_as_a_surges() -> None:
    found, changes = registry(Seen(event=Event.ENDED)), RecentChanges()
    found.subscribe(changes.add)
    found.see(SURGE, RUNS, 2)
    found.see(ONE, replace(RUNS, event=Event.ENDED), 3)
    assert [(change.body()["name"], change.body()["surge"]) for change in changes.after(0)] == [
        ("api:2", True),
        ("api", False),
    ]
