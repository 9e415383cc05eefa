"""What RFC 9112 requires or allows a proxy to mend in a response, and the message if it can not."""

from __future__ import annotations

import pytest

from tqunits.http.framing import Kind, request_framing, response_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, parse_request, parse_response
from tqunits.http.mending import foreign
from tqunits.http.pump import ChunkedPump
from tqunits.model import HeadLimits

OK = b"HTTP/1.1 200 OK\r\n"

MENDED = {
    "a space before the colon": (b"A : b", b"A: b"),
    "tabs before the colon": (b"A\t \t:b", b"A:b"),
    "in the second line": (b"A: b\r\nC : d", b"A: b\r\nC: d"),
    "a colon in the value": (b"A : b : c", b"A: b : c"),
    "a folded line": (b"A: b\r\n c", b"A: b c"),
    "folded twice, with tabs": (b"A: b\r\n\tc\r\n \t d", b"A: b c d"),
    "a fold of nothing, and one of something": (b"A: b\r\n \r\n c", b"A: b  c"),
    "a fold that looks like a field": (b"A: b\r\n Content-Length: 9", b"A: b Content-Length: 9"),
    "a fold of spaces alone": (b"A: b\r\n  \r\nC: d", b"A: b \r\nC: d"),
    "both": (b"A : b\r\n c\r\nD : e", b"A: b c\r\nD: e"),
}


@pytest.mark.parametrize(("lines", "passed_on"), MENDED.values(), ids=MENDED)
def test_lines_of_a_response_are_mended(lines: bytes, passed_on: bytes) -> None:
    assert parse_response(OK + lines + b"\r\n\r\n").fields.kept == b"\r\n" + passed_on


@pytest.mark.parametrize("lines", [lines for lines, _ in MENDED.values()], ids=MENDED)
def test_those_of_a_request_are_not(lines: bytes) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n"
    if lines == b"A: b":
        parse_request(request)
        return
    with pytest.raises(Malformed) as refused:
        parse_request(request)
    assert refused.value.status == 400


@pytest.mark.parametrize("lines", [b"Content-Length : 5", b"Transfer-Encoding : chunked", b"Connection : close"])
def test_what_is_mended_means_what_it_says(lines: bytes) -> None:
    head = parse_response(OK + lines + b"\r\n\r\n")
    framing = response_framing(head, b"GET", chunks=True)
    kinds = {b"Content-Length : 5": Kind.LENGTH, b"Transfer-Encoding : chunked": Kind.CHUNKED}
    assert framing.source is kinds.get(lines, Kind.CLOSE)
    assert head.fields.kept == b""
    assert (b"close" in head.fields.options_said) == lines.startswith(b"Conn")


LENGTHS = {
    "twice the same": (b"Content-Length: 5\r\nContent-Length: 5", 5),
    "three times": (b"Content-Length: 5\r\nA: b\r\ncontent-length: 5\r\nContent-Length:  5", 5),
    "a list": (b"Content-Length: 5, 5", 5),
    "a list and a line": (b"Content-Length: 5 ,5\r\nContent-Length: 5", 5),
    "that differ": (b"Content-Length: 5\r\nContent-Length: 6", None),
    "that differ in a list": (b"Content-Length: 5, 6", None),
    "that are spelled differently": (b"Content-Length: 5\r\nContent-Length: 05", None),
    "a list with a hole": (b"Content-Length: 5,", None),
    "a sign": (b"Content-Length: +5\r\nContent-Length: +5", None),
}


