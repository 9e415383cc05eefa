"""Linear time on any input: proved on the patterns themselves, and counted on what feeds them."""

from __future__ import annotations

import re
import re._constants as sre
import re._parser as sre_parser
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from types import FrameType

import pytest

from tqunits.http import (
    address,
    alike,
    answers,
    coding,
    conditional,
    dates,
    forward,
    grammar,
    proxy_protocol,
    ranges,
    target,
    trust,
)
from tqunits.http.fields import Fields, RequestFields
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer
from tqunits.http.pump import ChunkedPump

PATTERNS = {
    f"{module.__name__}.{name}": value
    for module in (
        address,
        alike,
        answers,
        coding,
        conditional,
        dates,
        forward,
        grammar,
        proxy_protocol,
        ranges,
        target,
        trust,
    )
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
}


def backtracking(parsed: object) -> list[object]:
    """Every repetition without a bound that is not possessive."""
    found: list[object] = []
    if isinstance(parsed, tuple) and parsed and parsed[0] in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        _, (_, most, _) = parsed
        if most == sre.MAXREPEAT:
            found.append(parsed)
    if isinstance(parsed, (tuple, list, sre_parser.SubPattern)):
        for part in parsed:
            found += backtracking(part)
    return found


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS.keys())
def test_no_pattern_can_go_back(pattern: re.Pattern[bytes]) -> None:
    text = pattern.pattern.decode("latin-1").encode("latin-1")
    assert backtracking(sre_parser.parse(text, pattern.flags)) == []


def test_the_check_sees_a_pattern_that_can() -> None:
    assert backtracking(sre_parser.parse(rb"(?:a*b)*+", 0))


POSSESSIVE_GROUPS = {name: pattern for name, pattern in PATTERNS.items() if re.search(rb"\)[*+?]\+", pattern.pattern)}
ALPHABET = (b"/", b".", b"a", b",", b";", b"=", b'"', b"\\", b" ", b"1", b"%", b"?", b"\r\n")


@pytest.mark.parametrize("pattern", POSSESSIVE_GROUPS.values(), ids=POSSESSIVE_GROUPS.keys())
def test_a_possessive_group_gives_back_what_it_read_in_vain(pattern: re.Pattern[bytes]) -> None:
    """Python before 3.11.5 does not always (CPython issues 100061, 106052): so compare with the greedy pattern."""
    greedy = re.compile(re.sub(rb"([*+?}])\+", rb"\1", pattern.pattern), pattern.flags)
    texts = (b"".join(pieces) for size in range(5) for pieces in product(ALPHABET, repeat=size))
    assert [text for text in texts if bool(pattern.fullmatch(text)) != bool(greedy.fullmatch(text))] == []


def lines_run(action: Callable[[], object]) -> int:
    """How many lines of Python ran."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except Malformed:
        pass
    finally:
        sys.settrace(before)
    return count


def drip_head(size: int) -> None:
    buffer = HeadBuffer()
    for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * size:
        buffer.feed(bytes((byte,)))


def drip_chunks(size: int) -> None:
    pump = ChunkedPump(rechunk=True)
    for _ in range(size // 6):
        for byte in b"1\r\na\r\n":
            pump.feed(bytes((byte,)))


def drip_trailers(size: int) -> None:
    pump = ChunkedPump(rechunk=True)
    for byte in b"0\r\nX: " + b"a" * size:
        pump.feed(bytes((byte,)))


def nominate(size: int) -> None:
    names = b"".join(b"n%d: x\r\n" % n for n in range(90))
    fields = Fields(b"\r\n" + names + b"Connection: " + b"n1, " * size + b"close\r\n\r\n")
    fields.forwarded(frozenset(), fields.options())


def drop_lines(size: int) -> None:
    for name in (b"x-forwarded-for", b"n", b"te"):
        RequestFields(b"\r\n%b: %b" % (name, b"a" * size) * (size // 25) + b"\r\n\r\n").values(name)


def fill_holes(size: int) -> None:
    known = None
    for value in (b"a", b"b", b"c", b"d\0", b"e" * size):
        lines = b"".join(b"\r\nn%d: %b" % (n, value) for n in range(size // 200))
        with suppress(Malformed):
            known = RequestFields(lines + b"\r\n\r\n", known)


@pytest.mark.parametrize("work", [drip_head, drip_chunks, drip_trailers, nominate, drop_lines, fill_holes])
def test_twice_the_bytes_are_at_most_twice_the_work(work: Callable[[int], None]) -> None:
    once, twice = lines_run(lambda: work(1200)), lines_run(lambda: work(2400))
    assert twice <= 2 * once + 50
