"""What the manager asks the router's processes, at their control sockets.

A process is asked only while its unit runs: a connection to the socket of a stopped one would start
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from tqunits.control import protocol
from tqunits.layout import Layout
from tqunits.units import name

PATIENCE_S: Final = 2.0
"""For one process, which answers within milliseconds."""


class Routers:
    """All router processes of the host."""

    def __init__(self, layout: Layout, running: Callable[[], Iterable[str]]) -> None:
        """`running`: the units of the processes that run now."""
        self._layout = layout
        self._running = running

    async def completed(self, worker: str) -> int | None:
        """The requests of this worker that were completed, by all processes since their starts;
        None when none of them says."""
        answers = await asyncio.gather(*(self._status(unit) for unit in self._running()))
        counts = [protocol.completed(each, worker) for each in answers if each is not None]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    async def _status(self, unit: str) -> bytes | None:
        path = str(self._layout.control_socket(name.process_of(unit)))
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await _get(path, protocol.STATUS)
        except (OSError, ValueError):  # TimeoutError is an OSError
            return None


async def _get(path: str, target: str) -> bytes | None:
    """The body of an answer; None for one that is too large or refused. Raises OSError."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(protocol.question(target))
        answer = bytearray()
        while len(answer) <= protocol.MAX_RECEIVED and (more := await reader.read(65536)):
            answer += more
    finally:
        writer.close()
    return protocol.body_of(bytes(answer))
