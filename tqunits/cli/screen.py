"""A text that stays in its place on a terminal: each drawing begins at the top left corner and
replaces the one before.

The text is cut to the terminal's width and height, so that it never scrolls. It may contain styles
(SGR) and characters that a terminal shows; cli/output.py makes all others visible. The last column
stays empty: after a character in it, terminals differ in what the next clearing clears.
"""

from __future__ import annotations

import io
import os
import signal
import unicodedata
from typing import Final

from tqunits.late_pattern import late_pattern

USUAL: Final = os.terminal_size((80, 24))
"""For a terminal that does not tell its size."""

_STYLE: Final = late_pattern(r"(\x1b\[[0-9;]*m)")
_HOME, _CLEAR_LINE, _CLEAR_BELOW, _PLAIN = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[0m"

END: Final = f"{_PLAIN}\n"
"""What leaves the terminal as it was: no style, and an own line for what comes next."""

_REDRAW: Final = (signal.SIGWINCH, signal.SIGCONT)
_SIGNALS: Final = 4096  # read at once


class Canvas(io.StringIO):
    """A stream for the text of one drawing; it takes styles as the terminal does."""

    def isatty(self) -> bool:
        return True


class RedrawSignals:
    """The signals after which a terminal needs another drawing, on a descriptor: its size has
    changed, or the process was stopped and goes on. Use it in a `with`, in the main thread."""

    def __enter__(self) -> RedrawSignals:
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, _ignored) for number in _REDRAW}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before)
        os.close(self._reading)
        os.close(self._writing)

    def fileno(self) -> int:
        """Readable after such a signal."""
        return self._reading

    def clear(self) -> None:
        """Forget those that have come."""
        try:
            os.read(self._reading, _SIGNALS)
        except BlockingIOError:
            return


def size_of(descriptor: int) -> os.terminal_size:
    """Columns and lines of the terminal."""
    try:
        found = os.get_terminal_size(descriptor)
    except OSError:
        return USUAL
    return os.terminal_size((found.columns or USUAL.columns, found.lines or USUAL.lines))


def drawing(text: str, size: os.terminal_size) -> str:
    """What draws the text on a terminal of this size, in the place of everything else."""
    lines = text.splitlines()
    if len(lines) > size.lines:
        lines = [*lines[: size.lines - 1], f"... and {len(lines) - size.lines + 1} more lines"]
    width = size.columns - 1
    return _HOME + f"{_CLEAR_LINE}\n".join(clipped(line, width) for line in lines) + _CLEAR_BELOW


def clipped(line: str, width: int) -> str:
    """The first columns of a line, with all its styles: those behind the cut end those before."""
    return "".join(_clipped(line, width))


def _clipped(line: str, width: int) -> list[str]:
    kept: list[str] = []
    for part in _STYLE.split(line):
        if part.startswith("\x1b"):
            kept.append(part)
            continue
        for character in part:
            width -= _columns(character)
            if width < 0:
                break
            kept.append(character)
    return kept


def _columns(character: str) -> int:
    """How many columns a terminal gives it."""
    if character.isascii():
        return 1
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _ignored(number: int, frame: object) -> None:
    """The descriptor tells of the signal."""
