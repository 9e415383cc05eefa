"""Range: one range gives a part, an unsatisfiable one a 416, anything else the whole file; parts
have the right bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.ranges import UNSATISFIABLE, Span, content_range, requested

WHOLE = None
NOTHING = UNSATISFIABLE

CASES: dict[str, tuple[str, int, Span | None]] = {
    "the first 500": ("bytes=0-499", 10000, Span(0, 500)),
    "the second 500": ("bytes=500-999", 10000, Span(500, 500)),
    "the last 500": ("bytes=-500", 10000, Span(9500, 500)),
    "from 9500": ("bytes=9500-", 10000, Span(9500, 500)),
    "one byte": ("bytes=0-0", 10000, Span(0, 1)),
    "the last byte": ("bytes=-1", 10000, Span(9999, 1)),
    "all of it": ("bytes=0-", 10000, Span(0, 10000)),
    "beyond the end": ("bytes=9990-20000", 10000, Span(9990, 10)),
    "more than there is": ("bytes=-20000", 10000, Span(0, 10000)),
    "zeros before": ("bytes=000-007", 10000, Span(0, 8)),
    "unit in capitals": ("BYTES=0-1", 10000, Span(0, 2)),
    "empty members": ("bytes=, 0-1 ,\t", 10000, Span(0, 2)),
    "from the end": ("bytes=10000-", 10000, NOTHING),
    "behind the end": ("bytes=20000-20001", 10000, NOTHING),
    "the last nought bytes": ("bytes=-0", 10000, NOTHING),
    "of nothing": ("bytes=0-", 0, NOTHING),
    "the end of nothing": ("bytes=-5", 0, WHOLE),
    "no bytes of nothing": ("bytes=-0", 0, NOTHING),
    "two ranges": ("bytes=0-0,-1", 10000, WHOLE),
    "two of the same": ("bytes=0-0,0-0", 10000, WHOLE),
    "backwards": ("bytes=5-4", 10000, WHOLE),
    "backwards behind the end": ("bytes=20001-20000", 10000, WHOLE),
    "no range": ("bytes=", 10000, WHOLE),
    "a dash": ("bytes=-", 10000, WHOLE),
    "a number": ("bytes=5", 10000, WHOLE),
    "three numbers": ("bytes=1-2-3", 10000, WHOLE),
    "a sign": ("bytes=+1-2", 10000, WHOLE),
    "a space inside": ("bytes=1 -2", 10000, WHOLE),
    "a space before the equals sign": ("bytes =1-2", 10000, WHOLE),
    "underscore": ("bytes=1_0-20", 10000, WHOLE),
    "other digits": ("bytes=\xb2-\xb3", 10000, WHOLE),
    "hex": ("bytes=0x1-0x2", 10000, WHOLE),
    "19 digits": ("bytes=0-" + "9" * 19, 10000, WHOLE),
    "thousands of digits": ("bytes=" + "9" * 8000 + "-", 10000, WHOLE),
    "another unit": ("items=0-1", 10000, WHOLE),
    "no unit": ("0-1", 10000, WHOLE),
    "empty": ("", 10000, WHOLE),
}


@pytest.mark.parametrize(("text", "size", "span"), CASES.values(), ids=CASES.keys())
def test_a_range(text: str, size: int, span: Span | None) -> None:
    assert requested([text.encode("latin-1")], size) == span


def test_more_than_one_line_is_more_than_one_range() -> None:
    assert requested([b"bytes=0-1", b"bytes=0-1"], 10) is WHOLE
    assert requested([], 10) is WHOLE


def oracle(first: int | None, last: int | None, content: bytes) -> bytes | None:
    """The bytes of one range by RFC 9110 §14.1.2, decided for each byte; None: no range."""
    if first is None:
        return None if last is None else content[max(0, len(content) - last) :]
    if last is not None and last < first:
        return None
    return bytes(byte for at, byte in enumerate(content) if at >= first and (last is None or at <= last))


NUMBERS = st.none() | st.integers(0, 12)


@given(NUMBERS, NUMBERS, st.binary(max_size=10))
def test_a_part_is_the_bytes_that_are_asked_for(first: int | None, last: int | None, content: bytes) -> None:
    text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    span = requested([text.encode()], len(content))
    expected = oracle(first, last, content)
    if span is None:
        assert expected is None or (first is None and not content)
    else:
        assert content[span.offset : span.offset + span.length] == expected
        assert content_range(span, len(content)) == said(first, expected, content)


def said(first: int | None, part: bytes | None, content: bytes) -> bytes:
    """RFC 9110 §14.4: positions of the first and of the last byte, and the length of the whole."""
    if not part:
        return f"bytes */{len(content)}".encode()
    at = len(content) - len(part) if first is None else first
    return f"bytes {at}-{at + len(part) - 1}/{len(content)}".encode()


@given(st.binary(), st.integers(0, 2**62))
def test_no_value_makes_it_fail_or_leave_the_file(value: bytes, size: int) -> None:
    span = requested([b"bytes=" + value], size)
    assert span is None or span == UNSATISFIABLE or 0 <= span.offset < span.offset + span.length <= size
