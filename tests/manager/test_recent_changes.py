"""The list of changes: bounded, and waited for."""

from __future__ import annotations

import asyncio

from tqunits.lifecycle.state import Event, State
from tqunits.manager.recent_changes import KEPT, RecentChanges
from tqunits.manager.record import Change
from tqunits.model import Instance


def change(number: int) -> Change:
    return Change(
        number=number,
        at=number,
        whose=Instance("api"),
        event=Event.BEGUN,
        before=State.STOPPED,
        after=State.STARTING,
        cause="",
    )


def numbers(found: object) -> list[int]:
    assert isinstance(found, list)
    return [each.number for each in found]


async def test_who_has_seen_some_gets_the_later_ones() -> None:
    events = RecentChanges()
    assert (events.last, numbers(events.after(0))) == (0, [])
    for number in (1, 2, 3):
        events.add(change(number))
    assert events.last == 3
    assert [numbers(events.after(seen)) for seen in (0, 1, 3)] == [[1, 2, 3], [2, 3], []]


async def test_a_number_of_an_earlier_manager_gets_all() -> None:
    events = RecentChanges()
    events.add(change(1))
    assert numbers(events.after(40)) == [1]


async def test_the_oldest_are_kept_no_more() -> None:
    events = RecentChanges()
    for number in range(1, KEPT + 11):
        events.add(change(number))
    assert numbers(events.after(0)) == list(range(11, KEPT + 11))


async def test_a_wait_ends_with_the_next_change() -> None:
    events = RecentChanges()
    waits = [asyncio.create_task(events.wait(0, 60)) for _ in range(3)]
    await asyncio.sleep(0)
    events.add(change(1))
    assert [numbers(found) for found in await asyncio.gather(*waits)] == [[1], [1], [1]]


async def test_a_wait_ends_with_its_time() -> None:
    assert numbers(await RecentChanges().wait(0, 0.01)) == []


async def test_a_wait_for_what_is_there_is_none() -> None:
    events = RecentChanges()
    events.add(change(1))
    assert numbers(await events.wait(0, 60)) == [1]


async def test_a_wait_can_be_ended_without_a_change() -> None:
    events = RecentChanges()
    waiting = asyncio.ensure_future(events.wait(0, 3600))
    await asyncio.sleep(0)
    events.wake()
    assert numbers(await waiting) == []
