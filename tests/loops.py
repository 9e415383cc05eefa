"""The event loops that asynchronous tests run on. pytest-asyncio makes a loop for each test and its
asynchronous fixtures.

By default a test runs on asyncio's own loop. `@pytest.mark.loops("uvloop")` is for tests of the
router's loop, `@pytest.mark.loops("asyncio", "uvloop")` runs a test on each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop  # noqa: TID251 - what runs on the router's loop is tried on it

PATIENCE = 10.0
"""Seconds in which the tasks of a test must end after it, such as a worker's connection after the
router has ended."""

LONGEST = 240.0
"""Seconds until a test is cancelled. The signal of pytest-timeout, which comes later, can not
interrupt uvloop."""

Factory = Callable[[], asyncio.AbstractEventLoop]
FACTORIES: dict[str, Factory] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def of_test(item: pytest.Item) -> dict[str, Factory]:
    """The loops of a test, by name: a test with several is run on each."""
    mark = item.get_closest_marker("loops")
    return {name: FACTORIES[name] for name in (mark.args if mark else ("asyncio",))}


@pytest.fixture
async def nothing_is_left() -> AsyncIterator[None]:
    """Runs around every asynchronous test and its fixtures: no task may run on after the test, and
    no error may be left that nobody awaited.

    The log has such an error too: where a test fails for it, both are to be seen.
    """
    unseen: list[BaseException] = []

    def on_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        unseen.append(context.get("exception") or RuntimeError(context["message"]))
        loop.default_exception_handler(context)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(on_error)
    end = loop.call_later(LONGEST, lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
    yield
    end.cancel()
    running = asyncio.all_tasks() - {asyncio.current_task()}
    if running:
        _, left = await asyncio.wait(running, timeout=PATIENCE)
        unseen += [RuntimeError(f"goes on when the test is over: {task}") for task in left]
    if unseen:
        raise BaseExceptionGroup("what went wrong and nobody awaited", unseen)
