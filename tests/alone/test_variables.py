"""Environment files: their meaning, their mistakes, and the place of each mistake."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from machine import Machine

from tqunits.alone.variables import MAX_BYTES, Mistake, Reading, is_reserved, parse

MEANINGS = {
    "nothing": ("", []),
    "plain": ("A=1", [(1, "A", "1")]),
    "several": ("A=1\n\nB=2\n", [(1, "A", "1"), (3, "B", "2")]),
    "empty": ("A=\nB=  \nC=''\nD=\"\"", [(1, "A", ""), (2, "B", ""), (3, "C", ""), (4, "D", "")]),
    "comments": ("# a\n; b\n  # c=d\nA=1", [(4, "A", "1")]),
    "indented": ("  A=1\n\tB=2", [(1, "A", "1"), (2, "B", "2")]),
    "blanks at the end go": ("A=1 \t\nB='2' \n", [(1, "A", "1"), (2, "B", "2")]),
    "blanks within stay": ("A=a  b", [(1, "A", "a  b")]),
    "equals signs": ("A=b=c==", [(1, "A", "b=c==")]),
    "quotes within": ('A={"a": "b"}\nB=it\'s', [(1, "A", '{"a": "b"}'), (2, "B", "it's")]),
    "hashes that begin no comment": ("A=#fff\nB=a#b\nC=a\\ #b", [(1, "A", "#fff"), (2, "B", "a#b"), (3, "C", "a #b")]),
    "hashes in quotes": ("A='a # b'\nB=\"a # b\"", [(1, "A", "a # b"), (2, "B", "a # b")]),
    "semicolons": ("A=a;b\nB=a ; b", [(1, "A", "a;b"), (2, "B", "a ; b")]),
    "a backslash takes the next": (
        "A=\\\\\nB=\\'\\\"\\$\nC=a\\ \n",
        [(1, "A", "\\"), (2, "B", "'\"$"), (3, "C", "a ")],
    ),
    "a backslash joins lines": ("A=a \\\nb\nB=\\\n\\\nc", [(1, "A", "a b"), (3, "B", "c")]),
    "a joined line of blanks": ("A=a \\\n  \nB=1", [(1, "A", "a "), (3, "B", "1")]),
    "backslashes in single quotes": ("A='\\n\\\\\\'", [(1, "A", "\\n\\\\\\")]),
    "backslashes in double quotes": (r'A="\"\\\`\$\x"', [(1, "A", r'"\`$\x')]),
    "double quotes join lines": ('A="a\\\nb"\nB=1', [(1, "A", "ab"), (3, "B", "1")]),
    "quotes over lines": ("A='a\nb'\nB=\"c\nd\"\nC=1", [(1, "A", "a\nb"), (3, "B", "c\nd"), (5, "C", "1")]),
    "nothing is expanded": ("A=$B\nB='${C}'\nC=\\${D}", [(1, "A", "$B"), (2, "B", "${C}"), (3, "C", "${D}")]),
    "crlf": ("A=1\r\n\r\n# c\r\nB='2'\r\nC=", [(1, "A", "1"), (4, "B", "2"), (5, "C", "")]),
    "crlf in quotes stays": ("A='a\r\nb'\r\nB=1\r", [(1, "A", "a\r\nb"), (3, "B", "1")]),
    "other control characters": ("A=a\x1bb\x0b", [(1, "A", "a\x1bb\x0b")]),
    "utf-8": ("A=ü\u2028ß\nB=\U0001f600", [(1, "A", "ü\u2028ß"), (2, "B", "\U0001f600")]),
    "twice": ("A=1\nA=2", [(1, "A", "1"), (2, "A", "2")]),
}

EXPORT = "export is a word of the shell's"
NO_NAME = "what stands before = is no name of a variable"
COMMENT = "a comment behind a value"
CLOSED = "text behind the closing quote"
RETURN = "a carriage return in a line"
MISTAKES = {
    "export": (b"A=1\nexport B=2", 2, 1, EXPORT),
    "no equals": (b"A=1\n  nonsense\n", 2, 3, "a line without ="),
    "no name": (b"=1", 1, 1, NO_NAME),
    "digit first": (b"1A=1", 1, 1, NO_NAME),
    "dash": (b"A-B=1", 1, 1, NO_NAME),
    "dot": (b"a.b=1", 1, 1, NO_NAME),
    "letters of others": ("Ä=1".encode(), 1, 1, NO_NAME),
    "quoted name": (b'"A"=1', 1, 1, NO_NAME),
    "two names": (b"A B=1", 1, 1, NO_NAME),
    "blanks before": (b"A =1", 1, 2, "blanks before ="),
    "blanks behind": (b"A= 1", 1, 3, "blanks behind ="),
    "a comment for a value": (b"A= # c", 1, 3, "blanks behind ="),
    "a comment behind": (b"A=1 # c", 1, 5, COMMENT),
    "a comment behind a tab": (b"A=1\t#c", 1, 5, COMMENT),
    "a comment behind an escape": (b"A=\\  # c", 1, 6, COMMENT),
    "a comment behind quotes": (b"A='1' # c", 1, 7, COMMENT),
    "a comment that is joined": (b"A=1\\\n# c", 2, 1, COMMENT),
    "an indented one": (b"A=1\\\n  # c", 2, 3, COMMENT),
    "text behind ''": (b"A='1'x", 1, 6, CLOSED),
    'text behind ""': (b'A="1" "2"', 1, 7, CLOSED),
    "the shell's quote": (b"A='it'\\''s'", 1, 7, CLOSED),
    "' not closed": (b"B=1\nA='1\nC=2", 2, 3, "a quote is not closed"),
    '" not closed': (b'A="1\\"\n', 1, 3, "a quote is not closed"),
    "a backslash at the end": (b"A=1\\", 1, 4, "a backslash joins a line that is not there"),
    "a comment joined": (b"# c \\\nA=1", 1, 5, "a comment ends with a backslash"),
    "a carriage return": (b"A=1\rB=2", 1, 4, RETURN),
    "one in a comment": (b"# c\rB=2", 1, 4, RETURN),
    "a joined crlf": (b"A=1\\\r\nB=2", 1, 5, "a carriage return behind a backslash"),
    "a joined crlf in quotes": (b'A="1\\\r\n"', 1, 6, "a carriage return behind a backslash"),
    "nul": (b"A=1\0", 1, 4, "a NUL"),
    "nul in ''": (b"A='\0'", 1, 4, "a NUL"),
    'nul in ""': (b'A="\n\0"', 2, 1, "a NUL"),
    "latin-1": ("A=1\nB=aü\xfc".encode() + b"\xfc", 2, 6, "is not UTF-8"),
    "byte order mark": ("\ufeffA=1".encode(), 1, 1, "begins with a byte order mark"),
    "too large": (b"#" * (MAX_BYTES + 1), 1, 1, "is larger than 64 KiB"),
}

DOUBTS = {
    "expansion": ("A=${HOME}/x", 1, 3, "${HOME} is not put in: it is taken as it stands"),
    "in double quotes": ('A="a ${B}"', 1, 6, "${B} is not put in: it is taken as it stands"),
    "a newline that is none": ('A="a\\nb"', 1, 5, "\\n stays a backslash and the letter n"),
    "a backslash that goes": ("A=C:\\temp", 1, 5, "\\t is t: without quotes a backslash goes"),
    "the contract's": ("A=1\nPORT=3000", 2, 1, "PORT is set by tqunits or systemd: what stands here does not count"),
    "set twice": ("A=1\nB=2\nA=3", 3, 1, "A is set twice: this one counts"),
}


def quoted(value: str) -> str:
    """A value with correct quotes."""
    if "'" not in value:
        return f"'{value}'"
    for char in '\\"`$':
        value = value.replace(char, f"\\{char}")
    return f'"{value}"'


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
NUMBERS = itertools.count()
SYSTEMDS = {"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "USER"}  # and those of the shell
SYSTEMDS |= {"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID"}
TEXT = st.characters(exclude_characters="\0", exclude_categories=("Cs", "Cn"))  # systemd refuses noncharacters
VALUES = st.text(TEXT | st.sampled_from(" \t\n\"'\\$`#;=\r"), max_size=12)
WRITTEN = st.lists(st.tuples(NAMES, VALUES.map(quoted)).map("=".join), max_size=4).map("\n".join)
PIECES = st.lists(
    st.sampled_from([*" \t\n\r\"'\\$`#;=aN1é", "\\\n", "\r\n", "A=", "\nB=", "export ", "${A}", "\0", "\ufeff"]),
    max_size=25,
)


@pytest.mark.parametrize(("text", "variables"), MEANINGS.values(), ids=MEANINGS)
def test_what_a_file_means(text: str, variables: list[tuple[int, str, str]]) -> None:
    assert parse(text.encode()) == variables


@pytest.mark.parametrize(("content", "line", "column", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_has_its_place(content: bytes, line: int, column: int, message: str) -> None:
    with pytest.raises(Mistake) as raised:
        parse(content)
    assert (raised.value.line, raised.value.column, raised.value.message) == (line, column, message)
    assert raised.value.hint


@pytest.mark.parametrize(("text", "line", "column", "message"), DOUBTS.values(), ids=DOUBTS)
def test_what_is_seldom_meant_is_a_doubt(text: str, line: int, column: int, message: str) -> None:
    reading = Reading(text.encode())
    assert reading.mistakes == []
    assert [(d.line, d.column, d.message) for d in reading.doubts] == [(line, column, message)]


def test_all_mistakes_are_found_and_the_rest_is_read() -> None:
    reading = Reading(b"A=1\nexport B=2\nC='3'x\nD=4\nE='\nF=6\n")
    assert [(m.line, m.message) for m in reading.mistakes] == [(2, EXPORT), (3, CLOSED), (5, "a quote is not closed")]
    assert reading.variables == [(1, "A", "1"), (4, "D", "4"), (6, "F", "6")]


@pytest.mark.parametrize(
    "secret", ["s3cret", "https://user:s3cret@host/?a=b", "s3cret =x", "A='x's3cret", "A=x # s3cret"]
)
def test_messages_show_no_secret(secret: str) -> None:
    (mistake,) = Reading(secret.encode()).mistakes
    assert "s3cret" not in f"{mistake} {mistake.message} {mistake.hint}"


@pytest.mark.parametrize("line", ["A='", 'A="', "A=\\", '"\\', "${", " ", "A=\\\n", "A=${B}"])
def test_it_takes_no_time_that_grows_with_the_square(line: str) -> None:
    """The time is not measured: a quadratic time would exceed the time-out of a test."""
    for end in ("", "\n"):
        Reading((f"{line}{end}" * MAX_BYTES)[:MAX_BYTES].encode())


def test_the_contract_is_reserved() -> None:
    assert all(map(is_reserved, ("PORT", "WORKER_PORT", "WORKER_MODE", "LISTEN_FDS", "NOTIFY_SOCKET")))
    assert not any(map(is_reserved, ("HOME", "PORTS", "NODE_ENV", "GOMEMLIMIT", "LISTEN_ADDR", "WORKER_CONCURRENCY")))
    assert not is_reserved("PORT", has_port=False)


def test_a_port_in_a_file_counts_for_who_listens_on_none() -> None:
    assert [doubt.line for doubt in Reading(b"PORT=1\n").doubts] == [1]
    assert Reading(b"PORT=1\n", has_port=False).doubts == []


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_what_is_written_is_read(variables: list[tuple[str, str]]) -> None:
    text = "".join(f"{name}={quoted(value)}\n" for name, value in variables)
    assert [(name, value) for _, name, value in parse(text.encode())] == variables


@given(st.binary(max_size=60) | PIECES.map("".join).map(str.encode))
@example(b"A=\xff")
def test_any_bytes_are_variables_or_a_mistake(content: bytes) -> None:
    reading = Reading(content)
    lines = content.count(b"\n") + 1
    assert all(1 <= mistake.line <= lines and mistake.column >= 1 for mistake in (*reading.mistakes, *reading.doubts))
    try:
        assert parse(content) == reading.variables
    except Mistake as mistake:
        assert mistake is not None
        assert reading.mistakes


@pytest.fixture(scope="module")
def file(machine: Machine) -> Iterator[Path]:
    folder = machine.root / "run/tqunits-variables"
    folder.mkdir()
    yield folder / "env"
    (folder / "env").unlink(missing_ok=True)
    folder.rmdir()


def test_systemd_reads_the_same(machine: Machine, file: Path) -> None:
    for text, _ in MEANINGS.values():
        assert_systemd_agrees(machine, file, text)


@given(PIECES.map("".join) | WRITTEN)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much])
def test_systemd_reads_the_same_of_anything_that_is_no_mistake(machine: Machine, file: Path, text: str) -> None:
    if not Reading(text.encode()).mistakes:
        assert_systemd_agrees(machine, file, text)


def assert_systemd_agrees(machine: Machine, file: Path, text: str) -> None:
    """A transient unit with EnvironmentFile= has all variables of the file, and no others than it
    has without the file."""
    file.write_bytes(text.encode())
    wanted = {name: value for _, name, value in parse(text.encode())}
    unit = f"tqunits-variables-{next(NUMBERS)}"
    program = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={unit}"]
    program += ["-p", "EnvironmentFile=/run/tqunits-variables/env", "/bin/sh", "-c", "env -0 | base64"]
    output = base64.b64decode(machine.run(program).stdout).decode()
    found = dict(pair.split("=", 1) for pair in output.split("\0") if pair)
    assert {name: found.get(name) for name in wanted} == wanted, text
    assert found.keys() - wanted.keys() <= SYSTEMDS, text
