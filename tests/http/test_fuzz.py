"""The HTTP core with mutated messages, the same in every run; bench/python/fuzz.py tests more of
them."""

from __future__ import annotations

import random
from collections.abc import Callable

import fuzzing
import pytest

FIELDS = (b"Transfer-Encoding: ", b"Content-Length: ", b"Host: b\r\n", b"Upgrade: h2c\r\n", b"chunked", b"close")
MARKS = (b"\r\n\r\n", b"\r\n", b"\n", b"\r", b"\t", b" ", b":", b",", b"\0", b"\xff", b"?", b"#", b"..", b"%2f")
NUMBERS = (b"0", b"-1", b"0x1", b"9" * 19)
WORDS = (*FIELDS, *MARKS, *NUMBERS)
ROUNDS = 3000


def mutated(data: bytes, dice: random.Random) -> bytes:
    """A few changes at random places: bytes are cut, doubled, replaced, inserted."""
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) + 1)
        end = min(len(data), at + dice.choice((0, 0, 1, 1, 2, 8)))
        put = dice.choice((b"", bytes((dice.randrange(256),)), dice.choice(WORDS), data[at : at + 8] * 2))
        data = data[:at] + put + data[end:]
    return data


@pytest.mark.parametrize(("hold", "beginnings"), fuzzing.TARGETS.values(), ids=fuzzing.TARGETS)
def test_promises_hold_for_mutated_input(hold: Callable[[bytes], None], beginnings: tuple[bytes, ...]) -> None:
    dice = random.Random(0)
    for _ in range(ROUNDS):
        data = mutated(dice.choice(beginnings), dice)
        try:
            hold(data)
        except Exception as error:
            raise AssertionError(f"{error!r} for {data!r}") from error
