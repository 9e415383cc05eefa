"""The target of redirects from plain HTTP, and the HSTS field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.fields import ResponseFields
from tqunits.http.grammar import Malformed
from tqunits.http.head import parse_request
from tqunits.http.redirect import hsts_line, https_location, https_port, says_hsts
from tqunits.http.target import read_target


def location(line: bytes, host: bytes | None, port: int = 443) -> bytes:
    fields = b"" if host is None else b"Host: %b\r\n" % host
    return https_location(read_target(parse_request(b"%b\r\n%b\r\n" % (line, fields), None)), port)


LOCATIONS: dict[str, tuple[bytes, bytes | None, int, bytes]] = {
    "path and query": (b"GET /a/b?c=d&e HTTP/1.1", b"example.org", 443, b"https://example.org/a/b?c=d&e"),
    "another port": (b"GET / HTTP/1.1", b"example.org:8080", 8443, b"https://example.org:8443/"),
    "the client's port goes": (b"GET / HTTP/1.1", b"example.org:80", 443, b"https://example.org/"),
    "IPv6": (b"GET / HTTP/1.1", b"[::1]:8080", 443, b"https://[::1]/"),
    "case and the root's dot": (b"GET / HTTP/1.1", b"Example.ORG.:80", 443, b"https://example.org/"),
    "absolute-form wins": (b"GET http://b.org:1/x HTTP/1.1", b"a.org", 443, b"https://b.org/x"),
    "never another host": (b"GET //evil.org/x HTTP/1.1", b"a.org", 443, b"https://a.org/evil.org/x"),
    "escapes stay": (b"GET /a%0d%0ab?%0d%0a HTTP/1.1", b"a.org", 443, b"https://a.org/a%0D%0Ab?%0d%0a"),
    "empty query": (b"GET /? HTTP/1.1", b"a.org", 443, b"https://a.org/?"),
    "asterisk": (b"OPTIONS * HTTP/1.1", b"a.org", 443, b"https://a.org"),
}


@pytest.mark.parametrize(("line", "host", "port", "expected"), LOCATIONS.values(), ids=LOCATIONS)
def test_the_same_place_over_https(line: bytes, host: bytes | None, port: int, expected: bytes) -> None:
    assert location(line, host, port) == expected


@pytest.mark.parametrize("host", [None, b""], ids=["none", "empty"])
def test_without_a_host_there_is_no_place(host: bytes | None) -> None:
    with pytest.raises(Malformed) as caught:
        location(b"GET / HTTP/1.0", host)
    assert caught.value.status == 400


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E)), st.integers(1, 65535))
def test_a_location_stays_on_its_line_and_its_host(rest: str, port: int) -> None:
    try:
        made = location(b"GET /%b HTTP/1.1" % rest.encode("ascii"), b"a.org", port)
    except Malformed:
        return
    assert made.startswith((b"https://a.org/", b"https://a.org:%d/" % port))
    assert made.translate(None, bytes(range(0x21, 0x7F))) == b""


PORTS = {"443 is there": (80, {80, 443}, 443), "it is not": (8080, {8080}, 8080), "a Unix socket": (0, {8080}, 443)}


@pytest.mark.parametrize(("local", "listening", "port"), PORTS.values(), ids=PORTS)
def test_the_port_to_be_sent_to(local: int, listening: set[int], port: int) -> None:
    assert https_port(local, listening) == port


def test_strict_transport_security_is_said_once() -> None:
    assert hsts_line(31536000) == b"\r\nStrict-Transport-Security: max-age=31536000"
    assert hsts_line(0) == b""
    assert says_hsts(ResponseFields(b"\r\nstrict-Transport-security: max-age=1\r\n\r\n"))
    assert not says_hsts(ResponseFields(b"\r\nStrict-Transport: 1\r\n\r\n"))
