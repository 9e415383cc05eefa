"""Content codings of compressed files beside the originals: which of them a client accepts, RFC
9110 §12.5.3."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from tqunits.http.grammar import TOKEN, split_list


class Coding(NamedTuple):
    """A content coding (RFC 9110 §8.4.1), and the suffix of the files that have it."""

    name: bytes
    suffix: bytes


CODINGS: Final = (Coding(b"br", b".br"), Coding(b"gzip", b".gz"))
"""The smaller first: brotli is RFC 7932."""

MAX_REMEMBERED: Final = 64
"""Browsers send a handful of values, always the same. A value is at most a whole head, so this is
less than 2 MiB."""

_MEMBER: Final = re.compile(rb"(%b)(?:[ \t]*+;[ \t]*+q=(?:0(?:\.([0-9]{0,3}))?|(1)(?:\.0{0,3})?))?" % TOKEN.pattern)
"""A coding (or `*`, which is a token too) with its weight (§12.4.2), lower-cased."""


def accepted(values: list[bytes]) -> tuple[Coding, ...]:
    """The codings that a client prefers to none, or likes as much; best first, equals in our order.

    Without Accept-Encoding none: every coding would be allowed then, but every client can read the
    plain file. A client that refuses all codings and `identity` gets the plain file (§12.5.3:
    better than nothing).
    """
    return _accepted(b",".join(values)) if values else ()


@lru_cache(MAX_REMEMBERED)
def _accepted(value: bytes) -> tuple[Coding, ...]:
    weights = _weights(value)
    others = weights.get(b"*", 0)
    identity = weights.get(b"identity", others)
    liked = ((weights.get(coding.name, others), coding) for coding in CODINGS)
    fitting = [(weight, coding) for weight, coding in liked if weight and weight >= identity]
    return tuple(coding for _, coding in sorted(fitting, key=lambda pair: -pair[0]))


def _weights(value: bytes) -> dict[bytes, int]:
    """Coding to weight, in thousandths. Invalid members are not accepted."""
    weights = {}
    for member in split_list([value]):
        match = _MEMBER.fullmatch(member)
        if match is not None:
            name = b"gzip" if match[1] == b"x-gzip" else match[1]  # the same (§8.4.1.3)
            weights[name] = 1000 if match[3] or b";" not in member else int((match[2] or b"0").ljust(3, b"0"))
    return weights
