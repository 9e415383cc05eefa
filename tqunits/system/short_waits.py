"""Descriptors that become readable or writable, for short waits on many of them: to the event loop
they are one.

uvloop makes a handle for each descriptor that it watches, with some seven calls of epoll_ctl(2);
here it is one call, and none for the end, because a descriptor that is closed leaves its epoll.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final

MAX_EVENTS: Final = 64
"""Taken in one turn of the loop; the rest comes in the next one."""


class ShortWaits:
    """An epoll on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._called: dict[int, Callable[[], None]] = {}
        self._loop.add_reader(self._epoll.fileno(), self._on_events)

    def read(self, descriptor: int, on_ready: Callable[[], None]) -> None:
        """Call `on_ready` each time that it can be read, or has an error, until `forget`."""
        self._set(descriptor, select.EPOLLIN, on_ready)

    def write(self, descriptor: int, on_ready: Callable[[], None]) -> None:
        """Call `on_ready` as long as it can be written, in place of an earlier `read` or
        `write`."""
        self._set(descriptor, select.EPOLLOUT, on_ready)

    def forget(self, descriptor: int) -> None:
        """Call nothing more for it. It is closed next, and so leaves the epoll."""
        self._called.pop(descriptor, None)

    def close(self) -> None:
        """Watch nothing more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _set(self, descriptor: int, events: int, on_ready: Callable[[], None]) -> None:
        if descriptor in self._called:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._called[descriptor] = on_ready

    def _on_events(self) -> None:
        for descriptor, _ in self._epoll.poll(0, MAX_EVENTS):
            on_ready = self._called.get(descriptor)
            if on_ready is not None:
                on_ready()
