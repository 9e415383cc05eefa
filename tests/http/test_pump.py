"""Pumps: a body in any pieces comes out whole, framed anew. A body that is invalid is refused,
wherever the pieces end."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.grammar import Malformed
from tqunits.http.pump import MAX_TRAILERS, ChunkedPump, ClosePump, LengthPump, Pump

PIECES = st.lists(st.integers(0, 40), max_size=30)
"""Sizes of pieces. A piece may be empty: behind a head that came alone there is nothing of the body
yet."""


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def fed(pump: Pump, data: bytes) -> bytes:
    """The output for all of that, in as many turns as it takes."""
    out = pump.feed(data)
    while pump.rest:
        out += pump.feed(b"")
    return out


def run(pump: Pump, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """(the output, the bytes behind the body)."""
    out, surplus = b"", b""
    for piece in pieces:
        if pump.done:
            surplus += piece
        else:
            out += fed(pump, piece)
    return out, pump.surplus + surplus


def unchunk(data: bytes) -> tuple[bytes, bytes]:
    """A second reader of chunks, as simple as possible: (payload, trailer section); b"" for that
    before the last chunk."""
    payload = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        assert re.fullmatch(rb"[0-9a-f]+", size)
        if size == b"0":
            return payload, data
        payload, data = payload + data[: int(size, 16)], data[int(size, 16) :]
        assert data.startswith(b"\r\n")
        data = data[2:]
    return payload, b""


@dataclass(frozen=True)
class Way:
    """A pump, with a body as it comes, and what a reader of the output has to get."""

    make: Callable[[], Pump]
    stream: bytes
    chunks: bool = False  # the output is in chunks
    until_close: bool = False
    trailers: bytes = b""

    def read(self, out: bytes) -> tuple[bytes, bytes]:
        """(payload, trailer section) of the output so far."""
        return unchunk(out) if self.chunks else (out, b"")

    @property
    def last(self) -> bytes:
        """The trailer section of a complete body."""
        return self.trailers + b"\r\n" if self.chunks else b""


HELLO = b"hello world"
CHUNKS = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"
TRAILED = CHUNKS[:-2] + b"X-Sum: 1\r\n\r\n"
LENGTH = Way(lambda: LengthPump(len(HELLO)), HELLO)
REFRAMED = {
    "chunks": Way(lambda: ChunkedPump(rechunk=True), CHUNKS, chunks=True),
    "trailers": Way(lambda: ChunkedPump(rechunk=True), TRAILED, chunks=True, trailers=b"X-Sum: 1\r\n"),
    "trailers that nobody reads": Way(lambda: ChunkedPump(rechunk=True, trailers=False), TRAILED, chunks=True),
    "chunks to none": Way(lambda: ChunkedPump(rechunk=False), TRAILED),
}
UNTIL_CLOSE = {
    "until close, in chunks": Way(lambda: ClosePump(rechunk=True), HELLO, chunks=True, until_close=True),
    "until close": Way(lambda: ClosePump(rechunk=False), HELLO, until_close=True),
}
PUMPS = {"length": LENGTH} | REFRAMED | UNTIL_CLOSE
ways = pytest.mark.parametrize("way", PUMPS.values(), ids=PUMPS)


def dripped(way: Way, size: int) -> tuple[Pump, bytes]:
    """The pump after the first so many bytes have come one at a time, with an empty piece after
    each; and its output."""
    pump = way.make()
    out = pump.feed(b"")
    for at in range(size):
        out += pump.feed(way.stream[at : at + 1])
        out += b"" if pump.done else pump.feed(b"")
    return pump, out


def places(way: Way) -> Iterator[int]:
    """Every position in a body; if the body has an end, only those before it."""
    return iter(range(len(way.stream) + way.until_close))


@ways
def test_nothing_comes_of_nothing(way: Way) -> None:
    """The output for a head that came without its body is that head."""
    for place in places(way):
        pump, out = dripped(way, place)
        assert [pump.feed(b"") for _ in range(3)] == [b""] * 3, (place, out)
        assert not pump.done


@ways
def test_there_is_no_last_chunk_before_the_end(way: Way) -> None:
    for place in places(way):
        pump, out = dripped(way, place)
        payload, last = way.read(out)
        assert HELLO.startswith(payload)
        assert (last, pump.done) == (b"", False), place


@ways
def test_an_end_anywhere_is_the_body_s_only_if_nothing_else_would_tell_it(way: Way) -> None:
    for place in places(way):
        pump, out = dripped(way, place)
        rest = pump.end()
        assert (rest is not None) == pump.done == way.until_close, place
        if rest is not None:
            assert way.read(out + rest) == (HELLO[:place], way.last)


@ways
def test_byte_by_byte_with_nothing_in_between_it_comes_out_whole(way: Way) -> None:
    pump, out = dripped(way, len(way.stream))
    assert pump.done != way.until_close
    assert way.read(out + (b"" if pump.done else pump.end() or b"")) == (HELLO, way.last)


def outcome(way: Way, pieces: list[bytes]) -> object:
    """What a reader of the whole output gets; or the refusal of the pump."""
    pump = way.make()
    try:
        out, surplus = run(pump, pieces)
    except Malformed as error:
        return error.status
    rest = None if pump.done else pump.end()
    return way.read(out + (rest or b"")), surplus, pump.done


SCRAPS = [CHUNKS, b"0\r\n", b"\r\n", b"X: y\r\n", b"3\r\nabc\r\n", b"A;b", b"0", b"f", b"\r", b"\n", b" ", b"\0"]


@ways
@given(st.lists(st.sampled_from(SCRAPS), max_size=8).map(b"".join), PIECES)
def test_where_it_breaks_changes_nothing(way: Way, data: bytes, sizes: list[int]) -> None:
    for stream in (way.stream + data, data):
        assert outcome(way, split(stream, sizes)) == outcome(way, [stream])


@pytest.mark.parametrize("size", [1, 100_000], ids=["byte by byte", "whole"])
def test_trailers_may_be_as_long_as_that(size: int) -> None:
    line = b"X-Sum: " + b"1" * (MAX_TRAILERS - 7)
    for trailers, fits in ((line, True), (line + b"1", False)):
        data = b"0\r\n" + trailers + b"\r\n\r\n"
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        found = outcome(REFRAMED["trailers"], pieces)
        assert found == (((b"", trailers + b"\r\n\r\n"), b"", True) if fits else 431)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), PIECES, st.sampled_from([b"", b"GET / HTTP/1.1\r\n"]))
def test_chunks_come_out_whole_however_they_are_split(chunks: list[bytes], sizes: list[int], behind: bytes) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    pump = ChunkedPump(rechunk=True)
    out, surplus = run(pump, split(body + behind, sizes))
    assert pump.done
    assert (unchunk(out), surplus) == ((b"".join(chunks), b"\r\n"), behind)
    plain, _ = run(ChunkedPump(rechunk=False), split(body, sizes))
    assert plain == b"".join(chunks)


@given(st.binary(max_size=100), PIECES)
def test_no_bytes_make_the_pump_fail(data: bytes, sizes: list[int]) -> None:
    with contextlib.suppress(Malformed):
        run(ChunkedPump(rechunk=True), split(data, sizes))


@given(st.integers(1, 100), st.binary(max_size=200), PIECES)
def test_a_length_takes_exactly_that_much(length: int, data: bytes, sizes: list[int]) -> None:
    pump = LengthPump(length)
    assert run(pump, split(data, sizes)) == (data[:length], data[length:])
    assert pump.done == (len(data) >= length)


BAD = {
    "no digits": b"\r\n",
    "plus": b"+5\r\nhello\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "underscore": b"1_0\r\n",
    "space before the size": b" 5\r\nhello\r\n",
    "space after the size": b"5 \r\nhello\r\n",
    "space before the extension": b"5 ;a\r\nhello\r\n",
    "17 digits": b"0" * 16 + b"5\r\nhello\r\n",
    "bare LF after the size": b"5\nhello\r\n",
    "bare CR in the line": b"5\rx\nhello\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n",
    "NUL in an extension": b"5;a\0\r\nhello\r\n",
    "bare LF after the data": b"5\r\nhello\n",
    "two bytes that are no CRLF": b"5\r\nhelloXX0\r\n\r\n",
    "too much data": b"5\r\nhello!\r\n",
    "endless extension": b"5;" + b"a" * 2000 + b"\r\n",
    "many extensions": b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 200,
    "folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without a colon": b"0\r\nGET / HTTP/1.1\r\n\r\n",
    "bare LF in the trailers": b"0\r\nA: b\nC: d\r\n\r\n",
    "endless trailers": b"0\r\n" + b"A: b\r\n" * 2000,
    "too many trailers": b"0\r\n" + b"A: b\r\n" * 101 + b"\r\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("size", [1, 7, 100_000], ids=["byte by byte", "in sevens", "whole"])
def test_a_broken_chunk_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(Malformed):
        run(ChunkedPump(rechunk=True), [data[i : i + size] for i in range(0, len(data), size)])


@pytest.mark.parametrize("size", [1, 100_000], ids=["byte by byte", "whole"])
def test_trailers_are_filtered_and_extensions_dropped(size: int) -> None:
    data = b"5;a=b\r\nhello\r\n0;c\r\nX-Sum: 1\r\nContent-Length: 9\r\nAuthorization: x\r\nHost: b\r\n\r\nnext"
    data = data.replace(b"Host", b"Content.Length: 9\r\nSet_Cookie: a\r\nX~Real~IP: 1\r\nHost")
    out, surplus = run(ChunkedPump(rechunk=True), [data[i : i + size] for i in range(0, len(data), size)])
    assert unchunk(out) == (b"hello", b"X-Sum: 1\r\n\r\n")
    assert surplus == b"next"


def test_trailers_that_nobody_reads_are_dropped() -> None:
    out, _ = run(ChunkedPump(rechunk=True, trailers=False), [b"0\r\nX-Sum: 1\r\n\r\n"])
    assert out == b"0\r\n\r\n"


def test_the_limit_counts_payload() -> None:
    assert run(ChunkedPump(rechunk=False, limit=5), [b"5\r\nhello\r\n0\r\n\r\n"])[0] == b"hello"
    with pytest.raises(Malformed) as refused:
        run(ChunkedPump(rechunk=False, limit=5), [b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"])
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "pump", [LengthPump(5), ChunkedPump(rechunk=True), ChunkedPump(rechunk=False)], ids=["length", "chunks", "plain"]
)
def test_an_early_end_is_no_end(pump: Pump) -> None:
    pump.feed(b"3\r\n")
    assert pump.end() is None


def test_a_body_until_close_ends_with_the_connection() -> None:
    assert ClosePump(rechunk=True).end() == b"0\r\n\r\n"
    assert ClosePump(rechunk=False).end() == b""
    assert ClosePump(rechunk=True).feed(b"hello") == b"5\r\nhello\r\n"
    assert ClosePump(rechunk=True).feed(b"") == b""


TINY = b"1\r\nx\r\n"


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def test_a_turn_takes_so_many_chunks_and_no_more() -> None:
    """A call is short, whatever came at once. The rest comes out in the next calls, before anything
    newer."""
    for size in (1, 3, 100):
        pump = ChunkedPump(rechunk=False)
        piece = b"%b" % bytes(range(97, 107)) * 10
        turns = [pump.feed(chunks(piece[:size]) * 1000)]
        while pump.rest:
            turns.append(pump.feed(b""))
        assert [len(turn) for turn in turns] == [size * n for n in (256, 256, 256, 232)]
        assert b"".join(turns) == piece[:size] * 1000
    pump = ChunkedPump(rechunk=False)
    out = pump.feed(chunks(b"abc") * 300)
    assert out + pump.feed(chunks(b"d") + b"0\r\n\r\nnext") == b"abc" * 300 + b"d"
    assert (pump.done, pump.rest, pump.surplus) == (True, b"", b"next")


@given(st.lists(st.binary(min_size=1, max_size=3), min_size=200, max_size=900), st.integers(1, 3000), st.booleans())
def test_many_small_chunks_come_out_whole_however_they_came(pieces: list[bytes], size: int, rechunk: bool) -> None:  # noqa: FBT001
    data = chunks(*pieces) + b"0\r\nX-Sum: 1\r\n\r\nnext"
    out, surplus = run(ChunkedPump(rechunk=rechunk), [data[at : at + size] for at in range(0, len(data), size)])
    assert surplus == b"next"
    assert (unchunk(out)[0] if rechunk else out) == b"".join(pieces)


FLOODS = {"one byte": TINY, "a size with nought before it": b"0000000000000003\r\nabc\r\n"}


@pytest.mark.parametrize(("framing", "most"), [(16384, 18000), (262144, 280000)], ids=["request", "response"])
@pytest.mark.parametrize("chunk", FLOODS.values(), ids=FLOODS)
def test_a_body_that_is_mostly_framing_is_refused(chunk: bytes, framing: int, most: int) -> None:
    """The flood is refused as soon as its framing has so many bytes more than twice its payload."""
    pump = ChunkedPump(rechunk=True, framing=framing)
    carried = 3 if b"abc" in chunk else 1
    excess = 0
    with pytest.raises(Malformed) as refused:
        while excess < most:
            fed(pump, chunk * 1000)
            excess += 1000 * (len(chunk) - 3 * carried)
    assert refused.value.status == 400
    assert excess + 1000 * (len(chunk) - 3 * carried) > framing


HONEST = {
    "letters, one by one as they are written": [TINY] * 30_000,
    "some letters at once": [TINY * 64] * 1000,
    "JSON as Python's encoder yields it": [chunks(b"[1", *[b", 2"] * 2999)] * 10,
    "words": [chunks(b"to", b"ken ", b"a", b" stream") * 1000] * 10,
    "a letter page of a WSGI program": [TINY * 12_000] * 7,
    "lines": [chunks(b"a line of text\n" * 2) * 2000] * 10,
    "letters, and what is large now and then": [TINY * 1000 + chunks(bytes(4000))] * 30,
}


@pytest.mark.parametrize("pieces", HONEST.values(), ids=HONEST)
def test_what_honest_programs_send_is_no_flood(pieces: list[bytes]) -> None:
    """No response of these is refused; of the requests only the page, which no client sends in this
    way."""
    run(ChunkedPump(rechunk=True), pieces)
    if len(pieces) != 7:
        run(ChunkedPump(rechunk=True, framing=16384), pieces)
