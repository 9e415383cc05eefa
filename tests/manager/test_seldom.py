"""Something that is asked for without end is done seldom."""

from __future__ import annotations

import asyncio
import time

import pytest

from tqunits.lifecycle.settling import REST
from tqunits.manager.seldom import AGAIN_S, QUIET_S, Seldom

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop

WORK_S = 0.02  # of a CPU


class Work:
    """What is done, and when."""

    def __init__(self, takes: float = 0) -> None:
        self.begins: list[float] = []
        self.took = 0.0
        self._takes = takes
        self.done = asyncio.Event()

    def __call__(self) -> None:
        begin = time.thread_time()
        self.begins.append(asyncio.get_running_loop().time())
        while time.thread_time() < begin + self._takes:
            pass
        self.took += time.thread_time() - begin
        self.done.set()

    async def is_done(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.begins) < count:
                self.done.clear()
                await self.done.wait()


async def test_events_that_come_at_once_are_one() -> None:
    work = Work()
    seldom = Seldom(work)
    for number in range(1000):
        seldom.ask(str(number))
    assert work.begins == []
    await work.is_done(1)
    seldom.ask()
    await work.is_done(2)
    assert len(work.begins) == 2
    assert round(work.begins[1] - work.begins[0], 3) >= QUIET_S  # the loop's clock counts ms
    seldom.close()


async def test_what_takes_long_is_done_the_more_seldom() -> None:
    work = Work(WORK_S)
    seldom = Seldom(work)
    seldom.now()
    seldom.ask()
    await work.is_done(2)
    assert round(work.begins[1] - work.begins[0], 3) >= REST * WORK_S
    seldom.close()


async def test_it_is_done_again_after_a_while_and_not_when_it_is_closed() -> None:
    """Nobody tells that a folder is watched no more."""
    loop, work = asyncio.get_running_loop(), Work()
    seldom = Seldom(work)
    begin = loop.time()
    seldom.now()
    assert round(begin + AGAIN_S, 3) <= round(seldom.due, 3) <= round(loop.time() + AGAIN_S, 3)
    seldom.ask()
    assert seldom.due < begin + AGAIN_S
    seldom.close()
    assert seldom.due == float("inf")
