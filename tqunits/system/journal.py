"""The journal of units, read by journalctl: pystemd can only write to it.

Fields: systemd.journal-fields(7). What the unit's processes say carries its invocation in _SYSTEMD_INVOCATION_ID, what
the service manager says about it in INVOCATION_ID (USER_INVOCATION_ID for a user's own). The manager marks how a unit
ended with the message ids below (sd-messages.h), which do not depend on anybody's language.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tqunits.system.process import run

_TIMEOUT_S = 30.0  # a journal of many GiB on a slow disk; the index answers in milliseconds elsewhere
_SYNC_TIMEOUT_S = 5.0
_LINES_OF_A_START = 500  # a crash loop's next starts write too, before we look: enough to see past them


class _Message(StrEnum):
    """The manager's messages about the end of a unit."""

    PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
    FAILURE = "d9b373ed55a64feb8242e02dbe79a49c"
    SUCCESS = "7ad2d189f7e94e70a38c781354912448"
    OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of a unit: its id (32 hex digits) and its moment, in microseconds since 1970."""

    invocation: str
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How one run of a unit ended. `code` is systemd's word: exited, killed, dumped, or "" when it does not tell."""

    time_us: int  # since 1970
    invocation: str
    result: str  # success, exit-code, signal, oom-kill, timeout, ...
    code: str
    status: str  # exit status or signal number, as digits


def last_lines(unit: str, count: int, *, user_mode: bool, start: Start | None = None) -> tuple[str, ...]:
    """The unit's last messages, oldest first: of one start where `start` is given, else of all.

    The last words of a process that has died at once are the very ones that matter, and journald often looks up its
    invocation too late: so messages without any count as well, from the moment of the start on.
    """
    sync()
    matches = [f"--user-unit={unit}" if user_mode else f"--unit={unit}"]
    if start is None:
        entries = list(_entries([f"--lines={count}", *matches], user_mode=user_mode))
    else:
        since = f"--since=@{start.time_us // 1_000_000}.{start.time_us % 1_000_000:06d}"
        found = _entries([f"--lines={_LINES_OF_A_START}", since, *matches], user_mode=user_mode)
        entries = [entry for entry in found if _invocation(entry) in {"", start.invocation}][-count:]
    return tuple(_text(entry.get("MESSAGE")) for entry in entries)


def exits(unit: str, count: int, *, user_mode: bool) -> tuple[Exit, ...]:
    """How the unit's last runs ended, newest first."""
    field = "USER_UNIT" if user_mode else "UNIT"
    matches = [argument for message in _Message for argument in ("+", f"MESSAGE_ID={message}", f"{field}={unit}")]
    lines = f"--lines={count * len(_Message)}"  # each run leaves at most one message of each kind
    entries = _entries([lines, *matches[1:]], user_mode=user_mode)
    return tuple(reversed(_merged(entries)))[:count]


def command(units: Iterable[str], *, user_mode: bool, options: Sequence[str]) -> list[str]:
    """The journalctl command line that shows these units."""
    kind = "--user-unit" if user_mode else "--unit"
    return ["journalctl", *(["--user"] if user_mode else []), *options, *(f"{kind}={unit}" for unit in units)]


def sync() -> None:
    """Have journald write what it was sent before now. Only root may ask; others see what is there."""
    if os.geteuid() == 0:
        run(["journalctl", "--sync"], timeout_s=_SYNC_TIMEOUT_S)


def _entries(arguments: Sequence[str], *, user_mode: bool) -> Iterator[Mapping[str, object]]:
    options = ["--quiet", "--no-pager", "--output=json", *(["--user"] if user_mode else [])]
    done = run(["journalctl", *options, *arguments], timeout_s=_TIMEOUT_S)
    return (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))


def _invocation(entry: Mapping[str, object]) -> str:
    """Which start an entry is about: what a process says, and what the manager says of it, in that order."""
    fields = ("_SYSTEMD_INVOCATION_ID", "INVOCATION_ID", "USER_INVOCATION_ID")
    managers = "INVOCATION_ID" in entry or "USER_INVOCATION_ID" in entry
    return next((_text(entry[f]) for f in (fields[1:] if managers else fields) if f in entry), "")


def _merged(entries: Iterable[Mapping[str, object]]) -> list[Exit]:
    """One Exit for each run: the manager says how its process ended, and then what that means."""
    runs: dict[str, Exit] = {}
    for entry in entries:
        invocation = _text(entry.get("INVOCATION_ID") or entry.get("USER_INVOCATION_ID"))
        known = runs.get(invocation) or Exit(time_us=0, invocation=invocation, result="", code="", status="")
        runs[invocation] = _with(replace(known, time_us=int(_text(entry["__REALTIME_TIMESTAMP"]))), entry)
    return [run for run in runs.values() if run.result]


def _with(run: Exit, entry: Mapping[str, object]) -> Exit:
    match entry.get("MESSAGE_ID"):
        case _Message.FAILURE:
            return replace(run, result=_text(entry.get("UNIT_RESULT")))
        case _Message.SUCCESS:
            return replace(run, result=run.result or "success")
        case _Message.OUT_OF_MEMORY:
            return replace(run, result="oom-kill")
        case _Message.PROCESS_EXIT if not run.code:  # the main process; a failed gate's exit may come after it
            return replace(run, code=_text(entry.get("EXIT_CODE")), status=_text(entry.get("EXIT_STATUS")))
        case _:
            return run


def _text(value: object) -> str:
    """A field's value: journalctl gives bytes that are not UTF-8 as a list of numbers, and null what is too long."""
    if isinstance(value, list):
        return bytes(octet for octet in value if isinstance(octet, int)).decode("utf-8", "replace")
    return str(value) if value is not None else ""
