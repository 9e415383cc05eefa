"""What a roll does on a host whose systemd does not answer: it leaves nothing half way, and says
what it could not do. tests/install/test_rolls.py has those that succeed."""

from __future__ import annotations

import pytest
from manager.placed import place, serve

from tqunits.control.protocol import Use
from tqunits.errors import TqunitsError
from tqunits.lifecycle.release import FOLDER
from tqunits.manager.hands import Hands
from tqunits.manager.roll import ANSWERED_S, TOLD_S, Roll, goes_on
from tqunits.model import Instance

pytestmark = pytest.mark.loops("uvloop")

ONE, TWO, SURGE = Instance("api"), Instance("api", 2), Instance("api", 3)
RELEASE, OLD = "0123456789ab", "ba9876543210"


class Rolling:
    """A worker with two replicas and a surge, of which none runs; and what its roll says."""

    def __init__(self, hands: Hands) -> None:
        hands.registry.place([place(ONE), place(TWO), place(SURGE, is_surge=True)])
        self.hands = hands
        self.said: list[tuple[str, int | None]] = []

    def runs(self, whose: Instance, release: str) -> None:
        """It serves with this release."""
        serve(self.hands, whose, release)

    async def fails(self) -> str:
        """Roll to RELEASE; why that fails."""
        roll = Roll(self.hands, "api", lambda what, _, number: self.said.append((what, number)), {1: OLD, 2: OLD})
        with pytest.raises(TqunitsError) as failed:
            await roll.to(RELEASE)
        return failed.value.message


@pytest.fixture
def rolling(hands: Hands) -> Rolling:
    return Rolling(hands)


async def test_a_surge_that_a_killed_manager_has_left_is_stopped(rolling: Rolling) -> None:
    for whose in (ONE, TWO, SURGE):
        rolling.runs(whose, RELEASE)
    await rolling.fails()
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
    roll = Roll(rolling.hands, "api", lambda *_: None, {1: OLD, 2: OLD})
    assert roll.to_take_back(RELEASE) == (ONE,)
    assert Roll(rolling.hands, "api", lambda *_: None, {1: RELEASE, 2: OLD}).to_take_back(RELEASE) == ()


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
    await rolling.fails()
    assert rolling.said == [("note", None)]
