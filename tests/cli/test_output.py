"""Output of the command line contains no control sequences for a terminal, whatever its origin."""

from __future__ import annotations

import io
import json
import os
import pty

import pytest

from tqunits.cli.output import Output

HOSTILE = "a\x1b[31mb\x07\x7f\x9b2J\u2028\udcffé\U000e0001"


def test_a_document_has_no_control_in_it_and_says_the_same() -> None:
    stream = io.StringIO()
    Output(stream, io.StringIO()).json("show", 1, text=HOSTILE, umlaut="ä")
    text = stream.getvalue()
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(text)["text"] == HOSTILE
    assert "ä" in text


def test_text_of_its_own_format_is_itself_in_a_pipe() -> None:
    stream = io.StringIO()
    Output(stream, io.StringIO()).raw("+\tA=\x1b[2J\n")
    assert stream.getvalue() == "+\tA=\x1b[2J\n"


@pytest.mark.parametrize(("text", "shown"), [("+\tA=\x1b[2J\n", "+\tA=\\x1b[2J\n"), ("\x9b2J\r\n", "\\x9b2J\\r\n")])
def test_on_a_terminal_it_is_made_printable(text: str, shown: str) -> None:
    reading, writing = pty.openpty()
    with os.fdopen(writing, "w", encoding="utf-8") as terminal, os.fdopen(reading, "rb") as screen:
        Output(terminal, terminal).raw(text)
        terminal.flush()
        assert screen.read1().decode().replace("\r\n", "\n") == shown


def test_a_document_of_many_is_one_line() -> None:
    stream = io.StringIO()
    output = Output(stream, io.StringIO())
    output.owes_document = True
    output.json_line("ls", 1, text=HOSTILE)
    line, end, rest = stream.getvalue().partition("\n")
    assert (end, rest, output.owes_document) == ("\n", "", False)
    assert line.isprintable()
    assert json.loads(line) == {"schema": "tqunits.ls", "version": 1, "text": HOSTILE}


def test_whether_somebody_reads() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        output = Output(stream, stream)
        assert not output.is_unread
        os.close(reading)
        assert output.is_unread
