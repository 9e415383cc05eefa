"""The journal of units, read by journalctl: pystemd can only write to it.

Fields: systemd.journal-fields(7). What the unit's processes say carries its invocation in _SYSTEMD_INVOCATION_ID, what
the service manager says about it in INVOCATION_ID (USER_INVOCATION_ID for a user's own). The manager marks how a unit
ended with the message ids below (sd-messages.h), which do not depend on anybody's language.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tqunits.system.process import run

_TIMEOUT_S = 30.0  # a journal of many GiB on a slow disk; the index answers in milliseconds elsewhere
_SYNC_TIMEOUT_S = 5.0
_LINES_OF_A_START = 500  # more than anybody reads; a chatty worker's own, before the few that matter


_EARLY_US = 50_000  # a process may be heard before the manager's "Starting": they do not share a socket

_AFTERWARDS = frozenset({"5eb03494b6584870a536b337290809b3", "9d1aaa27d60140bd96365438aad20286"})
"""The manager's messages "Scheduled restart job" and "Stopped": they carry the id of the start that failed before."""

_FRAME = frozenset(
    {
        "7d4958e842da4a758f6c1cdc7b36dcc5",  # Starting ...
        "98e322203f7a4ed290d09fe03c09fe15",  # Main process exited, Control process exited
        "d9b373ed55a64feb8242e02dbe79a49c",  # Failed with result ...
        "be02cf6855d2428ba40df7e9d022f03d",  # Failed to start ...
    }
)
"""The manager's messages around each failed start: whoever is told the cause needs the lines for the other words."""


class _Message(StrEnum):
    """The manager's messages about the end of a unit."""

    PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
    FAILURE = "d9b373ed55a64feb8242e02dbe79a49c"
    SUCCESS = "7ad2d189f7e94e70a38c781354912448"
    OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How one run of a unit ended. `code` is systemd's word: exited, killed, dumped, or "" when it does not tell."""

    time_us: int  # since 1970
    invocation: str
    result: str  # success, exit-code, signal, oom-kill, timeout, ...
    code: str
    status: str  # exit status or signal number, as digits
    command: str  # whose end that was: ExecStart (the worker), ExecStartPost (its readiness gate), or ""


def last_lines(unit: str, count: int, *, user_mode: bool, invocation: str = "", verdict: str = "") -> tuple[str, ...]:
    """The unit's last messages, oldest first: of one start (its invocation, 32 hex digits) where it is given.

    The last words of a process that has died at once are the very ones that matter, and journald often looks up its
    invocation too late: so messages without any count as well, where they lie between messages of that start.
    What the manager says of every failed start is left out: its cause is known from its properties.
    `verdict`: how the message begins that matters most; it is there, however much a talkative process said after it.
    """
    sync()
    matches = [f"--user-unit={unit}" if user_mode else f"--unit={unit}"]
    if not invocation:
        entries = list(_entries([f"--lines={count}", *matches], user_mode=user_mode))
        return tuple(_text(entry.get("MESSAGE")) for entry in entries)
    span = _span(unit, invocation, user_mode=user_mode)
    found = _entries([f"--lines={_LINES_OF_A_START}", *span, *matches], user_mode=user_mode) if span else ()
    left_out = _AFTERWARDS | _FRAME
    own = (e for e in found if _invocation(e) in {"", invocation} and e.get("MESSAGE_ID") not in left_out)
    messages = tuple([_text(entry.get("MESSAGE")) for entry in own][-count:])
    if not verdict or any(message.startswith(verdict) for message in messages):
        return messages
    sought = [f"--grep=^{re.escape(verdict)}", "--lines=1", *span, *matches]
    said = tuple(_text(entry.get("MESSAGE")) for entry in _entries(sought, user_mode=user_mode)) if span else ()
    return (*said, *messages[len(said) :])


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


def _span(unit: str, invocation: str, *, user_mode: bool) -> list[str]:
    """Options for the time in which this start wrote; none when nothing of it can be read.

    The manager's "Starting" and "Failed" are its first and last messages. The unit's own timestamps do not serve: a
    unit that waits for its automatic restart has moved them on already.
    """
    field = "USER_INVOCATION_ID" if user_mode else "INVOCATION_ID"
    by_manager = [f"{field}={invocation}", f"{'USER_UNIT' if user_mode else 'UNIT'}={unit}"]
    lines = f"--lines={_LINES_OF_A_START}"  # the manager writes about ten
    entries = _entries([lines, *by_manager], user_mode=user_mode)
    times = [int(_text(e["__REALTIME_TIMESTAMP"])) for e in entries if e.get("MESSAGE_ID") not in _AFTERWARDS]
    return [f"--since={_moment(times[0] - _EARLY_US)}", f"--until={_moment(times[-1] + 1)}"] if times else []


def _moment(time_us: int) -> str:
    """A moment as journalctl reads it (systemd.time(7)), to the microsecond."""
    return f"@{time_us // 1_000_000}.{time_us % 1_000_000:06d}"


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
        known = runs.get(invocation) or Exit(
            time_us=0, invocation=invocation, result="", code="", status="", command=""
        )
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
            code, status, command = (_text(entry.get(f)) for f in ("EXIT_CODE", "EXIT_STATUS", "COMMAND"))
            return replace(run, code=code, status=status, command=command)
        case _:
            return run


def _text(value: object) -> str:
    """A field's value: journalctl gives bytes that are not UTF-8 as a list of numbers, and null what is too long."""
    if isinstance(value, list):
        return bytes(octet for octet in value if isinstance(octet, int)).decode("utf-8", "replace")
    return str(value) if value is not None else ""
