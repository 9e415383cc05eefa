"""What the manager asks the router's processes, at their control sockets.

A process is asked only while its unit runs: a connection to the socket of a stopped one would start
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tqunits.control import protocol
from tqunits.control.protocol import Use
from tqunits.layout import Layout
from tqunits.lifecycle.liveness import Work
from tqunits.model import Instance
from tqunits.units import name

PATIENCE_S: Final = 2.0
"""For one process, which answers within milliseconds."""

MAX_EXPOSITION: Final = 4 << 20
"""The greatest text of one process' metrics, in bytes: 1000 workers are 3 MB."""

MAX_AT_ONCE: Final = 8
"""Processes that tell their metrics at once: so many texts are in memory."""

Take = Callable[[str, bytes], bool]
"""Takes the text of a process' metrics, with its name; False: the text is not valid."""


class Routers:
    """All router processes of the host."""

    def __init__(self, layout: Layout, running: Callable[[], Sequence[str]]) -> None:
        """`running`: the units of the processes that run now."""
        self._layout = layout
        self._running = running

    async def work(self, whose: Instance) -> Work | None:
        """What an instance does for all processes together; None when none of them says."""
        return (await self.works() or {}).get(whose)

    async def works(self) -> Mapping[Instance, Work] | None:
        """What each instance does for all processes together; None when none of them says."""
        answers = await asyncio.gather(*(self._status(unit) for unit in self._running()))
        known = [each for each in map(protocol.works, filter(None, answers)) if each is not None]
        together: dict[Instance, Work] = {}
        for works in known:
            for whose, work in works.items():
                before = together.get(whose, Work(0, 0))
                together[whose] = Work(before.answers + work.answers, before.in_flight + work.in_flight)
        return together if known else None

    async def use_of(self, whose: Instance) -> Use:
        """How the processes together use an instance. A process that does not answer sends nothing;
        one that does not know the instance neither."""
        answers = await asyncio.gather(*(self._status(unit) for unit in self._running()))
        uses = [protocol.use_of(answer, whose) for answer in answers if answer is not None]
        return Use(sends=any(use.sends for use in uses), waits=any(use.waits for use in uses))

    async def expositions(self, take: Take) -> Mapping[str, bool]:
        """Hand the text of each process that runs to `take`, as it comes. Gives whether it was
        taken, by the process' name in the metrics; False too for one that does not answer."""
        turns = asyncio.Semaphore(MAX_AT_ONCE)
        units = self._running()
        taken = await asyncio.gather(*(self._exposition(unit, turns, take) for unit in units))
        return {name.process_of(unit): each for unit, each in zip(units, taken, strict=True)}

    async def _exposition(self, unit: str, turns: asyncio.Semaphore, take: Take) -> bool:
        async with turns:
            text = await self._answer(unit, protocol.METRICS, MAX_EXPOSITION)
            return text is not None and take(name.process_of(unit), text)

    async def _status(self, unit: str) -> bytes | None:
        return await self._answer(unit, protocol.STATUS, protocol.MAX_ANSWER)

    async def _answer(self, unit: str, target: str, most: int) -> bytes | None:
        path = str(self._layout.control_socket(name.process_of(unit)))
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await _get(path, target, most)
        except (OSError, ValueError):  # TimeoutError is an OSError
            return None


async def _get(path: str, target: str, most: int) -> bytes | None:
    """The body of an answer of at most so many bytes; None for one that is larger or refused.
    Raises OSError."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(protocol.question(target))
        answer = bytearray()
        while len(answer) <= most + protocol.MAX_HEAD and (more := await reader.read(65536)):
            answer += more
    finally:
        writer.close()
    body = protocol.body_of(bytes(answer))
    return body if body is not None and len(body) <= most else None
