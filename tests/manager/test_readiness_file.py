"""The file that tells the routers which instances fail their health checks, and which an operator
has stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from units.cases import worker

from tqunits.health import Health, HealthType
from tqunits.lifecycle.state import Event
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.record import Checked, Place, Seen
from tqunits.manager.registry import Registry
from tqunits.model import Instance
from tqunits.routing.unready import NOBODY, Unready, parse_unready

pytestmark = pytest.mark.loops("uvloop")

HEALTH = worker("api").health
ONE, TWO = Instance("api"), Instance("api", 2)
RUNS = Seen(event=Event.READY, invocation="a" * 32, started=1)
ILL = Checked(at=5, elapsed=1, asked="x", wrong="500", failures=1)


class Two:
    """A registry with two instances of a worker that run, and the file."""

    def __init__(self, folder: Path, health: Health = HEALTH) -> None:
        self.path = folder / "unready.json"
        self.said: list[str] = []
        self.registry = Registry()
        self.registry.place([place(ONE, health), place(TWO, health)])
        for whose in (ONE, TWO):
            self.registry.see(whose, RUNS, 1)
        self.file = ReadinessFile(self.path, self.registry, say=self.said.append)
        self.registry.settle(self.file.out)
        self.file.write()

    def fails(self, whose: Instance) -> None:
        self.registry.checked(whose, RUNS.invocation, ILL, Event.MISSED)

    def passes(self, whose: Instance) -> None:
        self.registry.checked(whose, RUNS.invocation, replace(ILL, wrong=""), Event.PASSED)

    async def written(self) -> Mapping[str, int]:
        await asyncio.sleep(0)  # the turn in which it is written
        await asyncio.sleep(0)
        return self.content().failing

    def content(self) -> Unready:
        return parse_unready(self.path.read_bytes()) if self.path.exists() else NOBODY


def place(whose: Instance, health: Health = HEALTH) -> Place:
    unit = f"tq-worker@{whose}.service"
    return Place(whose=whose, unit=unit, routes=(), hosts=(), address="127.0.0.1:9", source="", health=health)


async def test_who_fails_is_in_it_from_then_until_it_passes(tmp_path: Path) -> None:
    two = Two(tmp_path)
    assert not two.path.exists(), "nobody fails, and nobody did"
    before = time.time_ns() // 1000
    two.fails(TWO)
    assert before <= (await two.written())["api:2"] <= time.time_ns() // 1000
    two.passes(TWO)
    assert await two.written() == {}


async def test_the_last_one_is_never_in_it(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.fails(TWO)
    assert (await two.written()).keys() == {"api:2"}
    two.fails(ONE)
    assert (await two.written()).keys() == set(), "both may answer as well as they can"
    two.passes(ONE)
    assert (await two.written()).keys() == {"api:2"}


async def test_who_ends_leaves_it(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.fails(TWO)
    await two.written()
    two.registry.see(TWO, replace(RUNS, event=Event.LEAVING), 9)
    assert await two.written() == {}


async def test_another_manager_takes_it_over(tmp_path: Path) -> None:
    first = Two(tmp_path)
    first.fails(TWO)
    written = await first.written()
    second = Two(tmp_path)
    assert await second.written() == written
    second.passes(TWO)
    assert await second.written() == {}


@pytest.mark.parametrize(
    ("health", "is_out"),
    [
        (HEALTH, True),  # it is let in as soon as a check has passed
        (replace(HEALTH, interval=0), False),
        (replace(HEALTH, type=HealthType.NONE), False),
        (replace(HEALTH, type=HealthType.COMMAND), False),
    ],
)
async def test_who_was_about_to_be_replaced_when_the_manager_ended_does_not_stay_out_for_ever(
    tmp_path: Path, health: Health, *, is_out: bool
) -> None:
    Two(tmp_path).file.take_out([TWO])
    assert Two(tmp_path, health).content().failing.keys() == ({"api:2"} if is_out else set())


async def test_who_has_started_since_is_well(tmp_path: Path) -> None:
    first = Two(tmp_path)
    first.fails(TWO)
    await first.written()
    second = Two(tmp_path)
    second.registry.see(TWO, replace(RUNS, invocation="b" * 32, started=time.time_ns() // 1000), 9)
    assert await second.written() == {}


async def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.path.mkdir()
    two.fails(TWO)
    await asyncio.sleep(0)
    assert "unhealthy instances stay in the traffic" in two.said[0]


async def test_who_is_stopped_is_in_it_until_it_starts(tmp_path: Path) -> None:
    two, before = Two(tmp_path), time.time_ns() // 1000
    two.file.stop([ONE, TWO])
    assert two.content().stopped.keys() == {"api", "api:2"}
    assert min(two.content().stopped.values()) >= before
    two.registry.see(TWO, replace(RUNS, event=Event.LEAVING), 9)
    two.registry.see(TWO, replace(RUNS, event=Event.ENDED), 9)
    await two.written()
    assert two.content().stopped.keys() == {"api", "api:2"}
    two.registry.see(TWO, replace(RUNS, event=Event.BEGUN, invocation="b" * 32), 9)
    await two.written()
    assert two.content().stopped.keys() == {"api"}
    two.file.wanted([ONE])
    assert two.content() == NOBODY


async def test_another_manager_keeps_who_is_stopped(tmp_path: Path) -> None:
    first = Two(tmp_path)
    first.file.stop([ONE])
    second = Two(tmp_path)
    assert second.content() == first.content() != NOBODY
    second.registry.place([place(TWO)])
    second.file.write()
    assert second.content() == NOBODY, "it is installed no more"


@pytest.mark.parametrize("text", ["", "rubbish", '{"version": 1, "unready": {"../x": 1}}'])
async def test_a_file_that_does_not_read_is_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "unready.json").write_text(text)
    assert Two(tmp_path).file.out == {}
