"""The journal of units, read by journalctl: pystemd can only write to it.

Fields: systemd.journal-fields(7). What the unit's processes say carries its invocation in
_SYSTEMD_INVOCATION_ID, what the service manager says about it in INVOCATION_ID (USER_INVOCATION_ID
for a user's own). What of an entry is believed, entries.py decides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tqunits.system import entries
from tqunits.system.entries import Exit, JournalEntry, ManagerMessage
from tqunits.system.process import run

_KEPT, _PASSING = Path("/var/log/journal"), Path("/run/log/journal")
_MACHINE = re.compile("[0-9a-f]{32}")
_TIMEOUT_S = 30.0  # a journal of many GiB on a slow disk; the index answers in milliseconds elsewhere
_SYNC_TIMEOUT_S = 5.0
_LINES_OF_A_START = 500  # more than anybody reads; a chatty worker's own, before the few that matter


_AROUND_US = 10_000_000  # the kernel and the manager do not note a death at the same moment
_EARLY_US = 50_000  # a process may be heard before the manager's "Starting": they do not share a socket

_AFTERWARDS = frozenset({"5eb03494b6584870a536b337290809b3", "9d1aaa27d60140bd96365438aad20286"})
"""The manager's messages "Scheduled restart job" and "Stopped": they carry the id of the start that
failed before."""

_FRAME = frozenset(
    {
        "7d4958e842da4a758f6c1cdc7b36dcc5",  # Starting ...
        "98e322203f7a4ed290d09fe03c09fe15",  # Main process exited, Control process exited
        "d9b373ed55a64feb8242e02dbe79a49c",  # Failed with result ...
        "be02cf6855d2428ba40df7e9d022f03d",  # Failed to start ...
    }
)
"""The manager's messages around each failed start: whoever is told the cause needs the lines for
the other words."""


_FIELDS = (
    "MESSAGE",
    "MESSAGE_ID",
    "INVOCATION_ID",
    "USER_INVOCATION_ID",
    "UNIT_RESULT",
    "EXIT_CODE",
    "EXIT_STATUS",
    "COMMAND",
    "_SYSTEMD_INVOCATION_ID",
    "_PID",
    "_UID",
    "_SYSTEMD_UNIT",
    "_SYSTEMD_USER_UNIT",
)
"""What is read of an entry, which may have a thousand more (journald's ENTRY_FIELD_COUNT_MAX)."""


def last_lines(unit: str, count: int, *, user_mode: bool, invocation: str = "") -> tuple[str, ...]:
    """The unit's last messages, oldest first: of one start (its invocation, 32 hex digits) where it
    is given.

    The last words of a process that has died at once are the very ones that matter, and journald
    often looks up its invocation too late: so messages without any count as well, where they lie
    between messages of that start. What the manager says of every failed start is left out: its
    cause is known from its properties.
    """
    sync()
    if not invocation:
        matches = _of_unit(unit, user_mode=user_mode)
        return tuple(entry.message for entry in _entries([f"--lines={count}", *matches], user_mode=user_mode))
    left_out = _AFTERWARDS | _FRAME
    found = _within(_span(unit, invocation, user_mode=user_mode), unit, invocation, user_mode=user_mode)
    return tuple([entry.message for entry in found if entry.message_id not in left_out][-count:])


def said(unit: str, invocation: str, *, user_mode: bool, verdict: str, runs: bool = False) -> tuple[str, ...]:
    """What the processes of one start have said, oldest first, and not the manager: the last 500
    lines, as above.

    `verdict`: how the message begins that matters most; it is there, however much a talkative
    process said after it. `runs`: it goes on, and the manager has not said its last of it.
    """
    sync()
    span = _span(unit, invocation, user_mode=user_mode)[: 1 if runs else None]
    found = _within(span, unit, invocation, user_mode=user_mode)
    messages = tuple(entry.message for entry in found if not entry.by_manager)
    if not messages or any(message.startswith(verdict) for message in messages):
        return messages
    sought = [f"--grep=^{re.escape(verdict)}", "--lines=1", *span, *_of_unit(unit, user_mode=user_mode)]
    return (*(entry.message for entry in _entries(sought, user_mode=user_mode)), *messages)


def kernel_killed(pid: int, time_us: int) -> str:
    """What the kernel said of killing that process for want of memory, around that moment (µs since
    1970); "" if none.

    It counts processes as the host's first PID namespace does.
    """
    span = [f"--since={_moment(time_us - _AROUND_US)}", f"--until={_moment(time_us + _AROUND_US)}"]
    sought = ["--dmesg", *span, "--lines=1", f"--grep=(Out of memory|out of memory: ).*Killed process {pid} "]
    found = list(_entries(sought, user_mode=False)) if pid > 0 and time_us > _AROUND_US else []
    return found[0].message if found else ""


def exits(unit: str, count: int, *, user_mode: bool) -> tuple[Exit, ...]:
    """How the unit's last runs ended, newest first, as the service manager has it: nobody else is
    asked."""
    kinds = [f"MESSAGE_ID={message}" for message in ManagerMessage]
    lines = f"--lines={count * len(kinds)}"  # each run leaves at most one message of each kind
    found = _entries([lines, *_by_manager(unit, user_mode=user_mode), *kinds], user_mode=user_mode)
    return tuple(reversed(entries.exits(found)))[:count]


def command(units: Iterable[str], *, user_mode: bool, options: Sequence[str], namespace: str = "") -> list[str]:
    """The journalctl command line that shows these units. `namespace` as journalctl(1) has it; a
    user's has none."""
    kind = "--user-unit" if user_mode else "--unit"
    whose = ["--user"] if user_mode else [f"--namespace={namespace}"] if namespace else []
    return ["journalctl", *whose, *options, *(f"{kind}={unit}" for unit in units)]


def sync() -> None:
    """Have journald write what it was sent before now. Only root may ask; others see what is
    there."""
    if os.geteuid() == 0:
        run(["journalctl", "--sync"], timeout_s=_SYNC_TIMEOUT_S)


def _entries(arguments: Sequence[str], *, user_mode: bool) -> Iterator[JournalEntry]:
    options = ["--quiet", "--no-pager", "--output=json", *(["--user"] if user_mode else [])]
    done = run(["journalctl", *options, f"--output-fields={','.join(_FIELDS)}", *arguments], timeout_s=_TIMEOUT_S)
    return entries.parse(done.stdout, _manager(user_mode=user_mode))


def _of_unit(unit: str, *, user_mode: bool) -> list[str]:
    return [f"--user-unit={unit}" if user_mode else f"--unit={unit}"]


def _within(span: Sequence[str], unit: str, invocation: str, *, user_mode: bool) -> list[JournalEntry]:
    """The entries of one start, which wrote in that span, oldest first."""
    wanted = [f"--lines={_LINES_OF_A_START}", *span, *_of_unit(unit, user_mode=user_mode)]
    found = _entries(wanted, user_mode=user_mode) if span else ()
    return [entry for entry in found if entry.invocation in {"", invocation}]


def _manager(*, user_mode: bool) -> Mapping[str, str]:
    """Trusted fields of what the service manager says, which nobody without its rights has."""
    if not user_mode:
        return {"_PID": "1"}
    uid = str(os.getuid())
    return {"_UID": uid, "_SYSTEMD_UNIT": f"user@{uid}.service", "_SYSTEMD_USER_UNIT": "init.scope"}


def _by_manager(unit: str, *, user_mode: bool) -> list[str]:
    """Matches for what the service manager says about a unit."""
    trusted = (f"{field}={value}" for field, value in _manager(user_mode=user_mode).items())
    return [*trusted, f"{'USER_UNIT' if user_mode else 'UNIT'}={unit}"]


def _span(unit: str, invocation: str, *, user_mode: bool) -> list[str]:
    """Options for the time in which this start wrote; none when nothing of it can be read.

    The manager's "Starting" and "Failed" are its first and last messages. The unit's own timestamps
    do not serve: a unit that waits for its automatic restart has moved them on already.
    """
    start = f"{'USER_INVOCATION_ID' if user_mode else 'INVOCATION_ID'}={invocation}"
    lines = f"--lines={_LINES_OF_A_START}"  # the manager writes about ten
    found = _entries([lines, start, *_by_manager(unit, user_mode=user_mode)], user_mode=user_mode)
    times = [entry.time_us for entry in found if entry.message_id not in _AFTERWARDS]
    return [f"--since={_moment(times[0] - _EARLY_US)}", f"--until={_moment(times[-1] + 1)}"] if times else []


def _moment(time_us: int) -> str:
    """A moment as journalctl reads it (systemd.time(7)), to the microsecond."""
    return f"@{time_us // 1_000_000}.{time_us % 1_000_000:06d}"


def folders_of(namespace: str) -> tuple[Path, ...]:
    """Where the journals of a namespace lie, of whatever machine id (systemd-journald.service(8),
    FILES)."""
    found = (folder for above in (_KEPT, _PASSING) for folder in above.glob(f"*.{namespace}"))
    return tuple(sorted(folder for folder in found if _MACHINE.fullmatch(folder.stem)))
