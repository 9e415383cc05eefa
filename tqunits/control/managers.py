"""Asks the manager, at its control socket.

A connection to the socket of a manager that does not run would start it by its socket unit; so the
caller gets None when the socket is not there, and an answer, after a moment, when it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tqunits.control import manager_protocol, questions
from tqunits.layout import Layout

Member = Mapping[str, object]

PATIENCE_S: Final = 2.0
"""For an answer that the manager makes of what it knows, within milliseconds."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of states, oldest first."""

    last: int  # the number of the last one that there is
    events: Sequence[Member]

    def lost(self, after: int) -> bool:
        """Whether some after that number are kept no more, or the manager was started anew."""
        first = self.events[0].get("number") if self.events else after + 1
        return isinstance(first, int) and first > after + 1


def instances(layout: Layout) -> Sequence[Member] | None:
    """What the manager knows of each instance; None when it does not answer."""
    answer = questions.answer(Path(layout.manager_socket), manager_protocol.INSTANCES, patience=PATIENCE_S)
    return None if answer is None else manager_protocol.members(answer, "instances")


def changes(layout: Layout, *, after: int, wait_us: int = 0) -> Changes | None:
    """The changes after that number; with none, it waits for one. None when the manager does not
    answer."""
    target = manager_protocol.events_target(after, wait_us)
    answer = questions.answer(Path(layout.manager_socket), target, patience=questions.TIMEOUT_S + wait_us / 1e6)
    events = None if answer is None else manager_protocol.members(answer, "events")
    last = None if answer is None else manager_protocol.number(answer, "last_event")
    return None if events is None or last is None else Changes(last, events)
