"""Framing: which messages have a body and how long it is, and what is refused. A proxy that accepts
any of these would allow request smuggling."""

from __future__ import annotations

import pytest

from tqunits.http.framing import UNKNOWN, Kind, request_framing, response_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import parse_request, parse_response

REQUESTS = {
    "nothing": ("", Kind.NONE, 0, b""),
    "length": ("Content-Length: 12", Kind.LENGTH, 12, b"\r\nContent-Length: 12"),
    "length with zeros before": ("Content-Length: 0012", Kind.LENGTH, 12, b"\r\nContent-Length: 12"),
    "length nought": ("Content-Length: 0", Kind.NONE, 0, b"\r\nContent-Length: 0"),
    "18 digits": ("Content-Length: " + "9" * 18, Kind.LENGTH, 10**18 - 1, b"\r\nContent-Length: " + b"9" * 18),
    "chunked": ("Transfer-Encoding: chunked", Kind.CHUNKED, UNKNOWN, b"\r\nTransfer-Encoding: chunked"),
    "chunked, any case": ("transfer-ENCODING:\tChUnKeD ", Kind.CHUNKED, UNKNOWN, b"\r\nTransfer-Encoding: chunked"),
}

BAD_REQUESTS = {
    "both": (400, "Content-Length: 3\r\nTransfer-Encoding: chunked"),
    "both, the other way": (400, "Transfer-Encoding: chunked\r\nContent-Length: 3"),
    "length twice": (400, "Content-Length: 3\r\nContent-Length: 3"),
    "two lengths": (400, "Content-Length: 3\r\nContent-Length: 4"),
    "list of lengths": (400, "Content-Length: 3, 3"),
    "plus": (400, "Content-Length: +3"),
    "minus": (400, "Content-Length: -3"),
    "hex": (400, "Content-Length: 0x3"),
    "underscore": (400, "Content-Length: 1_0"),
    "space inside": (400, "Content-Length: 1 0"),
    "empty length": (400, "Content-Length:"),
    "19 digits": (400, "Content-Length: " + "1" * 19),
    "other digits": (400, "Content-Length: \xb2"),
    "chunked twice": (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "chunked, chunked": (400, "Transfer-Encoding: chunked, chunked"),
    "gzip, chunked": (400, "Transfer-Encoding: gzip, chunked"),
    "chunked, identity": (400, "Transfer-Encoding: chunked, identity"),
    "comma chunked": (400, "Transfer-Encoding: ,chunked"),
    "xchunked": (400, "Transfer-Encoding: xchunked"),
    "chunked with a parameter": (400, "Transfer-Encoding: chunked;x=y"),
    "quoted": (400, 'Transfer-Encoding: "chunked"'),
    "vertical tab": (400, "Transfer-Encoding: \x0bchunked"),
    "empty coding": (400, "Transfer-Encoding:"),
    "gzip": (501, "Transfer-Encoding: gzip"),
    "identity": (501, "Transfer-Encoding: identity"),
}


def request(lines: str, version: str = "1.1") -> bytes:
    return head_of(f"POST / HTTP/{version}", f"Host: a\r\n{lines}" if lines else "Host: a")


def response(lines: str, status: int = 200, version: str = "1.1") -> bytes:
    return head_of(f"HTTP/{version} {status} X", lines)


def head_of(start: str, lines: str) -> bytes:
    return "\r\n".join([start, *([lines] if lines else []), "", ""]).encode("latin-1")


@pytest.mark.parametrize(("lines", "kind", "length", "line"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_is_framed_by_what_it_says(lines: str, kind: Kind, length: int, line: bytes) -> None:
    framing = request_framing(parse_request(request(lines)))
    assert (framing.source, framing.length, framing.line) == (kind, length, line)


@pytest.mark.parametrize(("status", "lines"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_an_ambiguous_request_is_refused(status: int, lines: str) -> None:
    with pytest.raises(Malformed) as refused:
        request_framing(parse_request(request(lines)))
    assert refused.value.status == status


def test_chunks_in_http_1_0_are_refused() -> None:
    with pytest.raises(Malformed, match=r"HTTP/1\.0"):
        request_framing(parse_request(request("Transfer-Encoding: chunked", "1.0")))
    with pytest.raises(Malformed, match=r"HTTP/1\.0"):
        response_framing(parse_response(response("Transfer-Encoding: chunked", version="1.0")), b"GET", chunks=True)


CHUNKED = b"\r\nTransfer-Encoding: chunked"
RESPONSES = {
    "length": (b"GET", 200, "Content-Length: 5", Kind.LENGTH, Kind.LENGTH, b"\r\nContent-Length: 5"),
    "length nought": (b"GET", 200, "Content-Length: 0", Kind.NONE, Kind.NONE, b"\r\nContent-Length: 0"),
    "chunked": (b"GET", 200, "Transfer-Encoding: chunked", Kind.CHUNKED, Kind.CHUNKED, CHUNKED),
    "until close": (b"GET", 200, "", Kind.CLOSE, Kind.CHUNKED, CHUNKED),
    "HEAD": (b"HEAD", 200, "", Kind.NONE, Kind.NONE, b""),
    "HEAD with a length": (b"HEAD", 200, "Content-Length: 5", Kind.NONE, Kind.NONE, b"\r\nContent-Length: 5"),
    "HEAD, chunked": (b"HEAD", 200, "Transfer-Encoding: chunked", Kind.NONE, Kind.NONE, b""),
    "204": (b"GET", 204, "", Kind.NONE, Kind.NONE, b""),
    "204 with a length": (b"GET", 204, "Content-Length: 5", Kind.NONE, Kind.NONE, b""),
    "304": (b"GET", 304, "", Kind.NONE, Kind.NONE, b""),
    "304 with a length": (b"GET", 304, "Content-Length: 5", Kind.NONE, Kind.NONE, b"\r\nContent-Length: 5"),
}


@pytest.mark.parametrize(
    ("method", "status", "lines", "source", "sink", "line"), RESPONSES.values(), ids=RESPONSES.keys()
)
def test_a_response_is_framed_by_method_status_and_fields(
    method: bytes, status: int, lines: str, source: Kind, sink: Kind, line: bytes
) -> None:
    framing = response_framing(parse_response(response(lines, status)), method, chunks=True)
    assert (framing.source, framing.sink, framing.line) == (source, sink, line)


@pytest.mark.parametrize("chunks", [True, False], ids=["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize(("method", "status", "lines"), [row[:3] for row in RESPONSES.values()], ids=RESPONSES.keys())
def test_a_head_that_comes_alone_has_nothing_behind_it(method: bytes, status: int, lines: str, *, chunks: bool) -> None:
    pump = response_framing(parse_response(response(lines, status)), method, chunks=chunks).pump()
    if pump is not None:
        assert (pump.feed(b""), pump.done, pump.surplus) == (b"", False, b"")


@pytest.mark.parametrize("lines", ["", "Transfer-Encoding: chunked"])
def test_a_client_of_http_1_0_gets_no_chunks(lines: str) -> None:
    framing = response_framing(parse_response(response(lines)), b"GET", chunks=False)
    assert (framing.sink, framing.line) == (Kind.CLOSE, b"")


AS_LONG = frozenset({"length twice", "list of lengths"})
"""RFC 9110 §8.6: a response may repeat its length."""

BAD_RESPONSES = {name: lines for name, (_, lines) in BAD_REQUESTS.items() if name not in AS_LONG}


@pytest.mark.parametrize("lines", BAD_RESPONSES.values(), ids=BAD_RESPONSES.keys())
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_an_ambiguous_response_is_refused_too(lines: str, method: bytes) -> None:
    with pytest.raises(Malformed):
        response_framing(parse_response(response(lines)), method, chunks=True)
