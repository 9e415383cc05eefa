"""The journal of units, read by journalctl: pystemd can only write to it.

Fields: systemd.journal-fields(7). Messages of a unit's processes have its invocation in
_SYSTEMD_INVOCATION_ID, messages of the service manager about it in INVOCATION_ID
(USER_INVOCATION_ID for a user's manager). entries.py decides what is believed of an entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tqunits.late_pattern import late_pattern
from tqunits.system import entries
from tqunits.system.entries import Exit, JournalEntry, ManagerMessage
from tqunits.system.process import run

_KEPT, _PASSING = Path("/var/log/journal"), Path("/run/log/journal")
_MACHINE = late_pattern("[0-9a-f]{32}")
TIMEOUT_S = 30.0
"""For a journal of many GiB on a slow disk; usually the index answers in milliseconds."""

_SYNC_TIMEOUT_S = 5.0
_LINES_OF_A_START = 500  # more than anybody reads; a chatty worker's own, before the few that matter


_AROUND_US = 10_000_000  # the kernel and the manager do not report a death at the same moment
_APART_US = 200_000
"""A message of a process may come before the manager's "Starting", and after its "Failed": they use
two sockets, of which a busy host's journald reads one 0.1 s later (seen)."""

_AFTERWARDS = frozenset({"5eb03494b6584870a536b337290809b3", "9d1aaa27d60140bd96365438aad20286"})
"""The manager's messages "Scheduled restart job" and "Stopped", which carry the ID of the start
that failed before."""

_FRAME = frozenset(
    {
        "7d4958e842da4a758f6c1cdc7b36dcc5",  # Starting ...
        "98e322203f7a4ed290d09fe03c09fe15",  # Main process exited, Control process exited
        "d9b373ed55a64feb8242e02dbe79a49c",  # Failed with result ...
        "be02cf6855d2428ba40df7e9d022f03d",  # Failed to start ...
    }
)
"""The manager's messages around each failed start. They are left out where the cause is told, to
leave the lines to other messages."""


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
"""The fields that are read of an entry, which may have a thousand (journald's
ENTRY_FIELD_COUNT_MAX)."""


def last_lines(unit: str, count: int, *, user_mode: bool, invocation: str = "") -> tuple[str, ...]:
    """The unit's last messages, oldest first; with `invocation` (32 hex digits) those of one start.

    The manager's messages about every failed start are left out: the cause is known from the unit's
    properties.
    """
    sync()
    if not invocation:
        matches = _of_unit(unit, user_mode=user_mode)
        return tuple(entry.message for entry in _entries([f"--lines={count}", *matches], user_mode=user_mode))
    left_out = _AFTERWARDS | _FRAME
    found = _of_start(unit, invocation, user_mode=user_mode)
    return tuple([entry.message for entry in found if entry.message_id not in left_out][-count:])


def said(unit: str, invocation: str, *, user_mode: bool, verdict: str, runs: bool = False) -> tuple[str, ...]:
    """The last 500 messages of the processes of one start, oldest first, as above, without the
    manager's.

    `verdict`: the beginning of the most important message, which is found however many messages
    came after it. `runs`: the unit still runs, so the manager's last message has not come yet.
    """
    sync()
    found = _of_start(unit, invocation, user_mode=user_mode, runs=runs)
    messages = tuple(entry.message for entry in found if not entry.by_manager)
    if not messages or any(message.startswith(verdict) for message in messages):
        return messages
    sought = _of_start(unit, invocation, f"--grep=^{re.escape(verdict)}", user_mode=user_mode, runs=runs)
    return (*(entry.message for entry in sought[-1:]), *messages)


def kernel_killed(pid: int, time_us: int) -> str:
    """The kernel's message about killing that process for lack of memory, around that moment (µs
    since 1970); "" when there is none.

    The PID is that in the host's first PID namespace.
    """
    span = [f"--since={moment(time_us - _AROUND_US)}", f"--until={moment(time_us + _AROUND_US)}"]
    sought = ["--dmesg", *span, "--lines=1", f"--grep=(Out of memory|out of memory: ).*Killed process {pid} "]
    found = list(_entries(sought, user_mode=False)) if pid > 0 and time_us > _AROUND_US else []
    return found[0].message if found else ""


def exits(unit: str, count: int, *, user_mode: bool) -> tuple[Exit, ...]:
    """How the unit's last runs ended, newest first, by the service manager's messages only."""
    sync()
    kinds = [f"MESSAGE_ID={message}" for message in ManagerMessage]
    lines = f"--lines={count * len(kinds)}"  # each run leaves at most one message of each kind
    found = _entries([lines, *_by_manager(unit, user_mode=user_mode), *kinds], user_mode=user_mode)
    return tuple(reversed(entries.exits(found)))[:count]


