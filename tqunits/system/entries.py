"""Entries of the journal, read as what they are: mostly what somebody else has written.

Whoever reaches journald's socket writes every field but those that begin with "_", which journald
sets itself from what the kernel says of the sender (systemd.journal-fields(7), "Trusted Journal
Fields"). So who has written an entry decides what is believed of it: how a run ended is the service
manager's to say, and nobody else's. And whoever has written it, a value that is not of its field's
form counts as not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class ManagerMessage(StrEnum):
    """The manager's messages about the end of a unit (sd-messages.h), which depend on nobody's
    language."""

    PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
    FAILURE = "d9b373ed55a64feb8242e02dbe79a49c"
    SUCCESS = "7ad2d189f7e94e70a38c781354912448"
    OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How one run of a unit ended. `code` is systemd's word: exited, killed, dumped, or "" when it
    does not tell."""

    time_us: int  # since 1970
    invocation: str  # 32 hexadecimal digits, or ""
    result: str  # success, exit-code, signal, oom-kill, timeout, ...
    code: str
    status: str  # exit status or signal number, as at most three decimal digits; "" when it does not tell
    command: str  # whose end that was: ExecStart (the worker), ExecStartPost (its readiness gate), or ""


_INVOCATIONS = ("INVOCATION_ID", "USER_INVOCATION_ID")  # the system's manager, a user's
_FORMS: Mapping[str, re.Pattern[str]] = {
    "MESSAGE_ID": re.compile(r"[0-9a-f]{32}"),
    "_SYSTEMD_INVOCATION_ID": re.compile(r"[0-9a-f]{32}"),
    **dict.fromkeys(_INVOCATIONS, re.compile(r"[0-9a-f]{32}")),
    "UNIT_RESULT": re.compile(r"[a-z][a-z-]{0,31}"),
    "EXIT_CODE": re.compile(r"exited|killed|dumped"),
    "EXIT_STATUS": re.compile(r"[0-9]{1,3}"),
    "COMMAND": re.compile(r"[A-Za-z]{1,32}"),
}

_TIME = "__REALTIME_TIMESTAMP"
_DIGITS = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry; a field that is not there, or not of its form, is ""."""

    time_us: int  # since 1970, as journald took it in
    by_manager: bool  # the service manager has written it
    _fields: Mapping[str, str]

    @property
    def message(self) -> str:
        """Its text: anything at all, to be escaped before a terminal has it."""
        return self._fields.get("MESSAGE", "")

    @property
    def message_id(self) -> str:
        """What kind of message the manager says it is; "" of everybody else's."""
        return self["MESSAGE_ID"]

    @property
    def invocation(self) -> str:
        """Which start it is about: what the manager says, or who has written it."""
        if not self.by_manager:
            return self._fields.get("_SYSTEMD_INVOCATION_ID", "")
        return next((self[field] for field in _INVOCATIONS if self[field]), "")

    def __getitem__(self, field: str) -> str:
        return self._fields.get(field, "") if self.by_manager else ""


def parse(output: str, manager: Mapping[str, str]) -> Iterator[JournalEntry]:
    """Entries from what `journalctl --output=json` prints. `manager`: the trusted fields that the
    manager's have.

    A line that is cut off, or is no entry, is left out.
    """
    for line in output.split("\n"):  # not splitlines(): a message may have line ends of other kinds in it
        try:
            found = json.loads(line)
        except ValueError:
            continue
        time = _text(found.get(_TIME)) if isinstance(found, dict) else ""
        if _DIGITS.fullmatch(time):
            by_manager = all(_text(found.get(field)) == value for field, value in manager.items())
            yield JournalEntry(int(time), by_manager, dict(_fields(found)))


def exits(entries: Iterable[JournalEntry]) -> tuple[Exit, ...]:
    """One for each run, oldest first: the manager says how its process ended, and then what that
    means."""
    runs: dict[str, Exit] = {}
    for entry in entries:
        if not entry.by_manager:
            continue
        known = runs.get(entry.invocation) or Exit(
            time_us=0, invocation=entry.invocation, result="", code="", status="", command=""
        )
        runs[entry.invocation] = _with(replace(known, time_us=entry.time_us), entry)
    return tuple(run for run in runs.values() if run.result)


def _with(run: Exit, entry: JournalEntry) -> Exit:
    match entry.message_id:
        case ManagerMessage.FAILURE:
            return replace(run, result=entry["UNIT_RESULT"])
        case ManagerMessage.SUCCESS:
            return replace(run, result=run.result or "success")
        case ManagerMessage.OUT_OF_MEMORY:
            return replace(run, result="oom-kill")
        case ManagerMessage.PROCESS_EXIT if not run.code:  # the main process; a failed gate's exit may come after it
            return replace(run, code=entry["EXIT_CODE"], status=entry["EXIT_STATUS"], command=entry["COMMAND"])
        case _:
            return run


def _fields(found: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield "MESSAGE", _text(found.get("MESSAGE"))
    for field, form in _FORMS.items():
        text = _text(found.get(field))
        if form.fullmatch(text):
            yield field, text


def _text(value: object) -> str:
    """A field's value: journalctl gives bytes that are not UTF-8 as a list of numbers, and null
    what is too long.

    A field that is there more than once is a list of such values: which one is meant, nobody knows.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(octet, int) and 0 <= octet <= 0xFF for octet in value):
        return bytes(value).decode("utf-8", "replace")
    return ""
