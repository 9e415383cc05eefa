"""Message heads: each case in one piece, byte by byte, and with bytes after it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, parse_request, parse_response

VALID = {
    "smallest": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no fields, HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "empty line before": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no space after the colon": b"GET / HTTP/1.1\r\nHost:a\r\n\r\n",
    "tab and obs-text in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: \t\xe9 b\t \r\n\r\n",
    "empty value": b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    "higher minor": b"GET / HTTP/1.9\r\nHost: a\r\n\r\n",
    "100 fields": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 99 + b"\r\n",
    "line of 8 KiB": b"GET /" + b"a" * (8192 - 14) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
}

INVALID = {
    "empty line twice": (400, b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "bare LF after the request line": (400, b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    "bare LF after a field": (400, b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    "bare LF everywhere": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bare CR in a value": (400, b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
    "bare CR in the request line": (400, b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CR CR LF": (400, b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    "NUL in a value": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
    "DEL in a value": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"),
    "NUL in the target": (400, b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "raw UTF-8 in the target": (400, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "folded line": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
    "folded by tab": (400, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n"),
    "space before the first field": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "space before the colon": (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    "tab before the colon": (400, b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\nHost\r\n\r\n"),
    "empty name": (400, b"GET / HTTP/1.1\r\n: a\r\n\r\n"),
    "name that is no token": (400, b"GET / HTTP/1.1\r\nHo(st: a\r\n\r\n"),
    "obs-text in a name": (400, b"GET / HTTP/1.1\r\nH\xe9: a\r\n\r\n"),
    "two spaces": (400, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tab for a space": (400, b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space at the line's end": (400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    "no version": (400, b"GET /\r\nHost: a\r\n\r\n"),
    "lower-case version": (400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    "version of two digits": (400, b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    "method that is no token": (400, b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "HTTP/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\n"),
    "HTTP/0.9 in disguise": (505, b"GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    "TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "101 fields": (431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n"),
    "line over 8 KiB": (414, b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "head over 32 KiB": (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 32768 + b"\r\n\r\n"),
    "two Hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    "user in Host": (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    "space in Host": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "list in Host": (400, b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    "path in Host": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "a port without a host": (400, b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    "a colon alone": (400, b"GET / HTTP/1.1\r\nHost: :\r\n\r\n"),
    "two colons": (400, b"GET / HTTP/1.1\r\nHost: a::\r\n\r\n"),
    "port out of range": (400, b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    "port that is none": (400, b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
}


def feed(pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Feed a buffer until it gives a head; the rest of the pieces follows."""
    buffer = HeadBuffer()
    for index, piece in enumerate(pieces):
        whole = buffer.feed(piece)
        if whole is not None:
            return whole[0], whole[1] + b"".join(pieces[index + 1 :])
    raise AssertionError("no head in there")


def ways(data: bytes) -> dict[str, list[bytes]]:
    return {
        "whole": [data],
        "byte by byte": [data[i : i + 1] for i in range(len(data))],
        "with trailing data": [data + b"GET /next HTTP/1.1\r\n\r\n"],
    }


@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
def test_a_valid_head_is_read_however_it_comes(data: bytes) -> None:
    for way, pieces in ways(data).items():
        raw, rest = feed(pieces)
        head = parse_request(raw)
        assert (raw, rest) == (data, b"GET /next HTTP/1.1\r\n\r\n" if way == "with trailing data" else b""), way
        assert head.minor == (0 if b"HTTP/1.0" in data else 1)


@pytest.mark.parametrize(("status", "data"), INVALID.values(), ids=INVALID.keys())
def test_an_invalid_head_is_refused_however_it_comes(status: int, data: bytes) -> None:
    for way, pieces in ways(data).items():
        with pytest.raises(Malformed) as refused:
            parse_request(feed(pieces)[0])
        assert refused.value.status == status, way


RESPONSES = {
    "ordinary": (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", (200, b"OK", 1)),
    "no reason": (b"HTTP/1.1 204 \r\n\r\n", (204, b"", 1)),
    "no space either": (b"HTTP/1.1 204\r\n\r\n", (204, b"", 1)),
    "HTTP/1.0": (b"HTTP/1.0 404 Not Found\r\n\r\n", (404, b"Not Found", 0)),
}

BAD_RESPONSES = {
    "no status line": b"hello\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status over 599": b"HTTP/1.1 600 OK\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
    "bare CR": b"HTTP/1.1 200 OK\rA: b\r\n\r\n",
    "control in the reason": b"HTTP/1.1 200 O\0K\r\n\r\n",
    "a fold of nothing": b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nA \r\n\r\n",
    "space in the name": b"HTTP/1.1 200 OK\r\nA b : c\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
    "NUL in a mended one": b"HTTP/1.1 200 OK\r\nA : \0\r\n\r\n",
}


@pytest.mark.parametrize(("data", "expected"), RESPONSES.values(), ids=RESPONSES.keys())
def test_a_valid_response_is_read(data: bytes, expected: tuple[int, bytes, int]) -> None:
    head = parse_response(data)
    assert (head.status, head.reason, head.minor) == expected


@pytest.mark.parametrize("data", BAD_RESPONSES.values(), ids=BAD_RESPONSES.keys())
def test_an_invalid_response_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_response(data)


@given(st.lists(st.sampled_from([b"GET / HTTP/1.1", b"\r\n", b"\n", b"Host: a", b":", b" ", b"\0", b"A: b\r\n"])))
def test_nothing_but_malformed_is_raised(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    try:
        whole = HeadBuffer().feed(data)
        if whole is not None:
            parse_request(whole[0])
    except Malformed:
        pass


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parsers_fail(data: bytes) -> None:
    for parse in (parse_request, parse_response):
        with contextlib.suppress(Malformed):
            parse(data + b"\r\n\r\n")


NAMES = st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}", fullmatch=True).filter(lambda n: n.lower() != "host")
VALUES = st.from_regex(r"[!-~]([ \t!-~\x80-\xff]{0,20}[!-~])?", fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=20))
def test_what_was_written_is_what_is_read(fields: list[tuple[str, str]]) -> None:
    lines = [f"{name}: {value}\r\n".encode("latin-1") for name, value in fields]
    head = parse_request(b"GET /x HTTP/1.1\r\n" + b"".join(lines) + b"\r\n")
    assert list(head.fields.names) == [name.lower().encode() for name, _ in fields]
    for name in {name.lower() for name, _ in fields}:
        expected = [value.encode("latin-1") for n, value in fields if n.lower() == name]
        assert head.fields.values(name.encode()) == expected


def test_the_same_fields_again_are_not_read_again() -> None:
    """The second message makes the stencil that the short way needs (alike.py)."""
    first = parse_request(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    second = parse_request(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", first.fields)
    assert parse_request(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n", second.fields).fields is second.fields
    assert parse_request(b"GET /b HTTP/1.1\r\nHost: b\r\n\r\n", second.fields).fields.host == b"b"