def command(units: Iterable[str], *, user_mode: bool, options: Sequence[str], namespace: str = "") -> list[str]:
    """The journalctl command line that shows these units. `namespace` as in journalctl(1); a user's
    journal has none."""
    kind = "--user-unit" if user_mode else "--unit"
    whose = ["--user"] if user_mode else [f"--namespace={namespace}"] if namespace else []
    return ["journalctl", *whose, *options, *(f"{kind}={unit}" for unit in units)]


def is_readable() -> bool:
    """Whether the caller may read the system's journal. journalctl(1) leaves out what it may not
    read, and says nothing of it in its exit status."""
    found = (path for above in (_KEPT, _PASSING) for path in above.glob("*/system.journal"))
    return any(os.access(path, os.R_OK) for path in found)


def moment(time_us: int) -> str:
    """A moment as journalctl reads it (systemd.time(7)), to the microsecond."""
    return f"@{time_us // 1_000_000}.{time_us % 1_000_000:06d}"


def sync() -> None:
    """Have journald write all messages that it has received. Only root may ask; other users see
    what is written."""
    if os.geteuid() == 0:
        run(["journalctl", "--sync"], timeout_s=_SYNC_TIMEOUT_S)


def _entries(arguments: Sequence[str], *, user_mode: bool) -> Iterator[JournalEntry]:
    options = ["--quiet", "--no-pager", "--output=json", *(["--user"] if user_mode else [])]
    done = run(["journalctl", *options, f"--output-fields={','.join(_FIELDS)}", *arguments], timeout_s=TIMEOUT_S)
    return entries.parse(done.stdout, _manager(user_mode=user_mode))


def _of_unit(unit: str, *, user_mode: bool) -> list[str]:
    return [f"--user-unit={unit}" if user_mode else f"--unit={unit}"]


def _of_start(unit: str, invocation: str, *options: str, user_mode: bool, runs: bool = False) -> list[JournalEntry]:
    """The last entries of one start, oldest first.

    The last messages of a process that has died at once matter most, and then journald looks up
    their invocation too late. So messages without one also count, if they lie between the manager's
    messages about that start. They are read apart: beside a start there may be any number of
    messages of another.
    """
    newest = ["--reverse", f"--lines={_LINES_OF_A_START}", *options, *_of_unit(unit, user_mode=user_mode)]
    by_id = [f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"{_invocation_field(user_mode=user_mode)}={invocation}"]
    known = (entry for entry in _entries([*newest, *by_id], user_mode=user_mode) if entry.invocation == invocation)
    span = _span(unit, invocation, user_mode=user_mode, runs=runs)
    beside = _entries([*newest, *span], user_mode=user_mode) if span else ()
    found = [*known, *(entry for entry in beside if not entry.invocation)]
    found.reverse()  # entries of the same moment are in the order in which they were written
    found.sort(key=lambda entry: entry.time_us)
    return found[-_LINES_OF_A_START:]


def _manager(*, user_mode: bool) -> Mapping[str, str]:
    """Trusted fields of the service manager's messages, which no sender without its rights can
    have."""
    if not user_mode:
        return {"_PID": "1"}
    uid = str(os.getuid())
    return {"_UID": uid, "_SYSTEMD_UNIT": f"user@{uid}.service", "_SYSTEMD_USER_UNIT": "init.scope"}


def _by_manager(unit: str, *, user_mode: bool) -> list[str]:
    """Matches for what the service manager says about a unit."""
    trusted = (f"{field}={value}" for field, value in _manager(user_mode=user_mode).items())
    return [*trusted, f"{'USER_UNIT' if user_mode else 'UNIT'}={unit}"]


def _invocation_field(*, user_mode: bool) -> str:
    """Of the manager's messages."""
    return "USER_INVOCATION_ID" if user_mode else "INVOCATION_ID"


def _span(unit: str, invocation: str, *, user_mode: bool, runs: bool) -> list[str]:
    """Options for the time span of this start; empty when none of its messages can be read.

    The manager's "Starting" and "Failed" are its first and last messages. The unit's own timestamps
    do not help: an automatic restart has already changed them.
    """
    start = f"{_invocation_field(user_mode=user_mode)}={invocation}"
    lines = f"--lines={_LINES_OF_A_START}"  # the manager writes about ten messages
    found = _entries([lines, start, *_by_manager(unit, user_mode=user_mode)], user_mode=user_mode)
    times = [entry.time_us for entry in found if entry.message_id not in _AFTERWARDS]
    if not times:
        return []
    until = () if runs else (f"--until={moment(times[-1] + _APART_US)}",)
    return [f"--since={moment(times[0] - _APART_US)}", *until]


def folders_of(namespace: str) -> tuple[Path, ...]:
    """The folders of a namespace's journals, for any machine ID (systemd-journald.service(8),
    FILES)."""
    found = (folder for above in (_KEPT, _PASSING) for folder in above.glob(f"*.{namespace}"))
    return tuple(sorted(folder for folder in found if _MACHINE.fullmatch(folder.stem)))
