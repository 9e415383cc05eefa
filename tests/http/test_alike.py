"""The short way for messages that resemble the one before: its results are those of the long
way."""

from __future__ import annotations

import random

import pytest
from both_ways import answered, asked, assert_same_request, assert_same_response
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, ResponseHead, parse_request, parse_response
from tqunits.http.target import read_target
from tqunits.model import HeadLimits

LINE = b"GET /api/list?page=1 HTTP/1.1"
BLOCK = (
    b"\r\nHost: a.example\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0\r\nDNT: 1"
    b"\r\nCookie: session=1; theme=dark\r\nReferer: http://a.example/1\r\nX-A: x\r\nAccept: */*\r\n\r\n"
)
REQUEST = LINE + BLOCK
RESPONSE = (
    b'HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 20:00:00 GMT\r\nETag: "1"\r\nKeep-Alive: x\r\nSet-Cookie: a=1'
    b"\r\nContent-Length: 13\r\n\r\n"
)


TAKEN = {
    "the same": REQUEST,
    "another path and query": REQUEST.replace(LINE, b"GET /other/x.html?a=/../%2e&b HTTP/1.1"),
    "the root": REQUEST.replace(LINE, b"GET / HTTP/1.1"),
    "other values": REQUEST.replace(b"session=1", b"session=22").replace(b"/1\r\n", b"/22\r\n"),
    "an empty value": REQUEST.replace(b" session=1; theme=dark", b""),
    "bytes above 127 in a value": REQUEST.replace(b"session=1", b"session=\xe9"),
}
LEFT = {
    "another method": REQUEST.replace(b"GET", b"PUT"),
    "HEAD": REQUEST.replace(b"GET", b"HEAD"),
    "a method that begins so": REQUEST.replace(b"GET", b"GETX"),
    "another host": REQUEST.replace(b"a.example\r\nConn", b"b.example\r\nConn"),
    "no keep-alive": REQUEST.replace(b"keep-alive", b"close"),
    "HTTP/1.0": REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "an absolute target": REQUEST.replace(LINE, b"GET http://b.example/api HTTP/1.1"),
    "a path that is not canonical": REQUEST.replace(LINE, b"GET /api/%7e HTTP/1.1"),
    "a dot segment": REQUEST.replace(LINE, b"GET /api/../x HTTP/1.1"),
    "two slashes": REQUEST.replace(LINE, b"GET //b.example HTTP/1.1"),
    "a fragment": REQUEST.replace(LINE, b"GET /api?a#b HTTP/1.1"),
    "a control in the query": REQUEST.replace(LINE, b"GET /api?a\x01 HTTP/1.1"),
    "a space in the target": REQUEST.replace(LINE, b"GET /api a HTTP/1.1"),
    "a long line": REQUEST.replace(LINE, b"GET /" + b"a" * 8192 + b" HTTP/1.1"),
    "a field more": REQUEST.replace(b"\r\nCookie", b"\r\nContent-Length: 3\r\nCookie"),
    "a field less": REQUEST.replace(b"\r\nX-A: x", b""),
    "a name in other letters": REQUEST.replace(b"Cookie", b"cookie"),
    "a folded value": REQUEST.replace(b"session=1;", b"session=1;\r\n"),
    "a bare LF in a value": REQUEST.replace(b"session=1", b"session=\n"),
    "an empty line before it": b"\r\n" + REQUEST,
    "a head that is too long": REQUEST.replace(b"session=1", b"a" * 32768),
    "a part of it": REQUEST[:-1],
    "something behind it": REQUEST + b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("raw", TAKEN.values(), ids=TAKEN)
def test_a_request_like_the_two_before_goes_the_short_way(raw: bytes) -> None:
    second = REQUEST.replace(b"session=1", b"s=2").replace(b"/1\r\n", b"/2\r\n")
    alike = asked(REQUEST, second)
    assert alike is not None and assert_same_request(alike, raw, REQUEST)


@pytest.mark.parametrize("raw", LEFT.values(), ids=LEFT)
def test_a_request_that_may_mean_something_else_goes_the_long_way(raw: bytes) -> None:
    alike = asked(REQUEST, REQUEST.replace(b"session=1", b"session=2"))
    assert alike is not None
    assert alike.read(raw) is None


def test_the_limit_of_the_request_line_holds_on_the_short_way() -> None:
    alike = asked(REQUEST, REQUEST, HeadLimits(request_line=len(LINE)))
    assert alike is not None
    assert alike.read(REQUEST) is not None
    assert alike.read(REQUEST.replace(b"page=1", b"page=11")) is None


FIRSTS = {
    "the first of its kind": (b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", REQUEST),
    "chunks": (REQUEST.replace(b"Accept: */*", b"Transfer-Encoding: chunked"),) * 2,
    "a body that waits to be asked for": (REQUEST.replace(b"X-A: x", b"Expect: x\r\nContent-Length: 1"),) * 2,
    "another host": (REQUEST, REQUEST.replace(b"Host: a", b"Host: b")),
    "HTTP/1.0": (REQUEST.replace(b"/1.1", b"/1.0"), REQUEST.replace(b"/1.1", b"/1.0")),
    "an absolute target": (REQUEST, REQUEST.replace(b"GET ", b"GET http://b")),
    "an upgrade": (REQUEST.replace(b"keep-alive", b"upgrade"), REQUEST.replace(b"keep-alive", b"upgrade")),
}


@pytest.mark.parametrize(("first", "second"), FIRSTS.values(), ids=FIRSTS)
def test_nothing_is_taken_for_granted_after(first: bytes, second: bytes) -> None:
    assert asked(first, second) is None


POST = REQUEST.replace(b"GET", b"POST").replace(b"Accept: */*", b"Content-Length: 3\r\nAccept: */*")
OTHER = POST.replace(b"session=1", b"session=2")

BODIES = {
    "the same length": (OTHER, POST + b"abc", True),
    "a length that varied": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": 12") + b"abc", True),
    "a length that varies now": (OTHER, POST.replace(b": 3", b": 12") + b"abc", False),
    "an empty one": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": 0"), True),
    "spaces about it": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": \t 7 \t") + b"abc", True),
    "no part of it yet": (OTHER, POST, True),
    "another request behind it": (OTHER, POST + b"abc" + POST, True),
    "an end of a head in it": (OTHER, POST + b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", True),
    "no length": (OTHER.replace(b": 3", b": 4"), POST.replace(b" 3\r\n", b"\r\n"), False),
    "a sign": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": +3"), False),
    "hex": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": 0x3"), False),
    "a list": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": 3, 3"), False),
    "a space within": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": 1 3"), False),
    "19 digits": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": " + b"1" * 19), False),
    "many spaces about it": (OTHER.replace(b": 3", b": 4"), POST.replace(b": 3", b": 3" + b" " * 30), False),
    "two lengths": (OTHER, POST.replace(b": 3", b": 3\r\nContent-Length: 3"), False),
    "half of a head": (OTHER, POST[:-2], False),
    "a head that is too long": (OTHER, POST.replace(b"session=1", b"a" * 32768), False),
}


