"""Parses entries of the journal without trust: anybody may have written them.

Any process that reaches journald's socket can write every field, except those that begin with "_",
which journald sets from the sender's data in the kernel (systemd.journal-fields(7), "Trusted
Journal Fields"). So an entry is believed by its sender: only the service manager can tell how a run
ended. And a value that does not have the form of its field counts as missing, whoever has sent it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum

from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass


class ManagerMessage(StrEnum):
    """The manager's messages about the end of a unit (sd-messages.h). These IDs do not depend on
    the language."""

    PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
    FAILURE = "d9b373ed55a64feb8242e02dbe79a49c"
    SUCCESS = "7ad2d189f7e94e70a38c781354912448"
    OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How one run of a unit ended. `code` is systemd's word: exited, killed, dumped, or "" when
    unknown."""

    time_us: int  # since 1970
    invocation: str  # 32 hexadecimal digits, or ""
    result: str  # success, exit-code, signal, oom-kill, timeout, ...
    code: str
    status: str  # exit status or signal number, at most three decimal digits; "" when unknown
    command: str  # whose end that was: ExecStart (the worker), ExecStartPost (its readiness gate), or ""


_INVOCATIONS = ("INVOCATION_ID", "USER_INVOCATION_ID")  # the system's manager, a user's
_FORMS: Mapping[str, re.Pattern[str]] = {
    "MESSAGE_ID": late_pattern(r"[0-9a-f]{32}"),
    "_SYSTEMD_INVOCATION_ID": late_pattern(r"[0-9a-f]{32}"),
    **dict.fromkeys(_INVOCATIONS, late_pattern(r"[0-9a-f]{32}")),
    "UNIT_RESULT": late_pattern(r"[a-z][a-z-]{0,31}"),
    "EXIT_CODE": late_pattern(r"exited|killed|dumped"),
    "EXIT_STATUS": late_pattern(r"[0-9]{1,3}"),
    "COMMAND": late_pattern(r"[A-Za-z]{1,32}"),
}

_TIME = "__REALTIME_TIMESTAMP"
_DIGITS = late_pattern(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry. A field that is missing or has the wrong form is ""."""

    time_us: int  # since 1970, when journald received it
    by_manager: bool  # whether the service manager has sent it
    _fields: Mapping[str, str]

    @property
    def message(self) -> str:
        """Its text. It may contain anything: escape it before it is printed on a terminal."""
        return self._fields.get("MESSAGE", "")

    @property
    def message_id(self) -> str:
        """The kind of message, if the manager has sent it; otherwise ""."""
        return self["MESSAGE_ID"]

    @property
    def invocation(self) -> str:
        """The start that it is about: as the manager says, or that of the sender."""
        if not self.by_manager:
            return self._fields.get("_SYSTEMD_INVOCATION_ID", "")
        return next((self[field] for field in _INVOCATIONS if self[field]), "")

    def __getitem__(self, field: str) -> str:
        return self._fields.get(field, "") if self.by_manager else ""


def parse(output: str, manager: Mapping[str, str]) -> Iterator[JournalEntry]:
    """Entries from the output of `journalctl --output=json`. `manager`: the trusted fields of the
    manager's own entries.

    A line that is cut off, or is not an entry, is left out.
    """
    for line in output.split("\n"):  # not splitlines(): a message may contain other line ends
        try:
            found = json.loads(line)
        except ValueError:
            continue
        time = text_of(found.get(_TIME)) if isinstance(found, dict) else ""
        if _DIGITS.fullmatch(time):
            by_manager = all(text_of(found.get(field)) == value for field, value in manager.items())
            yield JournalEntry(int(time), by_manager, dict(_fields(found)))


def exits(entries: Iterable[JournalEntry]) -> tuple[Exit, ...]:
    """One for each run, oldest first. The manager first reports the end of the process, and then
    the result."""
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
        case ManagerMessage.PROCESS_EXIT if not run.code:  # of the main process; the exit of a failed gate may follow
            return replace(run, code=entry["EXIT_CODE"], status=entry["EXIT_STATUS"], command=entry["COMMAND"])
        case _:
            return run


def _fields(found: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield "MESSAGE", text_of(found.get("MESSAGE"))
    for field, form in _FORMS.items():
        text = text_of(found.get(field))
        if form.fullmatch(text):
            yield field, text


def text_of(value: object) -> str:
    """The value of a field. journalctl prints bytes that are not UTF-8 as a list of numbers, and
    null for a value that is too long.

    A field with several values is a list of them; then "" is returned, because nobody knows which
    one is meant.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(octet, int) and 0 <= octet <= 0xFF for octet in value):
        return bytes(value).decode("utf-8", "replace")
    return ""
