"""The heads that the router writes: which fields are passed on, which are removed, and which are
added."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.fields import Fields
from tqunits.http.forward import Origin, Rewrite, check_request, ends_here, request_head, response_head, wants_websocket
from tqunits.http.framing import request_framing, response_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import RequestHead, parse_request, parse_response
from tqunits.http.passes import MAX_PASSES, pass_line, passes
from tqunits.http.target import read_target


def parsed(lines: str, line: str = "GET /api/x HTTP/1.1") -> RequestHead:
    return parse_request(f"{line}\r\nHost: a.example\r\n{lines}\r\n".encode("latin-1"))


def forwarded(head: RequestHead, *, address: bytes = b"192.0.2.7", prefix: bytes = b"/") -> list[str]:
    framing = request_framing(head)
    out = request_head(
        head,
        read_target(head),
        framing,
        origin=Origin(address, b"http"),
        route=Rewrite(prefix, strip=True, mark=pass_line(b"me", via=True)),
        request_id=b"id1",
        upgrade=wants_websocket(head, framing),
    )
    assert out.endswith(b"\r\n\r\n")
    return out.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")


ADDED = [
    "X-Forwarded-For: 192.0.2.7",
    "X-Real-IP: 192.0.2.7",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: a.example",
    "Forwarded: for=192.0.2.7;host=a.example;proto=http",
    "Via: 1.1 me",
    "X-Request-ID: id1",
]

REMOVED = {
    "connection": "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
    "nominated": "Connection: close, X-Hop ,,x-other\r\nX-Hop: 1\r\nX-Other: 2\r\n",
    "proxy's own": "Proxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nProxy-Authenticate: y\r\n",
    "httpoxy": "Proxy: http://evil\r\n",
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
    "TE": "TE: gzip\r\n",
    "claims": "X-Forwarded-For: 1.2.3.4\r\nx-forwarded-proto: https\r\nX-Forwarded-Host: b\r\n",
    "more claims": "Forwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Request-ID: mine\r\nX-Forwarded-Prefix: /b\r\n",
    "look-alikes": "X_Forwarded_For: 1\r\nx-forwarded_for: 5\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n",
}


CLAIMED = frozenset(
    {
        *("X-Client-IP", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"),
        *("X-Forwarded-Proto", "X-Forwarded-Ssl", "X-Original-URL", "X-Real-IP", "X-Request-ID", "X-Rewrite-URL"),
        *("Forwarded", "Proxy-Authorization"),
    }
)

SEPARATORS = "!#$%&'*+-.^_`|~"
"""The characters that a name may have besides letters and digits (RFC 9110 §5.6.2); CGI turns all
of them into "_"."""

LOOKALIKES = {
    "PHP": "X.Original.Url: /admin\r\nX.Forwarded.Ssl: on\r\nX.Forwarded-For: 1.2.3.4\r\n",
    "every character": "".join(f"X{one}Real{one}IP: 1.2.3.4\r\n" for one in SEPARATORS),
    "framing": "Content.Length: 5\r\nTransfer~Encoding: chunked\r\nContent+Length: 6\r\n",
    "the hop's own": "Keep!Alive: 1\r\nProxy.Authorization: x\r\nMax.Forwards: 0\r\n",
    "mixed": "x.FORWARDED_for: 1\r\nX^Request`Id: 2\r\nX|Rewrite*Url: /\r\n",
    "nominated as well": "Connection: x.real.ip, x_hop\r\nX.Real.IP: 1\r\nX_Hop: 1\r\nX'Client&IP: 1\r\n",
    "among many": "Proxy-Authorization: x\r\n" * 80 + "X.Real.IP: 1\r\n",
}


@pytest.mark.parametrize("lines", LOOKALIKES.values(), ids=LOOKALIKES.keys())
def test_what_a_program_would_take_for_such_a_field_is_removed(lines: str) -> None:
    assert forwarded(parsed("X-Keep: 1\r\n" + lines)) == ["GET /api/x HTTP/1.1", "Host: a.example", "X-Keep: 1", *ADDED]


def test_names_that_only_have_odd_characters_stay() -> None:
    lines = ["X.Api.Key: 1", "x_token: 2", "X_Forwarded: 3", "X.Real.IP.2: 4", "XReal.IP: 5", "HTTP.Foo!: 6"]
    assert forwarded(parsed("\r\n".join(lines) + "\r\n"))[2:8] == lines


def as_cgi_has_it(name: str) -> str:
    """The variable that a program gets for a field (RFC 3875 §4.1.18; as Apache, lighttpd and PHP
    do)."""
    return "HTTP_" + "".join(one if one.isascii() and one.isalnum() else "_" for one in name.upper())


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """A name that CGI turns into a variable of one of the router's own fields."""
    first, *words = draw(st.sampled_from(sorted(CLAIMED))).split("-")
    return first + "".join(draw(st.sampled_from(SEPARATORS)) + word for word in words)


