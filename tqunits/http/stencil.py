"""The common part of the heads of one connection, so that the next head is parsed by its
differences.

A client sends nearly the same fields with each request, and a worker with each response; HPACK (RFC
7541) also uses that. Two heads with the same names in the same order make a stencil: their bytes,
with a hole for each value that differed. Whether a third fits is a comparison of bytes and a look
at what is in the holes. This is no second grammar: a head that fits consists of lines that were
validated before, and of values that are tested in the same way.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from tqunits.http.grammar import is_text

MAX_HOLES: Final = 16
"""Each costs a step of Python: with more, reading the whole block with one pattern is as fast."""


class Stencil:
    """The fixed bytes of a block of field lines, and where values come in between. Shared by all
    heads that fit."""

    __slots__ = ("_dropped", "_first", "_kept", "_others", "_plain", "_told", "holes")

    def __init__(
        self,
        lines: Sequence[bytes],
        beginnings: Sequence[bytes],
        dropped: Container[int],
        holes: frozenset[int],
        told: int | None = None,
    ) -> None:
        """`lines`: of a valid block; `beginnings`: of each, CRLF, name and colon; `dropped`,
        `holes`: places of lines.

        Lines that are dropped do not go on, whether they have a hole or not. `told`: the hole whose
        value is of use.
        """
        parts: list[list[bytes]] = [[]]  # of the block, one more than there are holes
        kept: list[list[bytes]] = [[]]  # of what goes on of it
        for place, line in enumerate(lines):
            hole = place in holes
            text = beginnings[place] if hole else b"\r\n" + line
            parts[-1].append(text)
            if place not in dropped:
                kept[-1].append(text)
            if hole:
                parts.append([])
                kept += ([], [])
        parts[-1].append(b"\r\n\r\n")
        self.holes = holes
        self._first, *others = (b"".join(part) for part in parts)
        self._others = [(part, len(part)) for part in others]
        self._kept = [b"".join(part) for part in kept]  # with an empty place for each value
        places = sorted(holes)
        self._dropped = [2 * number + 1 for number, hole in enumerate(places) if hole in dropped]
        self._told = None if told is None else places.index(told)
        self._plain = self._kept[0], b""

    @property
    def tells(self) -> bool:
        """Whether there is a hole whose value is of use."""
        return self._told is not None

    def fit(self, data: bytes, start: int, end: int) -> tuple[bytes, bytes] | None:
        """What goes on of the block data[start:end], as lines with the CRLF before each; None when
        it does not fit.

        And the value that is of use, as it was sent with the space around it; b"" where there is
        none. Linear: each hole is looked for from where the one before it ended.
        """
        if not data.startswith(self._first, start):
            return None
        at = start + len(self._first)
        if not self._others:
            return self._plain if at == end else None
        values = []
        for part, size in self._others:  # each begins with the CRLF behind a value
            stop = data.find(b"\r\n", at)
            if not data.startswith(part, stop):
                return None
            values.append(data[at:stop])
            at = stop + size
        if at != end or not is_text(b"".join(values)):
            return None
        kept = self._kept.copy()
        kept[1::2] = values
        for place in self._dropped:
            kept[place] = b""
        told = self._told
        return b"".join(kept), b"" if told is None else values[told]
