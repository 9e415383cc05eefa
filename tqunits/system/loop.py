"""The event loop is uvloop's. This is the only module that imports uvloop.

It waits for timers, signals, files, the control socket, and one descriptor that stands for all
connections (`proxy/reactor/poller.py`).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop  # noqa: TID251 - this is its door

T = TypeVar("T")


def run(main: Callable[[asyncio.AbstractEventLoop], Coroutine[object, object, T]]) -> T:
    """Run `main(loop)` to its end on a new loop, cancel the tasks that it has left, and close the
    loop.

    SIGPIPE is ignored for good: a peer that is gone is an error of send(2), not the end of the
    process.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main(runner.get_loop()))
