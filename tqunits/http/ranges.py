"""A part of a representation: the Range field in bytes, RFC 9110 §14.

One range is served. A server may ignore Range (§14.2), so everything else is answered with the
whole: other units, what is not in the grammar, and several ranges. These would need
multipart/byteranges, cost the server most where they are useless (many, small, overlapping:
§17.15), and are sent by hardly anybody.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_RANGE: Final = re.compile(rb"([0-9]{0,18})-([0-9]{0,18})")
"""int-range or suffix-range (§14.1.1). 18 digits are beyond any file, as in a Content-Length."""


class Span(NamedTuple):
    """Bytes to send. `length` 0: none of what was asked for is there, which is a 416."""

    offset: int
    length: int


UNSATISFIABLE: Final = Span(0, 0)


def requested(values: list[bytes], size: int) -> Span | None:
    """What the values of Range ask for of `size` bytes; None: the whole, as if there were no
    Range."""
    if len(values) != 1:
        return None
    unit, equals, text = values[0].partition(b"=")
    if not equals or unit.lower() != b"bytes":
        return None
    ranges = [one for part in text.split(b",") if (one := part.strip(b" \t"))]  # empty members: §5.6.1.2
    match = _RANGE.fullmatch(ranges[0]) if len(ranges) == 1 else None
    if match is None:
        return None
    first, last = match.groups()
    return _from(int(first), last, size) if first else _suffix(last, size)


def content_range(span: Span, size: int) -> bytes:
    """The value of Content-Range (§14.4) for a part, or for a 416."""
    if not span.length:
        return b"bytes */%d" % size
    return b"bytes %d-%d/%d" % (span.offset, span.offset + span.length - 1, size)


def _from(first: int, digits: bytes, size: int) -> Span | None:
    """`first-` and `first-last`; the last byte is meant too, and may be beyond the end."""
    last = int(digits) if digits else size - 1
    if digits and last < first:
        return None  # not a range (§14.1.1)
    return Span(first, min(last, size - 1) - first + 1) if first < size else UNSATISFIABLE


def _suffix(digits: bytes, size: int) -> Span | None:
    """`-length`. The last nought bytes are a 416 (§14.1.2); no Content-Range can say "all of an
    empty file"."""
    if not digits:
        return None
    length = min(int(digits), size)
    if not size and int(digits):
        return None
    return Span(size - length, length) if length else UNSATISFIABLE
