"""Compares the short way of reading messages (alike.py) with the long one, for the tests and the
fuzzer."""

from __future__ import annotations

from tqunits.http.additions import additions
from tqunits.http.alike import AlikeRequest, AlikeResponse
from tqunits.http.forward import Origin, Rewrite, request_head, response_head
from tqunits.http.framing import request_framing, response_framing
from tqunits.http.head import HeadBuffer, RequestHead, parse_request, parse_response
from tqunits.http.passes import pass_line
from tqunits.http.target import read_target
from tqunits.model import USUAL_HEADS, HeadLimits

ORIGIN = Origin(b"192.0.2.1", b"http")
ROUTE = Rewrite(b"/api", strip=True, mark=pass_line(b"tqunits-1", via=False))
ID = b"0123456789abcdef"


def written(head: RequestHead) -> bytes:
    """What a worker gets when the long way is used."""
    return request_head(
        head, read_target(head), request_framing(head), origin=ORIGIN, route=ROUTE, request_id=ID, upgrade=False
    )


def asked(first: bytes, second: bytes, limits: HeadLimits = USUAL_HEADS) -> AlikeRequest | None:
    """What the short way knows after two requests."""
    head = parse_request(second, parse_request(first).fields)
    target = read_target(head)
    return AlikeRequest.of(head, target, request_framing(head), ORIGIN.lines(target.host), ROUTE, limits)


def answered(first: bytes, second: bytes) -> AlikeResponse | None:
    """What the short way knows after two responses."""
    head = parse_response(second, parse_response(first).fields)
    return AlikeResponse.of(head, response_framing(head, b"GET", chunks=True))


def assert_same_request(alike: AlikeRequest, raw: bytes, first: bytes) -> bool:
    """Whether the short way accepts it. If so, the result is that of the long way."""
    found = alike.read(raw)
    if found is None:
        return False
    path, query, _, framing, end = found
    whole = HeadBuffer().feed(raw)
    assert whole is not None and whole == (raw[:end], raw[end:])
    head, before = parse_request(whole[0]), parse_request(first)
    assert head.fields.usual and head.minor
    assert framing is request_framing(head)
    assert (head.method, head.fields.host) == (before.method, before.fields.host)
    assert (path, query) == (read_target(head).path, read_target(head).query)
    assert alike.head(found, ID) == written(head)
    return True


def assert_same_response(alike: AlikeResponse, data: bytes, *, close: bool) -> bool:
    found = alike.read(data)
    if found is None:
        return False
    kept, given, end = found
    whole = HeadBuffer().feed(data)
    assert whole is not None and len(whole[0]) == end
    head = parse_response(whole[0])
    framing = response_framing(head, b"GET", chunks=True)
    assert (alike.status, given) == (head.status, framing)
    expected = response_head(head, framing, close=close, date=b"", lines=b"\r\nX-Request-ID: " + ID)
    assert alike.head(kept, given, additions(ID, b""), close=close) == expected
    return True