@pytest.mark.parametrize(("second", "raw", "taken"), BODIES.values(), ids=BODIES)
def test_requests_with_a_body_of_known_length(second: bytes, raw: bytes, taken: bool) -> None:  # noqa: FBT001 (a table's column)
    alike = asked(POST, second)
    assert alike is not None
    assert assert_same_request(alike, raw, POST) == taken


ANSWERS = {
    "the same": (RESPONSE + b"Hello, world\n", True),
    "other values": (RESPONSE.replace(b'"1"', b'"22"').replace(b"a=1", b"a=22") + b"x" * 13, True),
    "only a part of the body": (RESPONSE, True),
    "more than the body": (RESPONSE + b"x" * 20, True),
    "another length": (RESPONSE.replace(b"13", b"14"), False),
    "another status": (RESPONSE.replace(b"200 OK", b"404 Not Found"), False),
    "another reason": (RESPONSE.replace(b"200 OK", b"200 Oh"), False),
    "HTTP/1.0": (RESPONSE.replace(b"/1.1", b"/1.0"), False),
    "chunks": (RESPONSE.replace(b"Content-Length: 13", b"Transfer-Encoding: chunked"), False),
    "two lengths": (RESPONSE.replace(b"Keep-Alive: x", b"Content-Length: 12"), False),
    "an end of the connection": (RESPONSE.replace(b"Keep-Alive: x", b"Connection: close"), False),
    "a control in a value": (RESPONSE.replace(b"a=1", b"a=\x00"), False),
    "half of a head": (RESPONSE[:-2], False),
    "a head that is too long": (RESPONSE.replace(b"a=1", b"a" * 32768), False),
    "a head before it": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + RESPONSE, False),
}


