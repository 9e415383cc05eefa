"""Counts the lines of Python that run for hostile bytes, and for twice as many; prints JSON for
test_linear.py.

Run by bench/python/interpreted.py, because lines can not be counted in compiled code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

from tqunits.http.fields import Fields, RequestFields
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer
from tqunits.http.pump import ChunkedPump


def lines_run(action: Callable[[], object]) -> int:
    """The number of lines of Python that ran."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    with suppress(Malformed):
        action()
    sys.settrace(None)
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


WORK = (drip_head, drip_chunks, drip_trailers, nominate, drop_lines, fill_holes)

if __name__ == "__main__":
    counts = {work.__name__: [lines_run(partial(work, size)) for size in (1200, 2400)] for work in WORK}
    print(json.dumps(counts))
