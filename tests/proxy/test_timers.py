"""Deadlines: none is early, none is lost, none delays the others, and nothing of them stays."""

from __future__ import annotations

import asyncio
import json
from email.utils import formatdate
from pathlib import Path

import pytest
from peers import OK, Connection, Router, Worker, snapshot

from tqunits.proxy.reactor.timers import BATCH, NEVER, Clock, Timed, Wheel, ticks_of

pytestmark = pytest.mark.loops("uvloop")

KEEP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Alarm(Timed):
    """Notes the turn of the loop in which it was called."""

    def __init__(self, wheel: Wheel, went_off: list[int], turns: list[int], *, breaks: bool = False) -> None:
        super().__init__(wheel)
        self.went_off = went_off
        self.turns = turns
        self.breaks = breaks

    def expire(self) -> None:
        self.went_off.append(len(self.turns))
        if self.breaks:
            raise ValueError("broken")


async def ticked(wheel: Wheel, ticks: int) -> None:
    """Wait until the wheel has come so far, and has handled what was due."""
    keeper = Alarm(wheel, [], [])
    keeper.touch(ticks + 4)  # a wheel without deadlines stands still
    last = wheel.tick + ticks
    while wheel.tick < last or wheel._due:
        await asyncio.sleep(0)
    keeper.forget()


async def test_many_deadlines_at_once_are_shared_out_over_the_turns_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    went_off: list[int] = []
    turns: list[int] = []
    alarms = [Alarm(wheel, went_off, turns) for _ in range(3 * BATCH)]
    for alarm in alarms:
        alarm.touch(1)

    def turn() -> None:
        turns.append(1)
        loop.call_soon(turn)

    turn()
    await ticked(wheel, 3)
    assert len(went_off) == 3 * BATCH
    assert max(went_off.count(number) for number in set(went_off)) <= BATCH


async def test_one_that_goes_wrong_stops_no_other() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: None)
    wheel = Wheel(loop)
    went_off: list[int] = []
    for breaks in (True, False, True, False):
        Alarm(wheel, went_off, [], breaks=breaks).touch(1)
    await ticked(wheel, 3)
    assert len(went_off) == 4
    Alarm(wheel, went_off, []).touch(1)
    await ticked(wheel, 3)
    assert len(went_off) == 5


async def test_who_has_ended_while_due_is_left_alone() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    went_off: list[int] = []
    alarms = [Alarm(wheel, went_off, []) for _ in range(2 * BATCH)]
    for alarm in alarms:
        alarm.touch(1)
    while not went_off:
        await asyncio.sleep(0)
    for due in wheel._due:
        due.forget()
    await ticked(wheel, 2)
    assert len(went_off) == BATCH


async def test_what_is_forgotten_leaves_no_slot_behind() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    for ticks in range(1000):
        alarm = Alarm(wheel, [], [])
        alarm.touch(10 + ticks)
        alarm.forget()
    assert not wheel._slots


async def test_a_deadline_that_moves_on_is_not_early() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    went_off: list[int] = []
    alarm, begin = Alarm(wheel, went_off, []), wheel.tick
    alarm.touch(2)
    alarm.touch(5)
    await ticked(wheel, 4)
    assert went_off == [] or wheel.tick >= begin + 5  # a loop that is late goes several ticks at once
    await ticked(wheel, 3)
    assert went_off == [0]


@pytest.mark.parametrize(("span", "ticks"), [(0, NEVER), (1, 2), (250_000, 3), (1_000_000, 6)])
def test_a_span_in_ticks_is_never_cut_short(span: int, ticks: int) -> None:
    assert ticks_of(span) == ticks


def test_the_date_is_now() -> None:
    before = formatdate(usegmt=True).encode()
    assert Clock().date() in (before, formatdate(usegmt=True).encode())


async def test_an_answer_may_take_longer_than_a_connection_may_idle(folder: Path) -> None:
    """The deadline of a connection in the pool does not apply to a request that uses the
    connection."""
    expired = asyncio.Event()

    async def behave(connection: Connection) -> None:
        await connection.head()
        await connection.send(OK)
        if connection is worker.connections[0]:
            await connection.head()
            await asyncio.wait_for(expired.wait(), 5)
            await connection.send(OK)
        else:
            await connection.rest()  # idle later than the first was, and long enough
            expired.set()

    worker = Worker(folder / "w")
    await worker.start(behave)
    text = json.loads(snapshot(worker.endpoint, max_body=0))
    text["workers"][0]["timeouts"] = {"request_us": 0, "read_us": 5_000_000, "write_us": 0, "idle_us": 1}
    text["timeouts"]["idle_us"] = 60_000_000
    (folder / "routes.json").write_text(json.dumps(text))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(folder / "routes.json")]) as router:
        first, second = await router.connect(), await router.connect()
        await first.send(KEEP)
        assert (await first.response())[1] == b"ok"
        await first.send(KEEP)
        await second.send(KEEP)
        assert (await second.response())[1] == b"ok"
        assert (await first.response())[1] == b"ok"
        assert len(worker.connections) == 2
    worker.stop()
