"""Asks the manager, at its control socket.

A connection to the socket of a manager that does not run would start it by its socket unit; so the
caller gets None when the socket is not there, and an answer, after a moment, when it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tqunits.control import manager_protocol, protocol, questions
from tqunits.control.questions import PendingAnswer
from tqunits.layout import Layout

Member = Mapping[str, object]

PATIENCE_S: Final = 2.0
"""For an answer that the manager makes of what it knows, within milliseconds."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of states, oldest first."""

    last: int  # the number of the last one that there is
    events: Sequence[Member]
    since: int = 0  # the start of the manager that counts them, in µs since 1970

    def lost(self, after: int) -> bool:
        """Whether some after that number are missing: they are kept no more, or another manager has
        begun to count anew."""
        first = self.events[0].get("number") if self.events else after + 1
        return self.last < after or (isinstance(first, int) and first > after + 1)


def running(layout: Layout) -> tuple[str, int] | None:
    """The release and the process of the manager, which everybody may ask for; None when it does
    not answer."""
    found = _ask(layout, manager_protocol.RELEASE, PATIENCE_S)
    release, pid = protocol.release_of(found), found.get("pid")
    return (release, pid) if release is not None and isinstance(pid, int) else None


def instances(layout: Layout) -> Sequence[Member] | None:
    """What the manager knows of each instance; None when it does not answer."""
    found = _ask(layout, manager_protocol.INSTANCES, PATIENCE_S)
    return manager_protocol.members(found, "instances")


def changes(layout: Layout, *, after: int) -> Changes | None:
    """The changes after that number; None when the manager does not answer."""
    target = manager_protocol.events_target(after, 0)
    return changes_in(questions.answer(Path(layout.manager_socket), target, patience=PATIENCE_S))


def ask_for_changes(layout: Layout, *, after: int, wait_us: int) -> PendingAnswer:
    """Ask for the changes after that number, or, with none, for the next one. `changes_in` reads
    the answer. Raises OSError when nobody listens."""
    return PendingAnswer(Path(layout.manager_socket), manager_protocol.events_target(after, wait_us))


def changes_in(answer: bytes | None) -> Changes | None:
    """The changes in such an answer; None when it is none."""
    found = (manager_protocol.document(answer) if answer is not None else None) or {}
    events, last = manager_protocol.members(found, "events"), found.get("last_event")
    since = found.get("since_us", 0)  # an earlier release does not say
    if events is None or not isinstance(last, int) or not isinstance(since, int):
        return None
    return Changes(last, events, since)


def _ask(layout: Layout, target: str, patience: float) -> Member:
    """The answer; empty when there is none."""
    answer = questions.answer(Path(layout.manager_socket), target, patience=patience)
    return (manager_protocol.document(answer) if answer is not None else None) or {}
