"""Linear time on any input: proved for the regular expressions, and counted for the code that uses
them."""

from __future__ import annotations

import importlib
import json
import re
import sys
from itertools import product
from pathlib import Path
from typing import Any

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
    mending,
    proxy_protocol,
    ranges,
    target,
    trust,
)
from tqunits.system import process

ROOT = Path(__file__).parents[2]
sre, sre_parser = (importlib.import_module(f"re.{name}") for name in ("_constants", "_parser"))  # without types
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
        mending,
        proxy_protocol,
        ranges,
        target,
        trust,
    )
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
}


def backtracking(parsed: Any) -> list[object]:
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
    """Python before 3.11.5 does not always do so (CPython issues 100061, 106052). So compare with
    the greedy pattern."""
    greedy = re.compile(re.sub(rb"([*+?}])\+", rb"\1", pattern.pattern), pattern.flags)
    texts = (b"".join(pieces) for size in range(5) for pieces in product(ALPHABET, repeat=size))
    assert [text for text in texts if bool(pattern.fullmatch(text)) != bool(greedy.fullmatch(text))] == []


WORK = ("drip_head", "drip_chunks", "drip_trailers", "nominate", "drop_lines", "fill_holes")


@pytest.fixture(scope="module")
def steps() -> dict[str, list[int]]:
    """The lines that run for so many hostile bytes and for twice as many, by kind of work
    (steps.py)."""
    programs = ROOT / "bench/python/interpreted.py", ROOT / "tests/http/steps.py"
    run = process.run([sys.executable, *map(str, programs)], timeout_s=60)
    assert run.returncode == 0, run.stderr
    counts = json.loads(run.stdout)
    assert sorted(counts) == sorted(WORK)
    return dict(counts)


@pytest.mark.parametrize("work", WORK)
def test_twice_the_bytes_are_at_most_twice_the_work(steps: dict[str, list[int]], work: str) -> None:
    once, twice = steps[work]
    assert 0 < once < twice <= 2 * once + 50
