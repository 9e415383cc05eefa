"""Request targets and Host: the route is chosen by the same host and path that the worker gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.fields import valid_authority
from tqunits.http.grammar import Malformed
from tqunits.http.head import parse_request
from tqunits.http.target import Target, authority, canonical_path, host_name, raw_below, read_target
from tqunits.routing.table import Table


def target(line: str, host: str = "Host: a.example:8080\r\n") -> Target:
    return read_target(parse_request(f"{line}\r\n{host}\r\n".encode("latin-1")))


GOOD = {
    "path": ("GET /a/b HTTP/1.1", b"/a/b", b"", b"a.example:8080"),
    "query": ("GET /a?b=/../c?d HTTP/1.1", b"/a", b"?b=/../c?d", b"a.example:8080"),
    "empty query": ("GET /a? HTTP/1.1", b"/a", b"?", b"a.example:8080"),
    "unreserved decoded": ("GET /%61%2d%7e%2e/ HTTP/1.1", b"/a-~./", b"", b"a.example:8080"),
    "other escapes in upper case": ("GET /%c3%a9%20 HTTP/1.1", b"/%C3%A9%20", b"", b"a.example:8080"),
    "decoded once": ("GET /%2561 HTTP/1.1", b"/%2561", b"", b"a.example:8080"),
    "dots that are no segment": (
        "GET /.well-known/a..b/... HTTP/1.1",
        b"/.well-known/a..b/...",
        b"",
        b"a.example:8080",
    ),
    "encoded slash": ("GET /a%2fb HTTP/1.1", b"/a%2Fb", b"", b"a.example:8080"),
    "slash encoded twice": ("GET /a%252fb HTTP/1.1", b"/a%252fb", b"", b"a.example:8080"),
    "dots beside an encoded slash": ("GET /a%2f.b..%2f... HTTP/1.1", b"/a%2F.b..%2F...", b"", b"a.example:8080"),
    "a dot": ("GET /a/./b HTTP/1.1", b"/a/b", b"", b"a.example:8080"),
    "dots": ("GET /././a/././b/. HTTP/1.1", b"/a/b/", b"", b"a.example:8080"),
    "a dot at the end": ("GET /a/. HTTP/1.1", b"/a/", b"", b"a.example:8080"),
    "a dot before the query": ("GET /a/.?b=/./ HTTP/1.1", b"/a/", b"?b=/./", b"a.example:8080"),
    "a dot alone": ("GET /. HTTP/1.1", b"/", b"", b"a.example:8080"),
    "a dot and a slash": ("GET /./ HTTP/1.1", b"/", b"", b"a.example:8080"),
    "a dot in an escape": ("GET /%2E/%2e/a/%2e HTTP/1.1", b"/a/", b"", b"a.example:8080"),
    "a dot, and dots beside an encoded slash": ("GET /./a%2f.b/. HTTP/1.1", b"/a%2F.b/", b"", b"a.example:8080"),
    "a dot between slashes": ("GET /.//./a/.//b HTTP/1.1", b"/a//b", b"", b"a.example:8080"),
    "a dot in the URI": ("GET http://b.example/./x HTTP/1.1", b"/x", b"", b"b.example"),
    "slashes at the beginning": ("GET ///a//b HTTP/1.1", b"/a//b", b"", b"a.example:8080"),
    "empty segments": ("GET /a//b HTTP/1.1", b"/a//b", b"", b"a.example:8080"),
    "an empty segment at the end": ("GET /a// HTTP/1.1", b"/a//", b"", b"a.example:8080"),
    "absolute": ("GET http://b.example/x?y HTTP/1.1", b"/x", b"?y", b"b.example"),
    "absolute without a path": ("GET HTTP://b.example:81 HTTP/1.1", b"/", b"", b"b.example:81"),
    "absolute, query only": ("GET http://b.example?y HTTP/1.1", b"/", b"?y", b"b.example"),
    "asterisk": ("OPTIONS * HTTP/1.1", b"*", b"", b"a.example:8080"),
    "absolute OPTIONS": ("OPTIONS http://b.example HTTP/1.1", b"*", b"", b"b.example"),
}

BAD = {
    "dot-dot segment": (400, "GET /a/../b HTTP/1.1"),
    "dot-dot at the end": (400, "GET /a/.. HTTP/1.1"),
    "dot-dot behind a dot": (400, "GET /a/./../b HTTP/1.1"),
    "dot-dot between dots": (400, "GET /a/./%2e%2e/. HTTP/1.1"),
    "dot with a parameter": (400, "GET /a/.;x/b HTTP/1.1"),
    "dot before an encoded slash": (400, "GET /a/.%2fb HTTP/1.1"),
    "dot behind an encoded slash": (400, "GET /a%2f./b HTTP/1.1"),
    "dot behind an encoded slash, at the end": (400, "GET /a%2f. HTTP/1.1"),
    "encoded dot-dot": (400, "GET /a/%2e%2E/b HTTP/1.1"),
    "half-encoded dot-dot": (400, "GET /a/.%2e/b HTTP/1.1"),
    "dot-dot with a parameter": (400, "GET /a/..;x/b HTTP/1.1"),
    "dot-dot before an encoded slash": (400, "GET /a/..%2fb HTTP/1.1"),
    "dot-dot behind an encoded slash": (400, "GET /a%2f.. HTTP/1.1"),
    "dot-dot between encoded slashes": (400, "GET /a%2F%2e%2e%2Fb HTTP/1.1"),
    "dot between encoded slashes": (400, "GET /a%2f.%2fb?c HTTP/1.1"),
    "dot-dot behind an encoded slash in the URI": (400, "GET http://b.example/a%2f../b HTTP/1.1"),
    "encoded backslash": (400, "GET /a%5Cb HTTP/1.1"),
    "backslash": (400, "GET /a\\b HTTP/1.1"),
    "encoded NUL": (400, "GET /a%00 HTTP/1.1"),
    "broken escape": (400, "GET /a%2 HTTP/1.1"),
    "escape that is no hex": (400, "GET /a%zz HTTP/1.1"),
    "fragment": (400, "GET /a#b HTTP/1.1"),
    "fragment in the query": (400, "GET /a?b#c HTTP/1.1"),
    "relative": (400, "GET a/b HTTP/1.1"),
    "asterisk for GET": (400, "GET * HTTP/1.1"),
    "other scheme": (400, "GET ftp://a/ HTTP/1.1"),
    "user in the URI": (400, "GET http://u@b.example/ HTTP/1.1"),
    "no host in the URI": (400, "GET http:///x HTTP/1.1"),
    "dot segment in the URI": (400, "GET http://b.example/../x HTTP/1.1"),
    "authority for GET": (400, "GET b.example:80 HTTP/1.1"),
    "CONNECT": (501, "CONNECT b.example:80 HTTP/1.1"),
    "CONNECT to a path": (501, "CONNECT / HTTP/1.1"),
    "TRACE": (405, "TRACE / HTTP/1.1"),
}


@pytest.mark.parametrize(("line", "path", "query", "host"), GOOD.values(), ids=GOOD.keys())
def test_a_target_has_one_reading(line: str, path: bytes, query: bytes, host: bytes) -> None:
    found = target(line)
    assert (found.path, found.query, found.host) == (path, query, host)


@pytest.mark.parametrize(("status", "line"), BAD.values(), ids=BAD.keys())
def test_a_target_of_two_readings_is_refused(status: int, line: str) -> None:
    with pytest.raises(Malformed) as refused:
        target(line)
    assert refused.value.status == status


def test_only_http_1_0_may_leave_out_host() -> None:
    assert target("GET / HTTP/1.0", "").host == b""
    with pytest.raises(Malformed, match="no Host"):
        target("GET / HTTP/1.1", "")
    with pytest.raises(Malformed, match="no Host"):
        target("GET http://b.example/ HTTP/1.1", "")


SLASHES = {
    "plain": ("GET /a/b HTTP/1.1", False),
    "encoded": ("GET /a%2fb HTTP/1.1", True),
    "encoded, in capitals": ("GET /a%2Fb HTTP/1.1", True),
    "encoded, in the URI": ("GET http://b.example/a%2Fb HTTP/1.1", True),
    "encoded twice": ("GET /a%252Fb HTTP/1.1", False),
    "in the query": ("GET /%61?b%2Fc HTTP/1.1", False),
    "asterisk": ("OPTIONS * HTTP/1.1", False),
}


@pytest.mark.parametrize(("line", "encoded"), SLASHES.values(), ids=SLASHES.keys())
def test_an_encoded_slash_is_noted(line: str, *, encoded: bool) -> None:
    assert target(line).encoded_slash is encoded


def test_an_encoded_slash_is_no_border() -> None:
    table = Table([("", "/", "root"), ("", "/api", "api"), ("", "/api/v1", "v1")])
    assert table.find(b"", target("GET /api%2fv1 HTTP/1.1").path) == "root"
    assert table.find(b"", target("GET /api/v1%2fx HTTP/1.1").path) == "api"
    assert table.find(b"", target("GET /api/v1/a%2fx HTTP/1.1").path) == "v1"


NAMES = {"port": (b"A.Example:80", b"a.example"), "root": (b"a.example.", b"a.example"), "v6": (b"[::1]:80", b"[::1]")}


@pytest.mark.parametrize(("authority", "name"), NAMES.values(), ids=NAMES.keys())
def test_hosts_are_routed_by_name(authority: bytes, name: bytes) -> None:
    assert host_name(authority) == name


AUTHORITIES = {
    "a port": (("192.0.2.1", 8080, False), b"192.0.2.1:8080"),
    "HTTP's own": (("192.0.2.1", 80, False), b"192.0.2.1"),
    "HTTPS' own": (("192.0.2.1", 443, True), b"192.0.2.1"),
    "HTTPS' own, plain": (("192.0.2.1", 443, False), b"192.0.2.1:443"),
    "IPv6": (("2001:db8::1", 8080, False), b"[2001:db8::1]:8080"),
    "a link's": (("fe80::1%eth0", 80, False), b"[fe80::1]"),
    "IPv4 in IPv6": (("::ffff:192.0.2.1", 80, False), b"192.0.2.1"),
    "a Unix socket": (("", 0, False), b"localhost"),
}


@pytest.mark.parametrize(("local", "host"), AUTHORITIES.values(), ids=AUTHORITIES.keys())
def test_whom_a_request_without_an_authority_is_for(local: tuple[str, int, bool], host: bytes) -> None:
    address, port, secured = local
    assert authority(address, port, secured=secured) == host
    assert valid_authority(host) == host


def test_an_undefined_authority_is_an_empty_host() -> None:
    """RFC 9110 section 7.2; without the field it takes HTTP/1.0."""
    for line, host in (("GET /x HTTP/1.1", "Host:\r\n"), ("GET /x HTTP/1.0", "Host: \r\n"), ("GET /x HTTP/1.0", "")):
        assert target(line, host).host == b""
    with pytest.raises(Malformed, match="no Host"):
        target("GET /x HTTP/1.1", "")
    assert target("GET http://b.example:/x HTTP/1.1", "Host:\r\n").host == b"b.example"


@given(st.lists(st.sampled_from([b"/", b".", b"%2e", b"%41", b"%25", b"a", b";", b"%c3", b"%2f", b"\\"])))
def test_a_canonical_path_is_canonical(pieces: list[bytes]) -> None:
    try:
        path = canonical_path(b"/" + b"".join(pieces))
    except Malformed:
        return
    assert canonical_path(path) == path
    assert not {b".", b".."}.intersection(path.replace(b"%2F", b"/").split(b"/"))


@given(st.lists(st.sampled_from([b"/", b".", b"%2e", b"%41", b"a", b";", b"%c3", b"%2f", b"\\", b"?", b"~", b"%"])))
def test_the_usual_target_and_the_unusual_are_read_alike(pieces: list[bytes]) -> None:
    text = b"/" + b"".join(pieces)
    raw, mark, query = text.partition(b"?")
    try:
        path = canonical_path(raw)
    except Malformed:
        with pytest.raises(Malformed):
            target(f"GET {text.decode()} HTTP/1.1")
        return
    found = target(f"GET {text.decode()} HTTP/1.1")
    assert (found.path, found.query, found.encoded_slash) == (path, mark + query, b"%2F" in path)


@given(st.lists(st.sampled_from([b"/", b"./", b"%2e/", b"a", b"%61", b"b/", b"/a/", b"%C3", b"%7e"]), max_size=12))
def test_what_is_left_of_a_raw_path_is_what_is_left_of_the_canonical(pieces: list[bytes]) -> None:
    raw = b"/" + b"".join(pieces)
    path = canonical_path(raw)
    for prefix in (b"/a", b"/a/b"):
        if path == prefix or path.startswith(prefix + b"/"):
            rest = raw_below(raw, prefix)
            assert raw.endswith(rest)
            assert rest[:1] in (b"", b"/")
            assert canonical_path(b"/x" + rest) == b"/x" + path[len(prefix) :]
