"""A router starts `tqunits repair` when a worker may be held without a reason, and no more often
than necessary."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from control_peers import GET, controlled, leave_path, relayed, serving_path, status, until
from hypothesis import given
from hypothesis import strategies as st
from peers import OK, PATIENCE, Router, TcpWorker, answering

from tqunits.proxy.lost import FIRST, LONGEST, SHORTEST, Lost
from tqunits.proxy.serving import LOOK_AGAIN


class Clock:
    """A clock that the test moves forward."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Asked:
    """A Lost that writes to a file of its own; counts how often it has."""

    def __init__(self, folder: Path, *sockets: Path) -> None:
        self.clock = Clock()
        self.file = os.open(folder / "repair", os.O_RDWR | os.O_CREAT)
        self.said: list[str] = []
        self.lost = Lost(self.file, sockets, self.said.append, self.clock)

    def times(self, seconds: float, look: Callable[[Lost], None]) -> list[float]:
        """Look every LOOK_AGAIN seconds; gives the times of its requests."""
        begin, asked = self.clock.now, []
        while self.clock.now < begin + seconds:
            look(self.lost)
            os.ftruncate(self.file, 0)
            self.lost.ask()
            if os.fstat(self.file).st_size:
                asked.append(self.clock.now - begin)
            self.clock.now += LOOK_AGAIN
        return asked


def see(*, is_lost: bool) -> Callable[[Lost], None]:
    return lambda lost: lost.see("w", is_lost=is_lost)


def test_who_is_lost_is_asked_for_soon_and_then_less_and_less(tmp_path: Path) -> None:
    times = Asked(tmp_path).times(6 * LONGEST, see(is_lost=True))
    assert times[:4] == [FIRST, FIRST + 4, FIRST + 12, FIRST + 28]
    assert max(b - a for a, b in pairwise(times)) <= LONGEST + LOOK_AGAIN
    assert len(times) < 20


def test_nobody_is_asked_about_who_is_served(tmp_path: Path) -> None:
    assert Asked(tmp_path).times(100, see(is_lost=False)) == []


def test_who_is_served_again_is_looked_after_anew(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    asked.times(1000, see(is_lost=True))
    asked.times(60, see(is_lost=False))
    assert asked.times(10, see(is_lost=True))[0] == FIRST


@given(st.lists(st.sampled_from(["lost", "served", "stirs"]), min_size=1, max_size=200))
def test_no_worker_makes_it_happen_all_the_time(deeds: list[str]) -> None:
    """Whatever the worker does with its files."""
    with TemporaryDirectory() as folder:
        asked = Asked(Path(folder))
        rest = iter(deeds)

        def look(lost: Lost) -> None:
            deed = next(rest, "served")
            lost.see("w", is_lost=deed != "served")
            if deed == "stirs":
                lost.hurry("w")

        times = asked.times(len(deeds) * LOOK_AGAIN, look)
        os.close(asked.file)
    pauses = [b - a for a, b in pairwise(times)]
    assert all(pause >= 2 * FIRST for pause in pauses)
    assert len(times) <= 3 + len(deeds) * LOOK_AGAIN / SHORTEST  # and two for a worker that is lost for the first time


def test_a_socket_of_its_own_that_is_gone(tmp_path: Path) -> None:
    socket = tmp_path / "leave.sock"
    socket.touch()
    asked = Asked(tmp_path, socket)
    assert asked.times(20, lambda _: None) == []
    socket.unlink()
    assert asked.times(FIRST + LOOK_AGAIN, lambda _: None) == [FIRST]


def test_where_nobody_can_be_asked_it_is_said_once(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    os.close(asked.file)
    lost = Lost(os.open(tmp_path, os.O_RDONLY), (), asked.said.append, asked.clock)
    for _ in range(10):
        lost.see("w", is_lost=True)
        lost.ask()
        asked.clock.now += 100
    assert len(asked.said) == 1


LOSSES: dict[str, Callable[[Path], object]] = {
    "its file": lambda folder: serving_path(folder).unlink(),
    "its folder": lambda folder: serving_path(folder).rename(folder / "x"),
    "the router's socket": lambda folder: leave_path(folder).unlink(),
}


@pytest.mark.short("its file")
@pytest.mark.parametrize("what", LOSSES)
async def test_a_router_asks(folder: Path, what: str) -> None:
    worker = await TcpWorker().start(answering(OK))
    asking = folder / "repair"
    options = controlled(folder, worker.endpoint, "--repair")
    async with Router(folder, options, stdout=asking) as router, asyncio.timeout(PATIENCE):
        assert (await router.ask(GET)).endswith(b"ok")
        assert asking.stat().st_size == 0
        LOSSES[what](folder)
        while not asking.stat().st_size:
            await status(folder)
    worker.stop()


async def test_who_leaves_is_not_served_by_who_does_not_know_it(folder: Path) -> None:
    async with relayed(folder, answering(OK)) as (router, _):
        assert (await router.ask(GET)).endswith(b"ok")
        leaving = serving_path(folder).with_name("leaving")
        serving_path(folder).rename(leaving)
        serving_path(folder).touch()
        await until(folder, endpoint={"draining": True})
        leaving.unlink()
        assert (await router.ask(GET)).endswith(b"ok")
