"""Asks the manager, at its control socket.

A connection to the socket of a manager that does not run would start it by its socket unit; so the
caller gets None when the socket is not there, and an answer, after a moment, when it is.

Who may ask for what is the manager's decision. Some callers do without an answer (`instances`,
`operate`); the others raise what the manager has said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tqunits.control import job_results, manager_protocol, protocol, questions
from tqunits.control.questions import PendingAnswer, Unanswered
from tqunits.errors import NotPermitted, NotRunning, TqunitsError
from tqunits.layout import Layout
from tqunits.lifecycle.outcome import JobResult
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance

Member = Mapping[str, object]

PATIENCE_S: Final = 2.0
"""For an answer that the manager makes of what it knows, within milliseconds."""

JOURNAL_PATIENCE_S: Final = 35.0
"""For an answer from the journal: the manager gives journalctl 30 s."""

_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of states, oldest first."""

    last: int  # the number of the last one that there is
    first: int  # the number of the oldest one that is kept
    events: Sequence[Member]  # those that the caller may know of
    since: int = 0  # the start of the manager that counts them, in µs since 1970

    def lost(self, after: int) -> bool:
        """Whether some after that number are missing: they are kept no more, or another manager has
        begun to count anew."""
        return self.last < after or self.first > after + 1


@dataclass(frozen=True, slots=True)
class LogLines:
    """Lines of a journal, oldest first."""

    lines: Sequence[Member]
    cursor: str  # where the next ones begin
    is_cut: bool  # there were more, which one answer has no room for


@dataclass(frozen=True, slots=True)
class Watches:
    """What is watched on disk."""

    folders: Sequence[Member]  # of the workers that the caller may know of
    unapplied: str  # why tqunits.yaml, as it is, is not applied by itself; "" also where he is not told


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What the manager has said instead of an answer."""

    status: int
    text: str


def running(layout: Layout) -> tuple[str, int] | None:
    """The release and the process of the manager, which everybody may ask for; None when it does
    not answer."""
    answer = questions.answer(Path(layout.manager_socket), manager_protocol.RELEASE, patience=PATIENCE_S)
    found = (manager_protocol.document(answer) if answer is not None else None) or {}
    release, pid = protocol.release_of(found), found.get("pid")
    return (release, pid) if release is not None and isinstance(pid, int) else None


def instances(layout: Layout) -> Sequence[Member] | None:
    """What the manager knows of each instance that the caller may know of; None when it does not
    answer, or refuses to."""
    found = _told(layout, manager_protocol.INSTANCES)
    return None if found is None else manager_protocol.members(found, "instances")


def mine(layout: Layout) -> Sequence[Member]:
    """The same for who can not do without. Raises NotPermitted, NotRunning, TqunitsError."""
    found = _demand(layout, protocol.question(manager_protocol.INSTANCES), PATIENCE_S)
    return manager_protocol.members(found, "instances") or ()


def watches(layout: Layout) -> Watches | None:
    """What is watched on disk; None when it does not answer, or refuses to."""
    found = _told(layout, manager_protocol.WATCHES) or {}
    folders, unapplied = manager_protocol.members(found, "watches"), found.get("unapplied")
    return None if folders is None else Watches(folders, unapplied if isinstance(unapplied, str) else "")


def ask_for_changes(layout: Layout, *, after: int, wait_us: int) -> PendingAnswer:
    """Ask for the changes after that number, or, with none, for the next one. `changes_in` reads
    the answer. Raises OSError when nobody listens."""
    question = protocol.question(manager_protocol.events_target(after, wait_us))
    return PendingAnswer(Path(layout.manager_socket), question)


def changes_in(answer: bytes | None) -> Changes | None:
    """The changes in such an answer; None when it is none."""
    return _changes((manager_protocol.document(answer) if answer is not None else None) or {})


def changes(layout: Layout, *, after: int) -> Changes:
    """The changes after that number. Raises NotPermitted, NotRunning, TqunitsError."""
    found = _changes(_demand(layout, protocol.question(manager_protocol.events_target(after, 0)), PATIENCE_S))
    if found is None:
        raise _away()
    return found


def logs(layout: Layout, whose: Iterable[Instance], *, lines: int, after: str = "", wait_us: int = 0) -> LogLines:
    """The last lines of these instances' journals; with `after` those after that place, for which
    it waits. Raises NotPermitted, NotRunning, TqunitsError."""
    target = manager_protocol.logs_target(whose, lines, after, wait_us)
    found = _demand(layout, protocol.question(target), JOURNAL_PATIENCE_S + wait_us / 1e6)
    rows, cursor = manager_protocol.members(found, "lines"), found.get("cursor")
    if rows is None or not isinstance(cursor, str):
        raise _away()
    return LogLines(rows, cursor, found.get("cut") is True)


def operate(layout: Layout, method: str, whose: Iterable[Instance], wait_us: int) -> Sequence[JobResult] | None:
    """What came of the jobs that the manager has asked systemd for. `method` is StartUnit, StopUnit
    or RestartUnit.

    None when the manager is away or refuses: then nothing has happened. Raises TqunitsError when it
    has ended meanwhile: then nobody knows.
    """
    path = next(path for path, known in manager_protocol.METHODS.items() if known == method)
    wait_us = min(wait_us, manager_protocol.LONGEST_JOB_WAIT_US)
    request = protocol.order(path, manager_protocol.job_body(whose, wait_us))
    if len(request) > manager_protocol.MAX_ASKED:
        return None
    try:
        found = _ask(layout, request, JOURNAL_PATIENCE_S + wait_us / 1e6)
    except Unanswered:
        hint = "'tqunits ls' shows how the workers are"
        raise TqunitsError("the manager has ended before the jobs did, which go on", hint=hint) from None
    return None if found is None or isinstance(found, _Refusal) else job_results.read(found)


def _told(layout: Layout, target: str) -> Member | None:
    try:
        found = _ask(layout, protocol.question(target), PATIENCE_S)
    except Unanswered:
        return None
    return None if isinstance(found, _Refusal) else found


def _changes(found: Member) -> Changes | None:
    events, *numbers = (
        manager_protocol.members(found, "events"),
        *map(found.get, ("last_event", "first_event", "since_us")),
    )
    match numbers:
        case [int(last), int(first), int(since)] if events is not None:
            return Changes(last, first, events, since)
    return None


def _demand(layout: Layout, request: bytes, patience: float) -> Member:
    try:
        found = _ask(layout, request, patience)
    except Unanswered:
        found = None
    if found is None:
        raise _away()
    if not isinstance(found, _Refusal):
        return found
    raise refusal(found.status, found.text)


def refusal(status: int, text: str) -> TqunitsError:
    """The error that a refusal of the manager is for who can not do without its answer."""
    if status == _FORBIDDEN:
        return NotPermitted(f"the manager refuses: {text}", hint="or run it with sudo")
    return TqunitsError(f"the manager refuses: {text}")


def _away() -> NotRunning:
    return NotRunning("the manager does not answer", hint="'systemctl status tq-manager' tells why")


def _ask(layout: Layout, request: bytes, patience: float) -> Member | _Refusal | None:
    """The answer; None when there is no manager. Raises Unanswered."""
    answer = questions.exchange(Path(layout.manager_socket), request, patience=patience)
    if answer is None:
        return None
    status, body = answer
    found = manager_protocol.document(body)
    if found is None:
        raise Unanswered
    return found if status == 200 else _Refusal(status, str(found.get("error")))