@given(st.lists(spellings() | spellings().map(str.lower), max_size=4))
def test_a_program_is_told_only_what_the_router_says(names: list[str]) -> None:
    """Whatever characters are between the words of a name, a variable of the router's own fields
    has the router's value."""
    lines = forwarded(parsed("X-Keep: 1\r\n" + "".join(f"{name}: a client's\r\n" for name in names)))
    assert lines[2:] == ["X-Keep: 1", *ADDED]
    told = {as_cgi_has_it(line.split(":")[0]) for line in lines[1:3]}
    assert told.isdisjoint(map(as_cgi_has_it, CLAIMED))


@pytest.mark.parametrize("lines", REMOVED.values(), ids=REMOVED.keys())
def test_what_is_for_this_hop_or_a_lie_is_removed(lines: str) -> None:
    assert forwarded(parsed("X-Keep: 1\r\n" + lines)) == [
        "GET /api/x HTTP/1.1",
        "Host: a.example",
        "X-Keep: 1",
        *ADDED,
    ]


def test_fields_keep_their_order_and_spelling() -> None:
    lines = ["aCCept: x", "X-A:  1 ", "x-a: 2", "Cookie: a_b=c"]
    assert forwarded(parsed("\r\n".join(lines) + "\r\n"))[2:6] == lines


def test_what_says_who_asks_can_not_be_nominated() -> None:
    lines = forwarded(parsed("Connection: cookie, authorization, host\r\nCookie: a\r\nAuthorization: b\r\n"))
    assert lines[1:4] == ["Host: a.example", "Cookie: a", "Authorization: b"]


def test_the_length_is_written_anew() -> None:
    assert forwarded(parsed("Content-Length: 007\r\n", "POST / HTTP/1.1"))[-1] == "Content-Length: 7"
    assert forwarded(parsed("Transfer-Encoding: Chunked\r\n", "POST / HTTP/1.1"))[-1] == "Transfer-Encoding: chunked"


PREFIXES = {
    "/api": ("GET / HTTP/1.1", "X-Forwarded-Prefix: /api"),
    "/api?q": ("GET /?q HTTP/1.1", "X-Forwarded-Prefix: /api"),
    "/api/x/y": ("GET /x/y HTTP/1.1", "X-Forwarded-Prefix: /api"),
    "/%61pi/%41": ("GET /A HTTP/1.1", "X-Forwarded-Prefix: /api"),
}


@pytest.mark.parametrize(("target", "expected"), PREFIXES.items(), ids=PREFIXES.keys())
def test_the_prefix_is_stripped_and_told(target: str, expected: tuple[str, str]) -> None:
    lines = forwarded(parsed("", f"GET {target} HTTP/1.1"), prefix=b"/api")
    assert (lines[0], lines[-2]) == expected


def test_the_root_strips_nothing() -> None:
    assert forwarded(parsed(""))[0] == "GET /api/x HTTP/1.1"
    assert Rewrite(b"/api", strip=False).path(b"/api/x") == b"/api/x"


def test_absolute_form_replaces_host() -> None:
    lines = forwarded(parsed("", "GET http://b.example:81/x HTTP/1.1"))
    assert lines[0] == "GET /x HTTP/1.1"
    assert [line for line in lines if line.startswith("Host")] == ["Host: b.example:81"]
    assert 'Forwarded: for=192.0.2.7;host="b.example:81";proto=http' in lines


def test_addresses_are_written_as_each_field_wants_them() -> None:
    assert 'Forwarded: for="[2001:db8::1]";host=a.example;proto=http' in forwarded(parsed(""), address=b"2001:db8::1")
    unix = forwarded(parsed(""), address=b"")
    assert "Forwarded: for=unknown;host=a.example;proto=http" in unix
    assert not [line for line in unix if line.startswith(("X-Forwarded-For", "X-Real-IP"))]


def test_trailers_are_the_only_te() -> None:
    lines = forwarded(parsed("TE: gzip, trailers\r\nConnection: TE\r\n"))
    assert lines[2:4] == ["Connection: TE", "TE: trailers"]


def test_max_forwards_counts_down_for_options_only() -> None:
    assert "Max-Forwards: 4" in forwarded(parsed("Max-Forwards: 5\r\n", "OPTIONS /x HTTP/1.1"))
    assert "Max-Forwards: 0" in forwarded(parsed("Max-Forwards: 0\r\n"))
    assert ends_here(parsed("Max-Forwards: 0\r\n", "OPTIONS /x HTTP/1.1"))
    assert not ends_here(parsed("Max-Forwards: 0\r\n"))


