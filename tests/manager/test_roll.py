"""What a roll does on a host whose systemd does not answer: it leaves nothing half way, and says
what it could not do. tests/install/test_rolls.py has those that succeed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from manager.placed import place, serve

from tqunits.control.protocol import Use
from tqunits.errors import TqunitsError
from tqunits.host import release_links
from tqunits.lifecycle.release import FOLDER, parse_order
from tqunits.lifecycle.state import Event
from tqunits.manager.hands import Hands
from tqunits.manager.record import Seen
from tqunits.manager.release_goal import ReleaseGoal
from tqunits.manager.restart_goal import RestartGoal
from tqunits.manager.roll import ANSWERED_S, TOLD_S, Goal, Roll, goes_on
from tqunits.model import Instance

pytestmark = pytest.mark.loops("uvloop")

ONE, TWO, SURGE = Instance("api"), Instance("api", 2), Instance("api", 3)
RELEASE, OLD = "0123456789ab", "ba9876543210"
FIRST, SECOND, LATER = "1" * 32, "2" * 32, "3" * 32  # runs


class Rolling:
    """A worker with two replicas and a surge, of which none runs; and what its roll says."""

    def __init__(self, hands: Hands) -> None:
        hands.registry.place([place(ONE), place(TWO), place(SURGE, is_surge=True)])
        self.hands = hands
        self.said: list[tuple[str, int | None]] = []

    def runs(self, whose: Instance, release: str) -> None:
        """It serves with this release."""
        serve(self.hands, whose, release)

    async def perform(self, goal: Goal) -> None:
        """Roll to a goal."""
        await Roll(self.hands, "api", lambda what, _, number: self.said.append((what, number)), goal).perform()

    async def fails(self, goal: Goal | None = None) -> str:
        """Roll to a goal, by itself RELEASE; why that fails."""
        with pytest.raises(TqunitsError) as failed:
            await self.perform(goal or self.to_release({1: OLD, 2: OLD}))
        return failed.value.message

    def to_release(self, before: Mapping[int, str]) -> ReleaseGoal:
        return ReleaseGoal(self.hands, "api", RELEASE, before)

    def restart(self, *runs: str) -> RestartGoal:
        return RestartGoal(self.hands, "api", runs)

    def enters(self, whose: Instance, run: str, *, event: Event = Event.READY) -> None:
        """It is in this run from now on."""
        self.hands.registry.see(whose, Seen(event=event, invocation=run), 1)


@pytest.fixture
def rolling(hands: Hands) -> Rolling:
    return Rolling(hands)


async def test_a_surge_that_a_killed_manager_has_left_is_stopped(rolling: Rolling) -> None:
    for whose in (ONE, TWO, SURGE):
        rolling.runs(whose, RELEASE)
    await rolling.perform(rolling.to_release({1: OLD, 2: OLD}))
    assert rolling.said[:2] == [("drain", 3), ("note", 3)], "it can not be stopped here, and that is said"


async def test_a_bus_that_is_away_is_a_reason_for_the_way_back_and_for_the_end_of_the_surge(rolling: Rolling) -> None:
    for whose in (ONE, SURGE):
        rolling.runs(whose, OLD)
    why = await rolling.fails()
    assert "can not be reached" in why
    assert "and the way back failed: " in why, "then the release before does not run, and history has to say it"
    assert rolling.said == [("surge", 3), ("note", None), ("drain", 3), ("note", 3)]


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (RELEASE, RELEASE, ()),
        (RELEASE, OLD, (TWO,)),  # an install has added it meanwhile
        (RELEASE, FOLDER, (TWO,)),
        (OLD, "", (ONE,)),
        ("", "", ()),
    ],
)
async def test_who_runs_something_else_lacks_it(rolling: Rolling, one: str, two: str, expected: object) -> None:
    for whose, release in ((ONE, one), (TWO, two)):
        if release:
            rolling.runs(whose, release)
    assert rolling.hands.lacking("api", RELEASE) == expected


async def test_who_was_replaced_by_an_earlier_manager_goes_back_too(rolling: Rolling) -> None:
    rolling.runs(ONE, RELEASE)
    rolling.runs(TWO, OLD)
    assert rolling.to_release({1: OLD, 2: OLD}).to_take_back([]) == (ONE,)
    assert rolling.to_release({1: OLD, 2: OLD}).to_take_back([TWO]) == (TWO, ONE)
    assert rolling.to_release({1: RELEASE, 2: OLD}).to_take_back([]) == ()


@pytest.mark.parametrize(
    ("use", "seconds", "expected"),
    [
        (Use(), 0.0, False),
        (Use(sends=True), ANSWERED_S, True),
        (Use(sends=True, waits=True), TOLD_S, False),
        (Use(waits=True), 0.0, True),
        (Use(waits=True), ANSWERED_S, False),
    ],
    ids=["nothing", "a router is slow", "a router hangs", "an answer", "a WebSocket"],
)
def test_how_long_a_roll_waits_before_it_asks_for_a_stop(use: Use, seconds: float, *, expected: bool) -> None:
    assert goes_on(use, seconds) is expected


async def test_who_does_not_run_is_not_started(rolling: Rolling) -> None:
    goal = rolling.to_release({1: OLD, 2: OLD})
    await rolling.perform(goal)
    with pytest.raises(TqunitsError):  # root is asked for the links, and does not answer here
        await goal.remember(lambda what, _, number: rolling.said.append((what, number)))
    assert rolling.said == [("note", None)]


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (FIRST, SECOND, (ONE, TWO)),
        (LATER, SECOND, (TWO,)),
        (LATER, LATER, ()),
        (FIRST, "", (ONE,)),  # it was stopped
    ],
)
async def test_who_is_in_a_run_that_is_to_end_is_restarted(
    rolling: Rolling, one: str, two: str, expected: object
) -> None:
    for whose, run in ((ONE, one), (TWO, two)):
        if run:
            rolling.enters(whose, run)
    goal = rolling.restart(FIRST, SECOND)
    assert goal.lacking() == expected
    assert goal.to_take_back([ONE]) == ()


async def test_one_that_has_failed_too_often_is_restarted_too(rolling: Rolling) -> None:
    rolling.enters(ONE, FIRST)
    rolling.enters(TWO, SECOND, event=Event.GIVEN_UP)
    assert rolling.hands.runs("api") == (FIRST, SECOND)
    assert rolling.restart(*rolling.hands.runs("api")).lacking() == (ONE, TWO)


async def test_a_restart_that_was_done_does_nothing_more(rolling: Rolling) -> None:
    for whose in (ONE, TWO):
        rolling.enters(whose, LATER)
    await rolling.perform(rolling.restart(FIRST, SECOND))
    assert rolling.said == []


async def test_a_restart_whose_surge_fails_touches_nobody(rolling: Rolling) -> None:
    rolling.enters(ONE, FIRST)
    assert "can not be reached" in await rolling.fails(rolling.restart(FIRST))
    assert rolling.said == [("surge", 3), ("drain", 3), ("note", 3)]


@pytest.mark.parametrize(
    ("links", "asks"),
    [({}, False), ({1: OLD, 2: OLD}, True), ({1: OLD, 3: RELEASE}, True), ({1: OLD, 3: OLD}, False), ({3: OLD}, True)],
)
async def test_root_is_asked_for_the_link_of_the_surge_where_it_is_another(
    rolling: Rolling, links: Mapping[int, str], *, asks: bool
) -> None:
    folder = release_links.runs_folder(rolling.hands.layout, "api")
    folder.mkdir(parents=True)
    for number, release in links.items():
        (folder / str(number)).symlink_to(f"../{release}")
    goal = rolling.restart(FIRST)
    for replica in (ONE, TWO):
        await goal.prepare(replica)
    if not asks:
        await goal.prepare(SURGE)
        return
    with pytest.raises(TqunitsError, match="can not be reached"):
        await goal.prepare(SURGE)
    order = parse_order(Path(rolling.hands.layout.harvest_order("api")).read_text())
    assert order.runs == {3: links.get(1, FOLDER)}
