"""Finds the error in a program's messages: its line, its place in the program's own code, and its
kind.

Each runtime has its own form: Python and Java print the places below or above the error, Node both,
Go below, Rust in the line before it; Ruby, PHP, Perl and shells in the same line. One table tells
the kind of an error for all of them: most errors are the kernel's (errno(3)), which each runtime
spells a little differently.

In a start the first error counts, because later ones are its consequences (a master process that
prints "worker failed to boot"). In a crash after a long run the last one counts, because the
program has survived the others. Of a chain of exceptions the last one counts: it has ended the
program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

from tqunits.late_pattern import late_pattern
from tqunits.lifecycle.kinds import ErrorKind, kind_of
from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One error. `place` is FILE:LINE in the program's own code, "" when unknown."""

    kind: ErrorKind
    text: str
    place: str = ""
    around: str = ""  # the lines of source, stack frames and fields that belong to it
    path: str = ""  # the absolute path that it is about
    variable: str = ""  # the environment variable that it is about


@dataclass(frozen=True, slots=True)
class _ErrorLine:
    index: int
    text: str
    place: str = ""
    context: str = ""  # another text that tells the kind


_PATH = late_pattern(r"(?<![\w./:])(/[\w.@+,=~-]+(?:/[\w.@+,=~-]+)*)")
_NAME = r"([\w.@-][\w.@/+-]*)"
_NAMED = late_pattern(rf"['\"]{_NAME}['\"]|rb_\w+ - {_NAME}|\w\({_NAME}\): (?i:failed to open)")  # Ruby's, PHP's
_OF_FILES = frozenset({ErrorKind.READ_ONLY, ErrorKind.PERMISSION, ErrorKind.NO_FILE})
_PLACE_BEHIND = late_pattern(r" (?:at \S+ line \d+\.?|in \S+ on line \d+|in \S+:\d+)$")
_VARIABLE = late_pattern(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|(?<=['\": ])[A-Z][A-Z0-9]{2,}(?=['\": ]|$)")

_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = ("The above exception was the direct cause", "During handling of the above exception")
_FRAME = late_pattern(r'\s+File "([^"]+)", line (\d+)')
_LIBRARY = late_pattern(
    r"/(site|dist)-packages/|/lib/python\d|^<frozen|^<string>|/node_modules/|^node:|/usr/(lib|share|local)/"
)
# EPERM comes from the filter of systemd 252, EACCES from the kernel's PR_SET_MDWE (prctl(2)), which
# 257 uses where the kernel has it.
_EXECUTES = late_pattern(r"PROT_EXEC|mprotect")
_ENVIRON = late_pattern(r'File "(<frozen os>|\S*/os\.py)"')

_NODE = late_pattern(r"(?:Uncaught )?(?:[A-Z]\w*)?(?:Error|Exception)(?: \[\w+\])?(?:: .*)?|error: .+")  # Deno, Bun
_NODE_AT = late_pattern(r"\s+at (?:async )?(?:.*\()?((?:file://|node:)?[^\s():]+):(\d+):\d+\)?$")
_NODE_HEAD = late_pattern(r"((?:file://)?/\S+):(\d+)")
_NODE_STACK = late_pattern(r"- (/\S+)")
_JAVA = late_pattern(
    r"Exception in thread \"[^\"]*\" (.*)|(Error: (?:Could not find|Unable to access|LinkageError).*)"
    r"|(\S+\.java:\d+: error: .*)"
)
_JAVA_AT = late_pattern(r"\s+at (?!(?:java|jdk|sun|javax)\.)(?!java\.base/)\S+\(([\w$]+\.\w+:\d+)\)")
_GO = late_pattern(r"(?:panic|fatal error): (.*)")
_GO_AT = late_pattern(r"\s+(\S+\.go:\d+)(?: \+0x|$)")
_GO_LIBRARY = late_pattern(r"/usr/(local/)?(lib|share)/go|/pkg/mod/|/go/src/|^_cgo")
_GO_LOG = late_pattern(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)? (?:(\S+\.go:\d+): )?(.*)")
_RUST = late_pattern(r"thread '[^']*'(?: \(\d+\))? panicked at (\S+?:\d+):\d+:$")
_RUST_OLD = late_pattern(r"thread '[^']*' panicked at '(.*)', (\S+?:\d+):\d+$")
_RUBY = late_pattern(
    r"(\S+\.(?:rb|ru)):(\d+):(?:in [`'].*?': )?(.*(?:\(\w*(?:Error|Exception)\w*(?:::\w+)*\)|syntax error.*|Errno::.*))"
)
_PHP = late_pattern(r"(?:PHP )?(?:Parse|Fatal|Core) error:\s+(.*?)(?: in (\S+?)(?: on line |:)(\d+))?$")
_SHELL = late_pattern(r"(\S+): (?:line )?(\d+): (.+)")
_PERL = late_pattern(r"(.*) at (\S+) line (\d+)[.,]?.*")
_PYTHON_ITSELF = late_pattern(r"\S*python[\d.]*: (.*(?:can't open file|No module named|can't find).*)")
_BAD = late_pattern(r"(?i)\b(error|fatal|panic|exception|can ?not|can't|could not|failed|denied|invalid|unable)\b")

_COLOURS = late_pattern(r"\x1b\[[\d;]*m")
_HARMLESS = "PCRE JIT will be disabled"  # PHP prints it and goes on
_AHEAD = 30  # how many lines of a stack are searched for a place
_LONGEST = 800  # how many characters of a line are parsed and shown


def complaint(lines: Sequence[str], *, last: bool = False, folder: str = "") -> Complaint | None:
    """The most telling error: the first, or with `last` the last. None when no line is an error.

    `folder`: the working directory of the program, for relative paths.
    """
    short = [cut(line) for line in lines]
    found = sorted((each for reader in _READERS for each in reader(short)), key=lambda each: each.index)
    found = found or list(_of_table(short)) or list(_of_words(short))
    return _complaint(found[-1 if last else 0], short, folder) if found else None


def cut(line: str) -> str:
    """The part of a line that is parsed: shortened, and without the colours of a terminal, which
    Deno prints even into a journal."""
    return "" if _HARMLESS in line else _COLOURS.sub("", line)[:_LONGEST]


def _complaint(found: _ErrorLine, lines: Sequence[str], folder: str) -> Complaint:
    kind = kind_of(found.text)
    if found.context and kind in {ErrorKind.OTHER, ErrorKind.NOT_PERMITTED, ErrorKind.PERMISSION}:
        kind = kind_of(found.context)
    paths = _PATH.findall(_PLACE_BEHIND.sub("", found.text))
    variables = _VARIABLE.findall(found.text) if kind is ErrorKind.ENVIRONMENT else ()
    return Complaint(
        kind=kind,
        text=found.text.strip(),
        place=found.place,
        around="\n".join(_around(lines, found.index)),
        path=paths[-1].rstrip(".,:") if paths else _relative(found.text, kind, folder),
        variable=variables[0] if variables else "",
    )


def _around(lines: Sequence[str], index: int) -> Iterator[str]:
    """The indented lines above the error, as Python's frames are, and those below it."""
    above = takewhile(_is_part, reversed(lines[max(0, index - _AHEAD) : index]))
    yield from reversed(list(above))
    below = lines[index + 1 : index + _AHEAD]
    if len(below) > 1 and below[1].strip() == "^":  # Deno: the line of source, and a mark below it
        yield below[0]
        below = below[1:]
    yield from takewhile(_is_part, below)


def _is_part(line: str) -> bool:
    return line[:1].isspace() or line.startswith(("Caused by: ", "}"))


def _relative(text: str, kind: ErrorKind, folder: str) -> str:
    match = _NAMED.search(text) if folder and kind in _OF_FILES else None
    return f"{folder.rstrip('/')}/{match[1] or match[2] or match[3]}" if match else ""


def _python(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    """The frames, innermost last, and then the exception. A chain of exceptions is one error. A
    mistake in a file has one frame only."""
    frames: list[tuple[str, str]] = []
    kept: _ErrorLine | None = None
    ignored = environ = executes = is_chained = False
    for index, line in enumerate(lines):
        frame = _FRAME.match(line)
        if line.strip() == _TRACEBACK:
            ignored = index > 0 and lines[index - 1].startswith("Exception ignored")
            frames, environ, executes = [], False, False
        elif frame:
            frames.append((frame[1], frame[2]))
            environ = _ENVIRON.search(line) is not None
        elif frames and line[:1].strip():
            if kept is not None and not is_chained:
                yield kept
            context = f"{line} unbound variable" if environ and line.startswith("KeyError") else ""
            context = "executable memory" if executes and line.startswith("PermissionError") else context
            kept = kept if ignored else _ErrorLine(index, line, _innermost(frames), context)
            frames, is_chained = [], False
        elif frames and _EXECUTES.search(line):
            executes = True
        elif line.startswith(_CHAINED):
            is_chained = True
    if kept is not None:
        yield kept


def _innermost(frames: Sequence[tuple[str, str]]) -> str:
    own = [frame for frame in frames if not _LIBRARY.search(frame[0])]
    return ":".join((own or frames)[-1])


def _python_itself(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    for index, line in enumerate(lines):
        if match := _PYTHON_ITSELF.fullmatch(line):
            yield _ErrorLine(index, match[1])


def _node(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    for index, line in enumerate(lines):
        if line.startswith("FATAL ERROR: "):
            yield _ErrorLine(index, line)
        elif _NODE.fullmatch(line) and any(map(_is_node_frame, lines[index + 1 : index + _AHEAD])):
            yield _ErrorLine(index, line, _node_place(lines, index))


def _is_node_frame(line: str) -> bool:
    return line.lstrip().startswith("at ")


def _node_place(lines: Sequence[str], index: int) -> str:
    """The place in the stack below; for a file that can not be parsed, the place above."""
    below = lines[index + 1 : index + _AHEAD]
    above = (_NODE_HEAD.fullmatch(line) for line in lines[max(0, index - 5) : index])
    heads = [f"{match[1]}:{match[2]}" for match in above if match and not _LIBRARY.search(match[1])]
    if heads:
        return heads[-1].removeprefix("file://")
    for line in below:
        if (match := _NODE_AT.match(line)) and not _LIBRARY.search(match[1]):
            return f"{match[1]}:{match[2]}".removeprefix("file://")
    stack = [match[1] for line in below if (match := _NODE_STACK.fullmatch(line))]
    imported = re.search(r"imported from (/\S+)", lines[index])
    return stack[0] if stack else imported[1] if imported else ""


def _java(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    for index, line in enumerate(lines):
        if not (match := _JAVA.match(line)):
            continue
        below = lines[index + 1 : index + _AHEAD]
        place = next((at[1] for at in map(_JAVA_AT.match, below) if at), "")
        causes = " ".join(line for line in below if line.startswith("Caused by: "))
        yield _ErrorLine(index, match[1] or match[2] or match[3], place, causes)


def _go(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    for index, line in enumerate(lines):
        if match := _GO.fullmatch(line):
            places = (at[1] for at in map(_GO_AT.match, lines[index + 1 : index + _AHEAD]) if at)
            yield _ErrorLine(index, line, next((place for place in places if not _GO_LIBRARY.search(place)), ""))
        elif (match := _GO_LOG.fullmatch(line)) and kind_of(match[2]) is not ErrorKind.OTHER:
            yield _ErrorLine(index, match[2], match[1] or "")


def _rust(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    for index, line in enumerate(lines):
        if (match := _RUST.fullmatch(line)) and index + 1 < len(lines):
            yield _ErrorLine(index, lines[index + 1], match[1])
        elif match := _RUST_OLD.fullmatch(line):
            yield _ErrorLine(index, match[1], match[2])


def _inline(
    pattern: re.Pattern[str], text: int, file: int, line: int
) -> Callable[[Sequence[str]], Iterator[_ErrorLine]]:
    """A reader of errors that have their place in the same line."""

    def read(lines: Sequence[str]) -> Iterator[_ErrorLine]:
        for index, each in enumerate(lines):
            if (match := pattern.fullmatch(each)) and kind_of(match[text]) is not ErrorKind.OTHER:
                yield _ErrorLine(index, match[text], f"{match[file]}:{match[line]}" if match[file] else "")

    return read


def _php(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    for index, line in enumerate(lines):
        if match := _PHP.fullmatch(line):
            context = "syntax error" if "Parse error" in line else ""
            yield _ErrorLine(index, match[1], f"{match[2]}:{match[3]}" if match[2] else "", context)


def _shell(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    for index, line in enumerate(lines):
        if (match := _SHELL.fullmatch(line)) and kind_of(line) is not ErrorKind.OTHER:
            yield _ErrorLine(index, match[3], f"{match[1]}:{match[2]}", line)


def _of_table(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    """Lines in no known form whose kind the table knows."""
    return (_ErrorLine(index, line) for index, line in enumerate(lines) if kind_of(line) is not ErrorKind.OTHER)


def _of_words(lines: Sequence[str]) -> Iterator[_ErrorLine]:
    return (_ErrorLine(index, line) for index, line in enumerate(lines) if _BAD.search(line))


_READERS: tuple[Callable[[Sequence[str]], Iterator[_ErrorLine]], ...] = (
    _python,
    _python_itself,
    _node,
    _java,
    _go,
    _rust,
    _inline(_RUBY, 3, 1, 2),
    _php,
    _shell,
    _inline(_PERL, 1, 2, 3),
)
