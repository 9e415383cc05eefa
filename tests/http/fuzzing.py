"""Properties of the HTTP core that must hold for every input, as functions over bytes; called by
test_fuzz.py and bench/python.

For every input, the only exception is Malformed, and input in pieces gives the same result as in
one piece. The first byte of an input decides how it is split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from both_ways import answered, asked, assert_same_request, assert_same_response

from tqunits.http import proxy_protocol
from tqunits.http.fields import RequestFields, ResponseFields
from tqunits.http.forward import Origin, Rewrite, check_request, request_head, response_head, wants_websocket
from tqunits.http.framing import request_framing, response_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, parse_request, parse_response
from tqunits.http.pump import ChunkedPump
from tqunits.http.target import read_target

REQUEST = (
    b"GET /a/b?c=%20d HTTP/1.1\r\nHost: a.example:80\r\nConnection: keep-alive, x\r\nX: y\r\nTE: trailers\r\n"
    b"X-Forwarded-For: 1.2.3.4\r\nContent-Length: 3\r\n\r\n"
)
RESPONSE = b"HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\nContent-Length: 3\r\nTrailer: x\r\n\r\nabc"
CHUNKS = b"5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n"
HEADER_1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 80\r\nGET"
HEADER_2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\x03\xe8\x00\x50GET"

ALIKE_REQUESTS = b"\0".join(
    b"GET /a/b?c=%d HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive\r\nCookie: a=%d\r\n\r\n" % (n, n)
    for n in range(3)
)
ALIKE_BODIES = b"\0".join(
    b"POST /a/b HTTP/1.1\r\nHost: a.example\r\nCookie: a=%d\r\nContent-Length: %d\r\n\r\nabc" % (n, n) for n in range(3)
)
ALIKE_RESPONSES = b"\0".join(
    b"HTTP/1.1 200 OK\r\nDate: now\r\nETag: %d\r\nContent-Length: %d\r\n\r\n" % (n, n) for n in range(3)
)


def request(data: bytes) -> None:
    """A request's head, and everything derived from it, twice: the second time with the help of the
    first."""
    try:
        whole = _head(data)
        if whole is None:
            return
        raw, _ = whole
        head = parse_request(raw)
        again = parse_request(raw, RequestFields(head.fields.block, parse_request(raw).fields))
        assert (again.method, again.target, again.minor) == (head.method, head.target, head.minor)
        assert (again.fields.kept, again.fields.host) == (head.fields.kept, head.fields.host)
        framing = request_framing(head)
        target = read_target(head)
        check_request(head, b"tqunits-x")
        out = request_head(
            head,
            target,
            framing,
            origin=Origin(b"192.0.2.1", b"http"),
            route=Rewrite(b"/a", strip=True),
            request_id=b"0" * 32,
            upgrade=wants_websocket(head, framing),
        )
        assert out.count(b"\r\n\r\n") == 1 and out.endswith(b"\r\n\r\n"), out
        assert parse_request(out).fields.block.lower().count(b"\r\nx-request-id:") == 1
        assert request_framing(parse_request(out)).length == framing.length
    except Malformed:
        return


def response(data: bytes) -> None:
    """A response's head, as it is sent on to a client."""
    try:
        whole = _head(data)
        if whole is None:
            return
        raw, _ = whole
        head = parse_response(raw)
        parse_response(raw, ResponseFields(head.fields.block, head.fields))
        for method in (b"GET", b"HEAD"):
            framing = response_framing(head, method, chunks=True)
            out = response_head(head, framing, close=False, date=b"now")
            assert out.count(b"\r\n\r\n") == 1 and out.endswith(b"\r\n\r\n"), out
            if head.status >= 200:
                assert response_framing(parse_response(out), method, chunks=True).source is framing.sink
    except Malformed:
        return


def chunks(data: bytes) -> None:
    """A chunked body."""
    whole, pieces = (_pumped(each) for each in ([data[1:]], list(_pieces(data))))
    assert whole[1:] == pieces[1:]
    assert whole[0].startswith(pieces[0]) or pieces[0].startswith(whole[0]) or whole[1]


def preface(data: bytes) -> None:
    """Bytes that may be a PROXY header."""
    try:
        header = proxy_protocol.read(data) if proxy_protocol.may_begin(data) else None
    except (Malformed, ValueError) as error:
        assert isinstance(error, Malformed)
        return
    if header is not None:
        assert 0 < header.length <= len(data)
        assert all(proxy_protocol.read(data[:size]) is None for size in range(max(0, header.length - 3), header.length))


def alike(data: bytes) -> None:
    """Three messages of one connection, separated by NUL: the short way and the long way give the
    same for the third."""
    messages = data.split(b"\0")
    if len(messages) != 3:
        return
    first, second, third = messages
    first, second = (head + end for head, end, _ in (first.partition(b"\r\n\r\n"), second.partition(b"\r\n\r\n")))
    requests = responses = None
    with suppress(Malformed):
        requests = asked(first, second)
    with suppress(Malformed):
        responses = answered(first, second)
    try:
        if requests is not None:
            assert_same_request(requests, third, second)
        if responses is not None:
            assert_same_response(responses, third + b"abc", close=True)
    except Malformed as error:
        raise AssertionError("the short way takes what the long way refuses") from error


TARGETS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]] = {
    "request": (request, (REQUEST,)),
    "response": (response, (RESPONSE,)),
    "chunks": (chunks, (b"\x01" + CHUNKS, b"\x07" + CHUNKS)),
    "alike": (alike, (ALIKE_REQUESTS, ALIKE_BODIES, ALIKE_RESPONSES)),
    "preface": (preface, (HEADER_1, HEADER_2)),
}
"""Name -> the function whose properties must hold, and the first inputs."""


def _head(data: bytes) -> tuple[bytes, bytes] | None:
    """The first head, read whole and in pieces: both ways give the same. Raises Malformed."""
    outcomes: list[tuple[int, bytes | None]] = []
    for pieces in ([data], list(_pieces(b"\x03" + data))):
        buffer, found = HeadBuffer(), None
        try:
            for piece in pieces:
                found = buffer.feed(piece)
                if found is not None:
                    break
        except Malformed as error:
            outcomes.append((error.status, None))
        else:
            outcomes.append((0, found and found[0]))
    (status, whole), (status_in_pieces, in_pieces) = outcomes
    if whole is None and in_pieces is None:
        return None
    if status_in_pieces and whole is not None:  # refused before its end: the parser must refuse all of it
        _is_refused(whole)
        raise Malformed(400, "")
    assert (status, whole) == (status_in_pieces, in_pieces)
    assert whole is not None
    return whole, b""


def _is_refused(raw: bytes) -> None:
    for parse in (parse_request, parse_response):
        try:
            parse(raw)
        except Malformed:
            continue
        raise AssertionError(f"refused in pieces, taken as a whole: {raw!r}")


def _pumped(pieces: list[bytes]) -> tuple[bytes, bool, bool]:
    """(sent bytes, refused, complete)."""
    pump, out = ChunkedPump(rechunk=False), b""
    try:
        for piece in pieces:
            if pump.done:
                break
            out += pump.feed(piece)
            while pump.rest:
                out += pump.feed(b"")
    except Malformed:
        return out, True, False
    return out, False, pump.done


def _pieces(data: bytes) -> Iterator[bytes]:
    size = data[0] % 16 + 1 if data else 1
    for at in range(1, len(data), size):
        yield data[at : at + size]
