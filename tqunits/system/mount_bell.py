"""Rings when something is mounted or unmounted, as this process sees it. inotify does not report a
mount over a folder, nor the end of a bind mount.

The kernel reports it as an exceptional condition of /proc/self/mountinfo (proc_pid_mounts(5)). A
loop watches for data only, and there always is data in this file. So an epoll instance of its own
stands between: it has an event for the loop when the exceptional condition is there (epoll(7): an
instance can be watched by another one).
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable


class MountBell:
    """Rings until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]) -> None:
        """`on_change` is called on the loop, from its next turn on: only then uvloop begins to
        watch. Raises OSError."""
        self._loop = loop
        self._on_change = on_change
        self._mounts = open("/proc/self/mountinfo", "rb")  # noqa: PTH123, SIM115 - it is open until close()
        self._between = select.epoll()
        self._between.register(self._mounts, select.EPOLLPRI)
        self._between.poll(0)  # the mounts until now
        loop.add_reader(self._between.fileno(), self._ring)

    def close(self) -> None:
        """Ring no more."""
        self._loop.remove_reader(self._between.fileno())
        self._between.close()
        self._mounts.close()

    def _ring(self) -> None:
        self._between.poll(0)
        self._on_change()
