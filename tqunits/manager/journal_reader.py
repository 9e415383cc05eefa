"""Reads the journal of workers for those who may ask for it, with journalctl as a child.

The units are ours: those of the instances that the request names, and the caller's rights to them
are decided before. Nothing of a request gets into journalctl's arguments but a number of lines and
a place that consists of hexadecimal numbers. The event loop only reads pipes. There are few
children at once, each has a time, and each ends when its client goes. journalctl and not a library,
because a read of a journal of many GiB may wait for the disk, and a thread can not be ended then.

Without the right to read the journal journalctl shows nothing and exits with 0, so this is asked
before.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tqunits.control.manager_protocol import LogQuestion
from tqunits.control.protocol import Body, Problem
from tqunits.errors import TqunitsError
from tqunits.manager import log_lines
from tqunits.manager.log_lines import LogBuffer
from tqunits.system import journal
from tqunits.system.child import Child

MOST: Final = 8
"""Children at once: they share the memory and the tasks of the manager's unit. Eight that follow
take 8 MiB (journalctl of systemd 252)."""

MOST_OF_A_USER: Final = 2
"""One that follows, and one that looks back."""

GATHER_S: Final = 0.25
"""Between the first line that comes and the answer: a burst of lines is one answer, so a worker
that writes without a pause costs four children in a second."""


class JournalReader:
    """All readers."""

    def __init__(self, *, user_mode: bool) -> None:
        self._user_mode = user_mode
        self._reading: Counter[int] = Counter()  # by uid

    async def read(self, uid: int, units: Sequence[str], question: LogQuestion) -> Body:
        """The answer. Raises Problem."""
        if not self._user_mode and not journal.is_readable():
            text = "the manager may not read the journal: its unit lacks the group systemd-journal ('tqunits install')"
            raise Problem(503, text)
        with self._turn(uid):
            try:
                return await (self._later(units, question) if question.after else self._last(units, question))
            except TqunitsError as error:
                raise Problem(503, str(error)) from None

    @contextmanager
    def _turn(self, uid: int) -> Iterator[None]:
        if self._reading.total() >= MOST or (uid and self._reading[uid] >= MOST_OF_A_USER):
            raise Problem(503, f"the journal is read {MOST} times at once at most, {MOST_OF_A_USER} times by one user")
        self._reading[uid] += 1
        try:
            yield
        finally:
            self._reading[uid] -= 1
            if not self._reading[uid]:
                del self._reading[uid]

    async def _last(self, units: Sequence[str], question: LogQuestion) -> Body:
        """The last lines that there are now."""
        place, found = f"@{time.time_ns() // 1000}", LogBuffer()
        command = self._command(units, f"--lines={question.lines}")
        try:
            async with asyncio.timeout(journal.TIMEOUT_S), Child(command) as child:
                while data := await child.read():
                    found.feed(data)
                    found.keep_last(question.lines)
                status = await child.status()
        except TimeoutError:
            raise Problem(503, f"journalctl has not ended within {journal.TIMEOUT_S:.0f} s") from None
        if status != 0:
            raise Problem(503, f"journalctl has failed with exit status {status}")
        return log_lines.answer(found.lines, place=place, is_cut=found.is_cut)

    async def _later(self, units: Sequence[str], question: LogQuestion) -> Body:
        """The lines after a place; with none, it waits for some."""
        found = LogBuffer()
        async with Child(self._command(units, "--follow", "--no-tail", _from(question.after))) as child:
            await _until(child, found, question.lines, max(question.wait_us / 1e6, GATHER_S), is_first=True)
            await _until(child, found, question.lines, GATHER_S, is_first=False)
        found.keep_first(question.lines)
        return log_lines.answer(found.lines, place=question.after, is_cut=found.is_cut)

    def _command(self, units: Sequence[str], *options: str) -> list[str]:
        """Of all boots: a later journalctl that follows shows this boot alone. Since it has to know
        the boot's ID, the manager's unit shows it more of /proc than processes."""
        fixed = ("--quiet", "--no-pager", "--boot=all", "--all", "--output=json")
        fields = f"--output-fields={','.join(log_lines.FIELDS)}"
        return journal.command(units, user_mode=self._user_mode, options=[*fixed, fields, *options])


async def _until(child: Child, found: LogBuffer, lines: int, seconds: float, *, is_first: bool) -> None:
    """Read for so long, or until there is no room for more; `is_first`: until there is a line."""
    if found.is_full(lines) or not (is_first or found.lines):
        return
    try:
        async with asyncio.timeout(seconds):
            while data := await child.read():
                found.feed(data)
                if found.is_full(lines) or (is_first and found.lines):
                    return
    except TimeoutError:
        return
    raise Problem(503, "journalctl has ended: it does not know this place in the journal, or may not read it")


def _from(place: str) -> str:
    return f"--since={journal.moment(int(place[1:]))}" if place.startswith("@") else f"--after-cursor={place}"