def test_http_1_0_expects_nothing_and_needs_no_host() -> None:
    head = parse_request(b"POST /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert forwarded(head)[:3] == ["POST /x HTTP/1.1", "Host: ", "X-Forwarded-For: 192.0.2.7"]


def test_loops_and_unknown_expectations_are_refused() -> None:
    with pytest.raises(Malformed) as loop:
        check_request(parsed("Via: 1.1 other, 1.1 me (x)\r\n" * MAX_PASSES), b"me")
    with pytest.raises(Malformed) as expectation:
        check_request(parsed("Expect: 200-ok\r\n"), b"me")
    assert (loop.value.status, expectation.value.status) == (508, 417)
    check_request(parsed("Via: 1.1 menace\r\nExpect: 100-Continue\r\n"), b"me")


PASSED = {
    "never": ("", 0),
    "others": ("Via: 1.1 menace, 1.1 me.example\r\nCDN-Loop: cloudflare; loops=1, men\r\n", 0),
    "Via": ("Via: 1.1 me, HTTP/1.1 me (a, b)\r\nVia: 1.0 me\r\n", 3),
    "CDN-Loop": ("CDN-Loop: me, cloudflare;me=1, me;x=y\r\ncdn-loop:\tme \r\n", 3),
    "both": ("CDN-Loop: me\r\nVia: 1.1 other, 1.1 me\r\n", 2),
    "empty members": ("CDN-Loop: ,,\r\nVia: ,\r\n", 0),
}


@pytest.mark.parametrize(("lines", "count"), PASSED.values(), ids=PASSED.keys())
def test_passes_are_counted_wherever_they_are_told(lines: str, count: int) -> None:
    assert passes(parsed(lines).fields, b"me") == count


@given(st.lists(st.booleans(), max_size=2 * MAX_PASSES))
def test_a_request_passes_so_often_and_no_more(ways: list[bool]) -> None:
    """Independent of the field that the routes use for it, and of whether proxies in between join
    the lines."""
    lines = b"".join(pass_line(b"me", via=via) for via in ways)
    head = parse_request(b"GET / HTTP/1.1\r\nHost: a" + lines + b"\r\n\r\n")
    if len(ways) < MAX_PASSES:
        check_request(head, b"me")
    else:
        with pytest.raises(Malformed, match=f"{MAX_PASSES} times"):
            check_request(head, b"me")


WEBSOCKET = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n"
NO_UPGRADE = {
    "h2c": WEBSOCKET.replace("WebSocket\r", "h2c\r"),
    "two protocols": WEBSOCKET.replace("Upgrade: WebSocket", "Upgrade: websocket, h2c"),
    "not nominated": WEBSOCKET.replace(", Upgrade", ""),
    "with a body": WEBSOCKET + "Content-Length: 3\r\n",
}


def test_a_websocket_is_the_one_upgrade() -> None:
    lines = forwarded(parsed(WEBSOCKET))
    assert lines[-2:] == ["Connection: Upgrade", "Upgrade: websocket"]
    assert "Sec-WebSocket-Key: x" in lines


@pytest.mark.parametrize("lines", NO_UPGRADE.values(), ids=NO_UPGRADE.keys())
def test_no_other_upgrade_goes_through(lines: str) -> None:
    assert not [line for line in forwarded(parsed(lines)) if line.startswith(("Upgrade", "Connection"))]


def test_a_response_loses_its_hop_and_gains_a_date() -> None:
    head = parse_response(
        b"HTTP/1.1 200 Fine\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\nSet-Cookie: a\r\n"
        b"Set-Cookie: b\r\nContent-Length: 03\r\n\r\n"
    )
    framing = response_framing(head, b"GET", chunks=True)
    assert response_head(head, framing, close=True, date=b"now").decode() == (
        "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
        "Date: now\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    )
    dated = parse_response(b"HTTP/1.0 200\r\nDate: then\r\nContent-Length: 3\r\n\r\n")
    assert response_head(dated, response_framing(dated, b"GET", chunks=True), close=False, date=b"now") == (
        b"HTTP/1.1 200 \r\nDate: then\r\nContent-Length: 3\r\n\r\n"
    )


@given(
    st.lists(st.sampled_from([b"a", b"b", b"host", b"te", b"A", b"long-name"]), max_size=12),
    st.sets(st.sampled_from([b"a", b"b", b"host", b"te", b"absent"])),
)
def test_leaving_out_is_the_same_for_one_and_for_many(names: list[bytes], drop: set[bytes]) -> None:
    lines = [b"\r\n%b: %d" % (name, number) for number, name in enumerate(names)]
    fields = Fields(b"".join(lines) + b"\r\n\r\n")
    expected = b"".join(line for name, line in zip(names, lines, strict=True) if name.lower() not in drop)
    assert fields.without(drop) == expected
