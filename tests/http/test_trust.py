"""Trusted proxies: whose forwarding fields are used, and which of them."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.address import read_address, told
from tqunits.http.forward import Rewrite, request_head
from tqunits.http.framing import request_framing
from tqunits.http.head import parse_request
from tqunits.http.target import read_target
from tqunits.http.trust import MAX_HOPS, Networks, RelayedOrigin, TrustedPeer

NETWORKS = Networks(map(ip_network, ("10.0.0.0/8", "192.0.2.1/32", "10.1.0.0/16", "2001:db8::/32")))
PEER = TrustedPeer(b"10.0.0.1", b"http", NETWORKS)

ADDRESSES = {
    "in a network": (b"10.255.0.1", True),
    "one address": (b"192.0.2.1", True),
    "next to it": (b"192.0.2.2", False),
    "outside": (b"11.0.0.0", False),
    "IPv6": (b"2001:db8:ffff::1", True),
    "IPv6, outside": (b"2001:db9::", False),
    "IPv6 in capitals": (b"2001:DB8::1", True),
    "IPv4 in IPv6": (b"::ffff:10.0.0.1", True),
    "Unix socket": (b"", False),
    "no address": (b"10.0.0", False),
    "leading zero": (b"010.0.0.1", False),
    "a port": (b"10.0.0.1:80", False),
    "a scope": (b"2001:db8::1%eth0", False),
    "other digits": ("\N{ARABIC-INDIC DIGIT ONE}0.0.0.1".encode(), False),
}


@pytest.mark.parametrize(("address", "trusted"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_networks_know_their_members(address: bytes, *, trusted: bool) -> None:
    assert NETWORKS.contains(address) is trusted
    assert not Networks(()).contains(address)


def test_all_of_one_family_is_none_of_the_other() -> None:
    assert Networks([ip_network("0.0.0.0/0")]).contains(b"203.0.113.1")
    assert not Networks([ip_network("0.0.0.0/0")]).contains(b"2001:db8::1")
    assert not Networks([ip_network("::/0")]).contains(b"203.0.113.1")


@given(st.ip_addresses(), st.lists(st.ip_addresses(), max_size=4), st.integers(0, 32))
def test_membership_is_that_of_the_standard_library(address: object, bases: list[object], length: int) -> None:
    networks = [ip_network(f"{base}/{length}", strict=False) for base in bases]
    known = read_address(str(address).encode())
    assert known is not None
    assert Networks(networks).contains(str(address).encode()) is any(known in network for network in networks)


@given(st.ip_addresses())
def test_an_address_has_one_spelling(address: object) -> None:
    text = str(address).encode()
    known = read_address(text)
    assert known is not None
    assert read_address(text.upper()) == known
    assert read_address(told(known)) == known
    if isinstance(known, IPv4Address):
        assert read_address(b"::ffff:" + told(known)) == known
    else:
        assert read_address(ip_address(told(known).decode()).exploded.encode()) == known


def relayed(lines: str, peer: TrustedPeer = PEER) -> RelayedOrigin:
    return peer.origin(parse_request(f"GET / HTTP/1.1\r\nHost: inner\r\n{lines}\r\n".encode("latin-1")).fields)


def said(origin: RelayedOrigin) -> dict[str, str]:
    lines = origin.lines(b"inner").decode("latin-1").split("\r\n")
    assert lines[0] == ""
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert len(fields) == len(lines) - 1
    return fields


CHAINS = {
    "none": ([], "10.0.0.1"),
    "one": (["203.0.113.7"], "203.0.113.7"),
    "a trusted one behind it": (["203.0.113.7, 10.2.3.4"], "203.0.113.7"),
    "invented entries": (["10.9.9.9, 198.51.100.1, 203.0.113.7, 10.2.3.4"], "203.0.113.7"),
    "several lines": (["198.51.100.1", "203.0.113.7", "10.2.3.4,192.0.2.1"], "203.0.113.7"),
    "all trusted": (["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
    "IPv6": (["2001:DB9::0:1"], "2001:db9::1"),
    "IPv6 in brackets, with a port": (["[2001:db9::1]:4711, 10.2.3.4:80"], "2001:db9::1"),
    "IPv4 in IPv6": (["203.0.113.7, ::ffff:10.2.3.4"], "203.0.113.7"),
    "nobody": (["unknown"], "10.0.0.1"),
    "nobody behind a proxy": (["unknown, 10.2.3.4"], "10.2.3.4"),
    "leading zeros": (["0203.0.113.7"], "10.0.0.1"),
    "empty members": ([",, 203.0.113.7 ,"], "203.0.113.7"),
    "empty": ([""], "10.0.0.1"),
    "junk": (["<script>, 203.0.113.7"], "203.0.113.7"),
}


@pytest.mark.parametrize(("chain", "client"), CHAINS.values(), ids=CHAINS.keys())
def test_the_client_is_the_rightmost_that_is_not_trusted(chain: list[str], client: str) -> None:
    origin = relayed("".join(f"X-Forwarded-For: {value}\r\n" for value in chain))
    came = [member.strip() for member in ",".join(chain).split(",") if member.strip()]
    assert origin.client == client.encode()
    assert said(origin)["X-Real-IP"] == client
    assert said(origin)["X-Forwarded-For"] == ", ".join([*came, "10.0.0.1"])


def test_the_walk_along_a_chain_has_an_end() -> None:
    origin = relayed("X-Forwarded-For: 203.0.113.7" + ", 10.0.0.2" * MAX_HOPS + "\r\n")
    assert origin.client == b"10.0.0.2"


@given(st.lists(st.sampled_from(["10.0.0.2", "192.0.2.1", "203.0.113.7", "2001:db8::5", "2001:db9::5", "x", ""])))
def test_whoever_is_left_of_the_client_changes_nothing(invented: list[str]) -> None:
    origin = relayed(f"X-Forwarded-For: {','.join(invented)}\r\nX-Forwarded-For: 198.51.100.9, 10.0.0.2\r\n")
    assert origin.client == b"198.51.100.9"


SCHEMES = {
    "https": ("X-Forwarded-Proto: https\r\n", b"https"),
    "in capitals": ("X-Forwarded-Proto: HTTPS\r\n", b"https"),
    "http": ("X-Forwarded-Proto: http\r\n", b"http"),
    "none": ("", b"http"),
    "another": ("X-Forwarded-Proto: javascript\r\n", b"http"),
    "a list": ("X-Forwarded-Proto: https, https\r\n", b"https"),
    "a list without spaces": ("X-Forwarded-Proto: https,http\r\n", b"https"),
    "the client's is the first": ("X-Forwarded-Proto: http, https\r\n", b"http"),
    "twice": ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n", b"https"),
    "twice, the first": ("X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n", b"http"),
    "a WebSocket": ("X-Forwarded-Proto: wss\r\n", b"https"),
    "a plain WebSocket": ("X-Forwarded-Proto: ws\r\n", b"http"),
    "what does not read, before it": ("X-Forwarded-Proto: , spdy, https\r\n", b"https"),
    "Forwarded": ("Forwarded: for=203.0.113.7;proto=https\r\n", b"https"),
    "Forwarded, quoted": ('Forwarded: for=203.0.113.7;Proto="HTTPS", for=10.2.3.4;proto=http\r\n', b"https"),
    "Forwarded of another story": ("X-Forwarded-For: 203.0.113.7\r\nForwarded: for=1.2.3.4;proto=https\r\n", b"http"),
    "Forwarded that does not read": ('Forwarded: proto=https;for="\r\n', b"http"),
    "Ssl": ("X-Forwarded-Ssl: on\r\n", b"https"),
    "no Ssl": ("X-Forwarded-Ssl: off\r\n", b"http"),
    "gunicorn's": ("X-Forwarded-Protocol: ssl\r\n", b"https"),
    "Rack's": ("X-Forwarded-Scheme: https\r\n", b"https"),
    "Paste's": ("X-Url-Scheme: https\r\n", b"https"),
    "the ingress'": ("X-Scheme: https\r\n", b"https"),
    "Microsoft's": ("Front-End-Https: On\r\n", b"https"),
    "CloudFront's": ("CloudFront-Forwarded-Proto: https\r\n", b"https"),
    "Cloudflare's": ('CF-Visitor: {"scheme":"https"}\r\n', b"https"),
    "several that agree": ("X-Forwarded-Proto: https, http\r\nX-Forwarded-Ssl: on\r\n", b"https"),
}

CONTRADICTIONS = {
    "Ssl": ("X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: on\r\n", ("x-forwarded-proto", "x-forwarded-ssl")),
    "no Ssl": ("X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n", ("x-forwarded-proto", "x-forwarded-ssl")),
    "Forwarded": ("X-Forwarded-Proto: https\r\nForwarded: proto=http\r\n", ("forwarded", "x-forwarded-proto")),
    "the CDN": ('X-Forwarded-Proto: http\r\nCF-Visitor: {"scheme":"https"}\r\n', ("cf-visitor", "x-forwarded-proto")),
}


@pytest.mark.parametrize(("lines", "names"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_is_https_and_known(lines: str, names: tuple[str, ...]) -> None:
    origin = relayed(lines)
    assert (origin.scheme, origin.contradicting) == (b"https", names)


@given(st.lists(st.sampled_from(["https", "http", "wss", "ws", "HTTP", "on", "x", ""])))
def test_only_http_and_https_are_told(values: list[str]) -> None:
    origin = relayed("".join(f"X-Forwarded-Proto: {value}\r\n" for value in values))
    assert said(origin)["X-Forwarded-Proto"] in ("http", "https")
    assert relayed(f"X-Forwarded-Proto: {', '.join(values)}\r\n").scheme == origin.scheme
    assert origin.contradicting == ()


@pytest.mark.parametrize(("lines", "scheme"), SCHEMES.values(), ids=SCHEMES.keys())
def test_the_scheme_is_http_or_https(lines: str, scheme: bytes) -> None:
    origin = relayed(lines)
    assert (origin.scheme, said(origin)["X-Forwarded-Proto"]) == (scheme, scheme.decode())


def test_our_own_scheme_counts_when_nothing_is_said() -> None:
    assert relayed("", TrustedPeer(b"10.0.0.1", b"https", NETWORKS)).scheme == b"https"


HOSTS = {
    "a host": ("X-Forwarded-Host: outer.example:8443\r\n", "outer.example:8443"),
    "none": ("", "inner"),
    "a list": ("X-Forwarded-Host: a, b\r\n", "inner"),
    "twice": ("X-Forwarded-Host: a\r\nX-Forwarded-Host: b\r\n", "inner"),
    "twice the same": ("X-Forwarded-Host: A\r\nX-Forwarded-Host: a\r\n", "A"),
    "a list of the same": ("X-Forwarded-Host: outer.example:8443 , outer.example:8443\r\n", "outer.example:8443"),
    "an empty port": ("X-Forwarded-Host: a:\r\n", "a"),
    "no host": ("X-Forwarded-Host: a/b\r\n", "inner"),
    "a user": ("X-Forwarded-Host: u@a\r\n", "inner"),
    "a port beyond": ("X-Forwarded-Host: a:99999\r\n", "inner"),
    "empty": ("X-Forwarded-Host:\r\n", "inner"),
}


@pytest.mark.parametrize(("lines", "host"), HOSTS.values(), ids=HOSTS.keys())
def test_the_host_is_an_authority(lines: str, host: str) -> None:
    assert said(relayed(lines))["X-Forwarded-Host"] == host


def test_no_host_is_told_when_there_is_none() -> None:
    assert b"Host" not in relayed("").lines(b"")


PREFIXES = {
    "a prefix": ("/app", b"/app"),
    "longer": ("/app/v1.2/~x_y-z", b"/app/v1.2/~x_y-z"),
    "a slash at its end": ("/app/", b""),
    "the root": ("/", b""),
    "two slashes": ("//evil.example", b""),
    "two slashes inside": ("/a//b", b""),
    "dots": ("/a/../b", b""),
    "a dot": ("/./b", b""),
    "dots at the end": ("/a/..", b""),
    "relative": ("app", b""),
    "an escape": ("/%2e%2e", b""),
    "a query": ("/a?b", b""),
    "markup": ("/<script>", b""),
    "a list": ("/a, /b", b""),
    "too long": ("/" + "a" * 1024, b""),
}


@pytest.mark.parametrize(("value", "prefix"), PREFIXES.values(), ids=PREFIXES.keys())
def test_the_prefix_is_a_clean_path(value: str, prefix: bytes) -> None:
    assert relayed(f"X-Forwarded-Prefix: {value}\r\n").prefix == prefix


REQUEST_IDS = {
    "a UUID": ("0f8fad5b-d9cb-469f-a165-70867728950e", True),
    "of AWS": ("Root=1-67891233-abcdef012345678912345678", True),
    "base64url": ("aGVs-bG8_d29ybGQ=", True),
    "other punctuation": ("a+b:c@d.e", True),
    "128": ("a" * 128, True),
    "129": ("a" * 129, False),
    "empty": ("", False),
    "a path": ("../../etc/passwd", False),
    "markup": ("<b>", False),
    "a space": ("a b", False),
    "a quote": ('a"b', False),
    "obs-text": ("\xe9", False),
    "a list": ("a, b", False),
}


@pytest.mark.parametrize(("value", "kept"), REQUEST_IDS.values(), ids=REQUEST_IDS.keys())
def test_a_request_keeps_its_identifier_if_nobody_has_to_quote_it(value: str, *, kept: bool) -> None:
    assert relayed(f"X-Request-ID: {value}\r\n").request_id == (value.encode() if kept else b"")


def test_two_identifiers_are_none() -> None:
    assert relayed("X-Request-ID: a\r\nX-Request-ID: a\r\n").request_id == b""


OURS = "for=10.0.0.1;host=inner;proto=http"
FORWARDED = {
    "nothing said": ("", OURS),
    "appended to": ("Forwarded: for=203.0.113.7;proto=https\r\n", f"for=203.0.113.7;proto=https, {OURS}"),
    "several lines": (
        'Forwarded: for="[2001:db9::1]:80";by=_x\r\nForwarded: for=10.2.3.4\r\n',
        f'for="[2001:db9::1]:80";by=_x, for=10.2.3.4, {OURS}',
    ),
    "empty members": ("Forwarded: ,for=a,,for=b;,\r\n", f"for=a,,for=b, {OURS}"),
    "an open quote": ('Forwarded: for="a\r\n', OURS),
    "no pair": ("Forwarded: for\r\n", OURS),
    "a space in a pair": ("Forwarded: for =a\r\n", OURS),
    "half a pair at the end": ("Forwarded: for=a, b\r\n", OURS),
    "a pair without a name": ("Forwarded: for=a;=b\r\n", OURS),
    "a quote without a comma behind it": ('Forwarded: for="a"b=c\r\n', OURS),
    "spaces around": ("Forwarded: for=a ; proto=http , for=b\r\n", f"for=a ; proto=http , for=b, {OURS}"),
    "not separated": ("Forwarded: for=a by=b\r\n", OURS),
    "the same as the chain": (
        'X-Forwarded-For: 203.0.113.7\r\nForwarded: for="203.0.113.7:80";secret=x\r\n',
        f'for="203.0.113.7:80";secret=x, {OURS}',
    ),
    "another than the chain": (
        "X-Forwarded-For: 203.0.113.7\r\nForwarded: for=198.51.100.1\r\n",
        f"for=203.0.113.7;proto=http, {OURS}",
    ),
    "another element than the chain": (
        'X-Forwarded-For: 203.0.113.7\r\nForwarded: for=203.0.113.7, for="b, for=203.0.113.7"\r\n',
        f"for=203.0.113.7;proto=http, {OURS}",
    ),
    "made of the other fields": (
        "X-Forwarded-For: x, 2001:db9::1, 10.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a:1\r\n",
        f'for="[2001:db9::1]";host="a:1";proto=https, for=10.2.3.4, {OURS}',
    ),
    "made of the scheme alone": ("X-Forwarded-Proto: https\r\n", f"for=unknown;proto=https, {OURS}"),
}


@pytest.mark.parametrize(("lines", "expected"), FORWARDED.values(), ids=FORWARDED.keys())
def test_forwarded_tells_the_same_story(lines: str, expected: str) -> None:
    assert said(relayed(lines))["Forwarded"] == expected


def test_forwarded_alone_tells_who_the_client_is() -> None:
    origin = relayed("Forwarded: for=198.51.100.1, for=203.0.113.7;proto=https;host=a, For=10.2.3.4\r\n")
    assert origin.client == b"203.0.113.7"
    assert said(origin)["X-Forwarded-For"] == "203.0.113.7, 10.2.3.4, 10.0.0.1"


@given(st.text(st.sampled_from('for=,;" \\ab1.:[]'), max_size=40))
def test_nothing_in_forwarded_swallows_our_own_element(value: str) -> None:
    told = said(relayed(f"Forwarded: {value}\r\n"))["Forwarded"]
    again = relayed(f"Forwarded: {told}\r\n")
    assert told.endswith(OURS)
    assert said(again)["Forwarded"] == f"{told}, {OURS}"


def head_of(lines: str, route: Rewrite) -> list[str]:
    head = parse_request(f"GET /api/x HTTP/1.1\r\nHost: inner\r\n{lines}\r\n".encode("latin-1"))
    origin = PEER.origin(head.fields)
    text = request_head(
        head,
        read_target(head),
        request_framing(head),
        origin=origin,
        route=route.below(origin.prefix),
        request_id=origin.request_id or b"new",
        upgrade=False,
    )
    return text.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")


def test_a_worker_gets_each_field_once() -> None:
    lines = (
        "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer.example\r\n"
        "X-Forwarded-Prefix: /app\r\nX-Real-IP: 6.6.6.6\r\nX-Request-ID: abc\r\nX-Original-URL: /admin\r\n"
        "X_Forwarded_For: 6.6.6.6\r\nAccept: */*\r\n"
    )
    assert head_of(lines, Rewrite(b"/api", strip=True)) == [
        "GET /x HTTP/1.1",
        "Host: inner",
        "Accept: */*",
        "X-Forwarded-For: 203.0.113.7, 10.0.0.1",
        "X-Real-IP: 203.0.113.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: outer.example",
        f"Forwarded: for=203.0.113.7;host=outer.example;proto=https, {OURS}",
        "X-Forwarded-Prefix: /app/api",
        "X-Request-ID: abc",
    ]


ROUTES = {
    "stripped": (Rewrite(b"/api", strip=True), "/app", ["X-Forwarded-Prefix: /app/api"], "/x"),
    "kept": (Rewrite(b"/api", strip=False), "/app", ["X-Forwarded-Prefix: /app"], "/api/x"),
    "the root": (Rewrite(b"/", strip=True), "/app", ["X-Forwarded-Prefix: /app"], "/api/x"),
    "stripped here only": (Rewrite(b"/api", strip=True), "no path", ["X-Forwarded-Prefix: /api"], "/x"),
    "nowhere": (Rewrite(b"/api", strip=False), "no path", [], "/api/x"),
}


@pytest.mark.parametrize(("route", "outer", "lines", "path"), ROUTES.values(), ids=ROUTES.keys())
def test_prefixes_add_up(route: Rewrite, outer: str, lines: list[str], path: str) -> None:
    head = head_of(f"X-Forwarded-Prefix: {outer}\r\n", route)
    assert [line for line in head if line.startswith("X-Forwarded-Prefix")] == lines
    assert head[0] == f"GET {path} HTTP/1.1"
