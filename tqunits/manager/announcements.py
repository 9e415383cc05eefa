"""Writes each change and each request of an operator to the manager's own journal, with fields to
search for.

    journalctl -u tq-manager TQUNITS_WORKER=api
    journalctl TQUNITS_EVENT=exited --since today
    journalctl TQUNITS_EVENT=asked TQUNITS_ACTOR=1000/alice

The journal's own protocol carries the fields: one datagram for each entry. Without a journal the
line goes to stderr.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from tqunits.lifecycle.state import State
from tqunits.manager.record import Change
from tqunits.printable import printable

SOCKET: Final = Path("/run/systemd/journal/socket")

IDENTIFIER: Final = "tq-manager"

_WARNING, _NOTICE, _INFO = 4, 5, 6

_PRIORITIES: Final[Mapping[State, int]] = {State.UNHEALTHY: _WARNING, State.FAILED: _WARNING, State.HEALTHY: _NOTICE}


class Announcements:
    """Where the manager writes what it has to say."""

    def __init__(self, journal: Path | None) -> None:
        """`journal`: the socket of the journal; None: stderr is not the journal, and gets the
        lines."""
        self._journal = str(journal)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if journal is not None else None
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
            "TQUNITS_CAUSE": printable(change.cause),
        }
        cause = f": {change.cause}" if change.cause else ""
        who = f"{change.whose} (surge)" if change.is_surge else str(change.whose)
        self.say(f"{who} is {change.after}{cause}", priority=_PRIORITIES.get(change.after, _INFO), fields=fields)

    def asked(self, actor: str, path: str, meant: str, workers: Collection[str]) -> None:
        """Write a request of an operator. `actor`: his uid and name. `meant`: the worker or the
        instances that it names; "" when it names none."""
        fields = {
            "TQUNITS_EVENT": "asked",
            "TQUNITS_ACTOR": printable(actor),
            "TQUNITS_REQUEST": path,
            **({"TQUNITS_WORKER": next(iter(workers))} if len(workers) == 1 else {}),
        }
        self.say(f"{actor} asks for {path}{f' of {meant}' if meant else ''}", priority=_INFO, fields=fields)

    def say(self, text: str, *, priority: int = _WARNING, fields: Mapping[str, str] | None = None) -> None:
        """Write one line. A journal that takes nothing now costs us the line, and nobody's time."""
        if self._socket is None:
            print(printable(text), file=sys.stderr, flush=True)
            return
        entry = {
            "MESSAGE": printable(text),
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": IDENTIFIER,
            **(fields or {}),
        }
        try:
            self._socket.sendto(datagram(entry), self._journal)
        except OSError:
            print(printable(text), file=sys.stderr, flush=True)


def datagram(entry: Mapping[str, str]) -> bytes:
    """An entry in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), of
    values without a line end."""
    return "".join(f"{name}={value}\n" for name, value in entry.items()).encode()
