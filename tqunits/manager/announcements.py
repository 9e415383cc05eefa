"""Writes each change to the manager's own journal, with fields to search for.

    journalctl -u tq-manager TQUNITS_WORKER=api
    journalctl TQUNITS_EVENT=exited --since today

The journal's own protocol carries the fields: one datagram for each entry. Without a journal the
line goes to stderr.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tqunits.lifecycle.state import State
from tqunits.manager.record import Change
from tqunits.metrics.access_formats import counted

SOCKET: Final = Path("/run/systemd/journal/socket")

IDENTIFIER: Final = "tq-manager"

_WARNING, _NOTICE, _INFO = 4, 5, 6

_PRIORITIES: Final[Mapping[State, int]] = {State.UNHEALTHY: _WARNING, State.FAILED: _WARNING, State.HEALTHY: _NOTICE}


class Announcements:
    """Where the manager writes what it has to say."""

    def __init__(self, *, is_journal: bool) -> None:
        """`is_journal`: this process runs under systemd, and stderr is the journal."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if is_journal and SOCKET.exists() else None
        if self._socket is not None:
            self._socket.setblocking(False)

    def change(self, change: Change) -> None:
        """Write one change."""
        fields = {
            "TQUNITS_WORKER": change.whose.worker,
            "TQUNITS_INSTANCE": str(change.whose),
            "TQUNITS_EVENT": change.event.value,
            "TQUNITS_BEFORE": change.before.value,
            "TQUNITS_STATE": change.after.value,
            "TQUNITS_CAUSE": change.cause,
        }
        cause = f": {change.cause}" if change.cause else ""
        self.say(
            f"{change.whose} is {change.after}{cause}", priority=_PRIORITIES.get(change.after, _INFO), fields=fields
        )

    def say(self, text: str, *, priority: int = _WARNING, fields: Mapping[str, str] | None = None) -> None:
        """Write one line. A journal that takes nothing now costs us the line, and nobody's time."""
        if self._socket is None:
            print(" ".join(text.split()), file=sys.stderr, flush=True)
            return
        entry = {"MESSAGE": text, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": IDENTIFIER, **(fields or {})}
        try:
            self._socket.sendto(datagram(entry), str(SOCKET))
        except OSError:
            print(" ".join(text.split()), file=sys.stderr, flush=True)


def datagram(entry: Mapping[str, str]) -> bytes:
    """An entry in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    fields = ((f"\n{name}=".encode(), value.encode("utf-8", "surrogateescape")) for name, value in entry.items())
    lines = (name + value if b"\n" not in value else counted(name, value) for name, value in fields)
    return b"".join(lines)[1:] + b"\n"
