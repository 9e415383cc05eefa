"""Linear time on any input: proved on the patterns themselves, and counted on what feeds them."""

from __future__ import annotations

import re
import re._constants as sre
import re._parser as sre_parser
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from tqunits.http import forward, grammar, target
from tqunits.http.fields import Fields
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer
from tqunits.http.pump import ChunkedPump

PATTERNS = {
    f"{module.__name__}.{name}": value
    for module in (grammar, target, forward)
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


@pytest.mark.parametrize("work", [drip_head, drip_chunks, drip_trailers, nominate])
def test_twice_the_bytes_are_at_most_twice_the_work(work: Callable[[int], None]) -> None:
    once, twice = lines_run(lambda: work(1200)), lines_run(lambda: work(2400))
    assert twice <= 2 * once + 50
