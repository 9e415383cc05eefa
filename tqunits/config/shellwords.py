r"""Splits a command line in one text into words, as a shell does, and does nothing else that a
shell does.

A text that needs more of a shell (two commands, a redirection, `~`) is refused, with a hint how to
have a shell run it: `["sh", "-c", …]`. Grammar: POSIX.1-2017, XCU 2.2 (quoting) and 2.3 (tokens).
In single quotes every character stands for itself; in double quotes a backslash escapes `"`, `\`,
`$` and a backquote.
"""

from __future__ import annotations

import json

from tqunits.config.reject import SHOWN, Reject, shown
from tqunits.light_dataclass import dataclass

_BLANKS = " \t"
OPERATORS = (
    "&&",
    "||",
    "2>&1",
    "&>",
    ">>",
    "<<",
    "|",
    ";",
    "&",
    "<",
    ">",
)
_BACKQUOTE = "`"


class Misplaced(Reject):
    """What is wrong with a text, and at which character."""

    def __init__(self, at: int, message: str, hint: str | None) -> None:
        super().__init__(message, hint)
        self.at = at


@dataclass(frozen=True, slots=True)
class Word:
    """One word. `globs`: it has a * outside of quotes."""

    at: int  # its index in the text
    text: str
    globs: bool


def split(text: str, *, folded: bool = False) -> tuple[Word, ...]:
    """The words of a command line. Raises Misplaced.

    `folded`: the text was a YAML block that begins with >, in which a remaining line end counts as
    a blank.
    """
    return _Splitting(text, folded=folded).words()


def by_shell(text: str) -> str:
    """A hint how to have a shell run the text."""
    script = " ".join(text.replace("\\\n", " ").split())
    quoted = json.dumps(script, ensure_ascii=False) if len(script) <= 2 * SHOWN else '"…"'
    return f'no shell runs it: put it in quotes if it is meant as it stands, or write ["sh", "-c", {quoted}]'


class _Splitting:
    """The splitting of one text, from left to right."""

    def __init__(self, text: str, *, folded: bool) -> None:
        self._text = text
        self._folded = folded
        self._at = 0
        self._words: list[Word] = []
        self._begin: int | None = None  # of the current word
        self._parts: list[str] = []
        self._globs = False

    def words(self) -> tuple[Word, ...]:
        while self._at < len(self._text):
            self._next(self._text[self._at])
        self._end()
        return tuple(self._words)

    def _next(self, char: str) -> None:
        if char in _BLANKS:
            self._end()
            self._at += 1
        elif char == "\n":
            self._line_end()
        elif char == "\\":
            self._backslash()
        elif char == "'":
            self._single()
        elif char == '"':
            self._double()
        else:
            self._refuse_shell(char)
            self._globs = self._globs or char == "*"
            self._take(char, 1)

    def _take(self, part: str, length: int) -> None:
        self._begin = self._at if self._begin is None else self._begin
        self._parts.append(part)
        self._at += length

    def _end(self) -> None:
        if self._begin is not None:
            self._words.append(Word(self._begin, "".join(self._parts), self._globs))
        self._begin, self._parts, self._globs = None, [], False

    def _line_end(self) -> None:
        self._end()
        self._at += 1
        rest = self._text[self._at :].lstrip(f"{_BLANKS}\n")
        if self._words and rest and not self._folded:
            message = "has several lines, which a shell would run one after the other"
            hint = "end each line but the last with a backslash, or begin the block with > and not with |"
            raise Misplaced(len(self._text) - len(rest), message, hint)

    def _backslash(self) -> None:
        char = self._text[self._at + 1 : self._at + 2]
        if not char:
            raise Misplaced(self._at, "has a backslash at its end", "remove it, or write it twice")
        if char == "\n":
            self._at += 2
        else:
            self._take(char, 2)

    def _single(self) -> None:
        close = self._text.find("'", self._at + 1)
        if close < 0:
            raise self._not_closed("'")
        self._take(self._text[self._at + 1 : close], close + 1 - self._at)

    def _double(self) -> None:
        at, parts = self._at + 1, list[str]()
        while True:
            char = self._text[at : at + 1]
            if not char:
                raise self._not_closed('"')
            if char == '"':
                break
            if char == _BACKQUOTE:
                raise self._like_shell(at, char)
            after = self._text[at + 1 : at + 2]
            is_escape = char == "\\" and after in ('"', "\\", "$", _BACKQUOTE, "\n")
            parts.append(after.replace("\n", "") if is_escape else char)
            at += 2 if is_escape else 1
        self._take("".join(parts), at + 1 - self._at)

    def _not_closed(self, quote: str) -> Misplaced:
        message = f"{shown(self._text.strip())} has a quote that is not closed"
        return Misplaced(self._at, message, f'write a {quote} at its end, or a list: ["program", "word"]')

    def _refuse_shell(self, char: str) -> None:
        is_first = self._begin is None
        rest = self._text[self._at :]
        operator = next((each for each in OPERATORS if rest.startswith(each)), None)
        if operator == "2>&1" and not is_first:
            operator = None
        if operator is not None or char == _BACKQUOTE or (is_first and char in "()"):
            raise self._like_shell(self._at, operator or char)
        if is_first and char == "#":
            raise Misplaced(self._at, "has a comment in it", "remove it, or put it in quotes if it is meant")
        if is_first and char == "~" and rest[1:2] in ("", "/", " ", "\n"):
            raise Misplaced(self._at, "has a ~ in it, which only a shell knows", "write the folder's path in full")

    def _like_shell(self, at: int, what: str) -> Misplaced:
        return Misplaced(at, f"{what} is a shell's", by_shell(self._text))