@pytest.mark.parametrize(("data", "taken"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("close", [False, True])
def test_responses_like_the_two_before(data: bytes, taken: bool, close: bool) -> None:  # noqa: FBT001 (a table's column)
    alike = answered(RESPONSE, RESPONSE.replace(b'"1"', b'"2"').replace(b"a=1", b"a=2"))
    assert alike is not None
    assert assert_same_response(alike, data, close=close) == taken


ONES = {
    "no length": RESPONSE.replace(b"Content-Length", b"X-Length"),
    "a length of zero": RESPONSE.replace(b"13", b"0"),
    "no date": RESPONSE.replace(b"Date", b"Data"),
    "an identifier of its own": RESPONSE.replace(b"ETag", b"X-Request-ID"),
    "the last one": RESPONSE.replace(b"Keep-Alive: x", b"Connection: close"),
    "HTTP/1.0": RESPONSE.replace(b"/1.1", b"/1.0"),
    "no body at all": RESPONSE.replace(b"200 OK", b"304 Not Modified"),
}


@pytest.mark.parametrize("response", ONES.values(), ids=ONES)
def test_nothing_is_taken_for_granted_after_a_response_with(response: bytes) -> None:
    assert answered(response, response) is None


@pytest.mark.parametrize("length", [b"0", b"1", b"14 ", b"\t14", b"9" * 18])
def test_a_length_that_varied_is_read_each_time(length: bytes) -> None:
    alike = answered(RESPONSE, RESPONSE.replace(b"13", b"14"))
    assert alike is not None and assert_same_response(alike, RESPONSE.replace(b"13", length) + b"x" * 14, close=False)


@pytest.mark.parametrize("length", [b"", b"-1", b"1,1", b"0x1", b"1 1", b"1_0", b"9" * 19, b"\xb2"])
def test_a_length_that_is_none_goes_the_long_way(length: bytes) -> None:
    alike = answered(RESPONSE, RESPONSE.replace(b"13", b"14"))
    assert alike is not None and alike.read(RESPONSE.replace(b"13", length) + b"x" * 14) is None


WRONG = (b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b":", b" ", b"\t", b"\xff", b"\r\nTE: x", b"%2e", b"/", b"..", b"#")


def spoil(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        what = chance.choice(WRONG) if chance.random() < 0.3 else bytes((chance.choice(b"abc019 ,;:-XY/?"),))
        at = chance.randrange(len(data))
        data = data[:at] + what + data[at + chance.choice((0, 1, 1, len(what))) :]
    return data


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_agree_on_what_chance_makes_of_a_head(seed: int) -> None:
    chance = random.Random(seed)
    request = asked(REQUEST, REQUEST.replace(b"session=1", b"session=2").replace(b"Mozilla", b"Opera"))
    response = answered(RESPONSE, RESPONSE.replace(b'"1"', b'"2"').replace(b"a=1", b"a=2"))
    assert request is not None and response is not None
    taken = sum(assert_same_request(request, spoil(REQUEST, chance), REQUEST) for _ in range(500))
    posts = asked(POST, OTHER.replace(b": 3", b": 4"))
    assert posts is not None
    assert sum(assert_same_request(posts, spoil(POST + b"abc", chance), POST) for _ in range(500)) > 5
    given_ = sum(assert_same_response(response, spoil(RESPONSE, chance) + b"x" * 13, close=False) for _ in range(500))
    assert taken > 5 and given_ > 5


targets = st.text("/abc.?#%2eE\\ \t=", max_size=12).map(lambda text: b"/" + text.encode())
values = st.binary(max_size=8) | st.sampled_from([b"", b" ", b"a\r\nHost: b", b"close"])


@given(targets, st.tuples(values, values, values))
def test_both_ways_agree_on_any_target_and_values(target: bytes, said: tuple[bytes, bytes, bytes]) -> None:
    form = b"GET %b HTTP/1.1\r\nCookie: %b\r\nHost: a.example\r\nReferer: %b\r\nX-A: %b\r\n\r\n"
    first = form % (b"/", b"1", b"1", b"1")
    alike = asked(first, form % (b"/", b"2", b"2", b"2"))
    assert alike is not None
    raw = form % (target, *said)
    taken = assert_same_request(alike, raw, first)
    try:
        head = parse_request(raw)
        path = read_target(head).path
    except Malformed:
        assert not taken
        return
    at_sight = target.partition(b"?")[0] == path and not any(part in path for part in (b"%", b"/.", b"//"))
    assert taken == (at_sight and head.fields.usual and len(head.fields.names) == 4)


@given(st.tuples(values, values), st.binary(max_size=20))
def test_both_ways_agree_on_any_values_of_a_response(said: tuple[bytes, bytes], body: bytes) -> None:
    form = b"HTTP/1.1 200 OK\r\nETag: %b\r\nDate: x\r\nContent-Length: 3\r\nX-A: %b\r\n\r\n"
    alike = answered(form % (b"1", b"1"), form % (b"2", b"2"))
    assert alike is not None
    raw = form % said
    taken = assert_same_response(alike, raw + body, close=False)
    try:
        whole = HeadBuffer().feed(raw + body)
        heads: list[ResponseHead] = [] if whole is None else [parse_response(whole[0])]
    except Malformed:
        heads = []
    assert taken == bool(heads and heads[0].fields.names == (b"etag", b"date", b"content-length", b"x-a"))
