"""What a terminal gets of a text that stays in its place: it is cut to size, and all styles end."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
from fcntl import ioctl
from termios import TIOCSWINSZ

import pytest

from tqunits.cli import screen
from tqunits.cli.output import Output
from tqunits.cli.screen import Canvas, RedrawSignals

RED = "\x1b[31m"
PLAIN = "\x1b[0m"
WIDE = "\u6f22\u5b57"  # two characters of two columns each
ACCENT = "e\u0301"  # one column


@pytest.mark.parametrize(
    ("line", "width", "expected"),
    [
        ("", 5, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        (f"{RED}abcd{PLAIN}ef", 3, f"{RED}abc{PLAIN}"),
        (f"ab{RED}cd{PLAIN}", 4, f"ab{RED}cd{PLAIN}"),
        (WIDE, 4, WIDE),
        (f"{WIDE}a", 3, WIDE[0]),
        (f"{ACCENT}{ACCENT}x", 2, f"{ACCENT}{ACCENT}"),
        ("abc", 0, ""),
        ("abc", -1, ""),
    ],
)
def test_a_line_is_cut(line: str, width: int, expected: str) -> None:
    assert screen.clipped(line, width) == expected


@pytest.mark.parametrize(
    ("lines", "height", "expected"),
    [
        ([], 3, []),
        (["a", "b"], 3, ["a", "b"]),
        (["a", "b", "c"], 3, ["a", "b", "c"]),
        (["a", "b", "c", "d"], 3, ["a", "b", "... and 2 more lines"]),
        (["a", "b"], 1, ["... and 2 more lines"]),
    ],
)
def test_a_text_is_cut(lines: list[str], height: int, expected: list[str]) -> None:
    drawn = screen.drawing("".join(f"{line}\n" for line in lines), os.terminal_size((40, height)))
    assert drawn.startswith("\x1b[H")
    assert drawn.endswith("\x1b[J")
    assert drawn[3:-3].replace("\x1b[K", "").splitlines() == expected
    assert drawn.count("\n") < height, "it would scroll"


def test_a_drawing_has_no_other_control() -> None:
    canvas = Canvas()
    output = Output(canvas, canvas)
    output.table(("NAME",), [["a\x1b[2Jb\x07"]])
    output.message("c\rd\ne")
    drawn = screen.drawing(canvas.getvalue(), os.terminal_size((80, 24)))
    assert "\x1b[2J" not in drawn
    assert not {"\x07", "\r"} & set(drawn)


@pytest.mark.parametrize(("told", "expected"), [((7, 3), (7, 3)), ((0, 0), (80, 24)), ((9, 0), (9, 24))])
def test_a_size_that_is_not_told_is_the_usual_one(told: tuple[int, int], expected: tuple[int, int]) -> None:
    reading, writing = pty.openpty()
    columns, lines = told
    ioctl(writing, TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    assert tuple(screen.size_of(writing)) == expected
    os.close(reading)
    os.close(writing)


def test_another_size_wakes_and_is_forgotten() -> None:
    before = signal.getsignal(signal.SIGWINCH)
    with RedrawSignals() as signals:
        signals.clear()
        signal.raise_signal(signal.SIGWINCH)
        assert select.select([signals], [], [], 5)[0]
        signals.clear()
        assert not select.select([signals], [], [], 0)[0]
    assert signal.getsignal(signal.SIGWINCH) is before
