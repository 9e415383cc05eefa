"""Lines that journalctl writes (--output=json), as an answer of the manager has them: within
bounds, without I/O.

A worker decides what its lines say and how many there are. So an answer has at most so many lines
and bytes, and a line that is longer than journald's own limit for one (LineMax= of
journald.conf(5), 48 KiB) can be, with each byte written as \\u00XX, is left out.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from tqunits.control.protocol import Body
from tqunits.system.entries import text_of

MAX_BYTES: Final = 512 * 1024
"""Of all lines in one answer, as journalctl writes them: 500 lines have some 350 KiB."""

FIELDS: Final = ("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "_SYSTEMD_UNIT", "UNIT")
"""What journalctl is asked for, besides the time and the place, which it always tells."""

_LONGEST: Final = 384 * 1024


class LogBuffer:
    """The whole lines of an output that comes in pieces."""

    def __init__(self) -> None:
        self.lines: deque[bytes] = deque()
        self.is_cut = False  # some were left out
        self._size = 0
        self._rest = b""  # the beginning of the next line
        self._is_skipping = False  # until the end of a line that is too long

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._take(line)
        if len(self._rest) > _LONGEST:
            self._rest, self._is_skipping, self.is_cut = b"", True, True

    def is_full(self, lines: int) -> bool:
        """Whether an answer has no room for more."""
        return len(self.lines) >= lines or self._size >= MAX_BYTES

    def keep_last(self, lines: int) -> None:
        """Leave out the oldest ones, where there are more than an answer has room for."""
        while len(self.lines) > 1 and (len(self.lines) > lines or self._size > MAX_BYTES):
            self._size -= len(self.lines.popleft())
            self.is_cut = True

    def keep_first(self, lines: int) -> None:
        """Leave out the newest ones instead: the next question gets them."""
        while len(self.lines) > lines:
            self._size -= len(self.lines.pop())

    def _take(self, line: bytes) -> None:
        if self._is_skipping:
            self._is_skipping = False
        elif line:
            self.lines.append(line)
            self._size += len(line)


def answer(lines: Iterable[bytes], *, place: str, is_cut: bool) -> Body:
    """The JSON object. `place`: where the next lines begin, if there is none among these."""
    found = [entry for line in lines if (entry := _entry(line))]
    cursor = next((str(entry["__CURSOR"]) for entry in reversed(found)), place)
    return {"lines": [_line(entry) for entry in found], "cursor": cursor, "cut": is_cut}


def _entry(line: bytes) -> Mapping[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("__CURSOR"), str) else None


def _line(entry: Mapping[str, object]) -> Body:
    text = {field: text_of(entry.get(field)) for field in (*FIELDS, "__REALTIME_TIMESTAMP")}
    return {
        "at_us": _number(text["__REALTIME_TIMESTAMP"]),
        "unit": text["UNIT"] or text["_SYSTEMD_UNIT"] or None,
        "identifier": text["SYSLOG_IDENTIFIER"] or text["_COMM"] or None,
        "pid": _number(text["_PID"]),
        "priority": _number(text["PRIORITY"]),
        "message": text["MESSAGE"],
    }


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