@pytest.mark.parametrize(("lines", "length"), LENGTHS.values(), ids=LENGTHS)
def test_a_response_may_say_its_length_as_often_as_it_likes(lines: bytes, length: int | None) -> None:
    head = parse_response(OK + lines + b"\r\n\r\n")
    if length is None:
        with pytest.raises(Malformed, match="Content-Length"):
            response_framing(head, b"GET", chunks=True)
        return
    framing = response_framing(head, b"GET", chunks=True)
    assert (framing.source, framing.length, framing.line) == (Kind.LENGTH, length, b"\r\nContent-Length: 5")
    assert b"ontent" not in head.fields.kept
    request = parse_request(b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n")
    with pytest.raises(Malformed):
        request_framing(request)


def test_of_two_lengths_none_is_taken_for_both_in_the_next_responses() -> None:
    """What is kept for the next response (stencil.py) contains one length."""
    told = OK + b"Content-Length: %d\r\nContent-Length: %d\r\n\r\n"
    known = None
    for first, second in ((5, 5), (5, 5), (7, 7), (8, 8)):
        head = parse_response(told % (first, second), known)
        assert response_framing(head, b"GET", chunks=True).length == first
        known = head.fields
    for _ in range(3):
        head = parse_response(told % (8, 9), known)
        with pytest.raises(Malformed, match="they differ"):
            response_framing(head, b"GET", chunks=True)
        known = head.fields


def fed(data: bytes, size: int, *, padded: bool) -> bytes:
    pump = ChunkedPump(rechunk=True, padded=padded)
    pieces = []
    for at in range(0, len(data), size):
        pieces.append(pump.feed(data[at : at + size]))
        while pump.rest:
            pieces.append(pump.feed(b""))
    assert pump.done
    return b"".join(pieces)


PADDED = b"5  \r\nhello\r\n0000000000000003\t \r\nabc\r\n1 ;a=b\r\nd\r\n0     \r\nX-Sum : 1\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_padded_chunk_sizes_are_read_in_a_response_and_written_anew(size: int) -> None:
    out = fed(PADDED, size, padded=True)
    assert b"".join(line for line in out.split(b"\r\n")[1::2]).startswith(b"hello" if size > 6 else b"h")
    assert out.endswith(b"0\r\nX-Sum: 1\r\n\r\n")
    assert b" \r\n" not in out and b";" not in out


@pytest.mark.parametrize("size", [1, 1000])
def test_in_a_request_they_are_refused(size: int) -> None:
    with pytest.raises(Malformed):
        fed(PADDED, size, padded=False)


def test_padding_is_no_extension_however_much_of_it_there_is() -> None:
    body = b"5       \r\nhello\r\n" * 20_000 + b"0\r\n\r\n"
    assert fed(body, 65536, padded=True).count(b"hello") == 20_000


@pytest.mark.parametrize("line", [b" 5\r\n", b"5 5\r\n", b"5 \n", b"5" + b" " * 1025, b"5 \r \n"])
def test_what_is_no_padding(line: bytes) -> None:
    with pytest.raises(Malformed):
        fed(line + b"hello\r\n0\r\n\r\n", 10_000, padded=True)


FOREIGN = {
    b"\x15\x03\x03\x00\x02\x02\x46": "it speaks TLS",
    b"220 mail.example ESMTP Exim\r\n": "it does not speak HTTP: the answer begins with '220 mail.example ESMTP E'...",
    b"HTTP/2.0 200 OK\r\n": "it speaks 'HTTP/2.0', and not HTTP/1.1 or HTTP/1.0",
    b"\r\nHTTP/1.1 200": r"it does not speak HTTP: the answer begins with '\r\nHTTP/1.1 200'",
}


@pytest.mark.parametrize(("data", "said"), FOREIGN.items())
def test_what_another_program_speaks_is_said(data: bytes, said: str) -> None:
    assert foreign(data) == said


def test_nothing_is_said_of_the_beginning_of_a_response() -> None:
    assert {foreign(b"HTTP/1.1 200 OK\r\n"[:size]) for size in range(18)} == {""}


STATUS_LINES = {
    b"HTTP/1.1 999 Denied": "the status is '999', which is none of 100 to 599",
    b"HTTP/1.1 2000 OK": "the status is '2000'",
    b"HTTP/1.1 OK": "the status line is not HTTP/1.1 SP STATUS SP REASON: 'HTTP/1.1 OK'",
    b"HTTP/1.1  200 OK": "the status line is not",
    b"HTTP/1.2 200 OK": "it speaks 'HTTP/1.2'",
}


@pytest.mark.parametrize(("line", "said"), STATUS_LINES.items())
def test_what_is_wrong_with_a_status_line_is_said(line: bytes, said: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_response(line + b"\r\n\r\n")
    assert said in refused.value.detail


def test_a_response_has_limits_of_its_own() -> None:
    limits = HeadLimits(65536, 65536, 300)
    head = OK + b"".join(b"A%d: %b\r\n" % (n, b"x" * 200) for n in range(300)) + b"\r\n"
    assert len(head) > 60_000
    assert HeadBuffer(limits).feed(head) == (head, b"")
    assert len(parse_response(head, None, limits).fields.names) == 300
    with pytest.raises(Malformed, match="more than 100 fields"):
        parse_response(head)
