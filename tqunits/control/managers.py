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
        """Whether some after that number are missing: they are kept no more, or another manager has
        begun to count anew."""
        first = self.events[0].get("number") if self.events else after + 1
        return self.last < after or (isinstance(first, int) and first > after + 1)


def instances(layout: Layout) -> Sequence[Member] | None:
    """What the manager knows of each instance; None when it does not answer."""
    found = _ask(layout, manager_protocol.INSTANCES, PATIENCE_S)
    return manager_protocol.members(found, "instances")


def changes(layout: Layout, *, after: int, wait_us: int = 0) -> Changes | None:
    """The changes after that number; with none, it waits for one. None when the manager does not
    answer."""
    found = _ask(layout, manager_protocol.events_target(after, wait_us), PATIENCE_S + wait_us / 1e6)
    events, last = manager_protocol.members(found, "events"), found.get("last_event")
    return Changes(last, events) if isinstance(last, int) and events is not None else None


def _ask(layout: Layout, target: str, patience: float) -> Member:
    """The answer; empty when there is none."""
    answer = questions.answer(Path(layout.manager_socket), target, patience=patience)
    return (manager_protocol.document(answer) if answer is not None else None) or {}
