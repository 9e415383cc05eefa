"""The output of the command line: data on stdout, messages on stderr, colour on a terminal only.

Nothing a worker, a YAML or the journal says reaches a terminal raw: control characters are shown as
escapes, so that no text can move the cursor or recolour the operator's screen.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from tqunits.errors import ConfigurationError, Diagnostic, Severity, TqunitsError
from tqunits.light_dataclass import dataclass
from tqunits.printable import printable

UNREAD = 128 + signal.SIGPIPE
"""The exit status of a verb that ends because nobody reads its data: a shell gives the same for a
program that SIGPIPE has ended."""

_SGR = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
_SEVERITY_STYLE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: its text, and the style it takes on a terminal (a key of _SGR, or
    "")."""

    text: str
    style: str = ""


class Output:
    """The two streams of one invocation."""

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self.owes_document = False  # --json was given, and no document was printed yet
        self._stdout = stdout
        self._stderr = stderr
        self._colour = {id(s): _is_colourful(s) for s in (stdout, stderr)}

    @property
    def interactive(self) -> bool:
        """Whether stderr is a terminal: only then progress is written."""
        return self._stderr.isatty()

    @property
    def descriptor(self) -> int:
        """Of the data's stream."""
        return self._stdout.fileno()

    @property
    def is_screen(self) -> bool:
        """Whether data goes to a terminal on which it can be drawn anew in its place."""
        return self._stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def draw(self, text: str) -> None:
        """Text for a terminal, with the sequences that move its cursor: screen.py makes it."""
        self._stdout.write(text)

    @property
    def is_unread(self) -> bool:
        """Whether nobody will read the data any more: the reader of the pipe has gone."""
        poll = select.poll()
        poll.register(self.descriptor, 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))

    def asks(self, question: str, answer: str) -> bool:
        """Whether the user at the terminal gives this answer; False without a terminal."""
        if not (self.interactive and sys.stdin is not None and sys.stdin.isatty()):
            return False
        self._stderr.write(printable(question))
        self._stderr.flush()
        return sys.stdin.readline().strip().lower() == answer

    def line(self, text: str = "") -> None:
        """One line of data."""
        self._stdout.write(f"{text}\n")

    def flush(self) -> None:
        """Print what is still buffered: the next line comes later."""
        self._stdout.flush()

    def raw(self, text: str) -> None:
        """Data that is its own format (a unit file, a diff, documentation), to the letter but on a
        terminal."""
        self._stdout.write(_lines(text) if self._stdout.isatty() else text)

    def json(self, schema: str, version: int, **members: object) -> None:
        """One JSON document; `schema` and `version` lead it, so that a reader can refuse what it
        does not know.

        JSON itself leaves DEL and the controls beyond ASCII as they are; bytes that are no UTF-8
        could not be written.
        """
        text = json.dumps(self._document(schema, version, members), indent=2, ensure_ascii=False)
        self._stdout.write("\n".join(map(_json_line, text.split("\n"))) + "\n")

    def json_line(self, schema: str, version: int, **members: object) -> None:
        """The same in one line, for one document of many."""
        text = json.dumps(self._document(schema, version, members), ensure_ascii=False)
        self._stdout.write(_json_line(text) + "\n")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell | str]]) -> None:
        """Columns aligned with two spaces between, as systemctl prints them."""
        body = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
        header = [Cell(column, "bold") for column in columns]
        widths = [max(len(printable(row[i].text)) for row in [header, *body]) for i in range(len(columns))]
        for row in [header, *body]:
            padded = (self._paint(self._stdout, _pad(c.text, w), c.style) for c, w in zip(row, widths, strict=True))
            self._stdout.write("  ".join(padded).rstrip() + "\n")

    def message(self, text: str, *, style: str = "") -> None:
        """One line for the person, not for the pipe."""
        self._stderr.write(self._paint(self._stderr, printable(text), style) + "\n")

    def diagnostics(self, findings: Iterable[Diagnostic]) -> None:
        """Findings as compilers print them: place, message, the line with a caret, a hint."""
        for finding in findings:
            self._stderr.write(self._diagnostic(finding))

    def styled(self, text: str, style: str) -> str:
        """`text` in a style, for a line of data."""
        return self._paint(self._stdout, printable(text), style)

    def _document(self, schema: str, version: int, members: Mapping[str, object]) -> Mapping[str, object]:
        self.owes_document = False
        return {"schema": f"tqunits.{schema}", "version": version, **members}

    def _diagnostic(self, finding: Diagnostic) -> str:
        place = f"{finding.mark}: " if finding.mark else ""
        severity = self._paint(self._stderr, f"{finding.severity}:", _SEVERITY_STYLE[finding.severity])
        lines = [f"{printable(place)}{severity} {printable(finding.message)}"]
        if finding.mark and finding.source is not None:
            lead = finding.source[: finding.mark.column - 1]
            lines += [f"    {printable(finding.source)}", f"    {' ' * len(printable(lead))}^"]
        if finding.hint:
            lines.append(f"    hint: {printable(finding.hint)}")
        return "\n".join(lines) + "\n"

    def _paint(self, stream: TextIO, text: str, style: str) -> str:
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and self._colour[id(stream)] else text


def diagnostic_json(finding: Diagnostic) -> Mapping[str, object]:
    """A finding as `--json` gives it."""
    mark = finding.mark
    return {
        "severity": finding.severity.value,
        "file": mark.file if mark else None,
        "line": mark.line if mark else None,
        "column": mark.column if mark else None,
        "message": finding.message,
        "hint": finding.hint,
    }


def error_json(error: TqunitsError, exit_status: int) -> Mapping[str, object]:
    """What kept a verb from its work, as `tqunits.error` has it."""
    mark = error.mark
    findings = error.diagnostics if isinstance(error, ConfigurationError) else ()
    return {
        "message": error.message,
        "hint": error.hint,
        "file": mark.file if mark else None,
        "line": mark.line if mark else None,
        "column": mark.column if mark else None,
        "diagnostics": [diagnostic_json(finding) for finding in findings],
        "exit_status": exit_status,
    }


def _lines(text: str) -> str:
    """Text of many lines, printable."""
    return "".join(c if c in "\n\t" else printable(c) for c in text)


def _json_line(line: str) -> str:
    """A line of a document; what is not printable in it is within a string."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else r"\u007f" if c == "\x7f" else json.dumps(c)[1:-1] for c in line)


def _pad(text: str, width: int) -> str:
    text = printable(text)
    return text + " " * (width - len(text))


def _is_colourful(stream: TextIO) -> bool:
    """A terminal, and nobody asked for plain text (https://no-color.org, TERM=dumb)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def standard_output() -> Output:
    """The process's own streams; what the caller has closed (`>&-`) leads nowhere, and is no reason
    to fail."""
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    return Output(sys.stdout, sys.stderr)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
