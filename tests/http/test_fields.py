"""Header fields: with any earlier messages, the result is that of a slow reader that uses only the
grammar."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.fields import RequestFields, ResponseFields
from tqunits.http.grammar import Malformed
from tqunits.http.head import ResponseHead, parse_request, parse_response

TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")  # RFC 9110 §5.6.2
TEXT = frozenset({0x09, *range(0x20, 0x7F), *range(0x80, 0x100)})  # RFC 9110 §5.5: HTAB, SP, VCHAR, obs-text
LABEL = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-")
ADDRESS = frozenset(b"0123456789abcdefABCDEF:.")

HOP = "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te transfer-encoding upgrade"
CLAIMS = (
    "forwarded x-client-ip x-cluster-client-ip x-forwarded-by x-forwarded-for x-forwarded-host x-forwarded-method "
    "x-forwarded-path x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-scheme x-forwarded-server "
    "x-forwarded-ssl x-forwarded-uri x-original-host x-original-uri x-original-url x-real-ip x-request-id "
    "x-rewrite-url x-forwarded-protocol x-scheme x-url-scheme front-end-https"
)
OF_THE_HOP = frozenset(f"{HOP} content-length".encode().split())
FALSE = frozenset(CLAIMS.encode().split())
OBEYED = frozenset(b"cdn-loop cf-visitor cloudfront-forwarded-proto date expect host max-forwards via proxy".split())
SACRED = FALSE | frozenset(b"content-length transfer-encoding authorization cookie host".split())
ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
MEANINGLESS = frozenset(b"close keep-alive upgrade te".split())


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of the slow reader."""

    lines: tuple[tuple[bytes, bytes, bytes], ...]  # the line, its lower-case name, its value
    host: bytes | None
    options: frozenset[bytes]
    kept: bytes
    special: frozenset[bytes]

    def values(self, name: bytes) -> list[bytes]:
        return [value for _, one, value in self.lines if one == name]


def slowly(block: bytes, *, request: bool) -> Reading | int:
    """Read a block line by line and byte by byte; gives the result, or the status of a refusal."""
    if not block.startswith(b"\r\n") or not block.endswith(b"\r\n\r\n"):
        return 400
    texts = block.split(b"\r\n")[1:-2]
    if not request:
        if texts and texts[0][:1] in (b" ", b"\t"):
            return 400
        texts = [squeezed(text) for text in unfolded(texts)]
    lines = [found for text in texts if (found := line_of(text)) is not None]
    if len(lines) < len(texts):
        return 400
    if len(lines) > 100:
        return 431
    hosts = [value for _, name, value in lines if name == b"host"]
    if request and hosts and (len(hosts) > 1 or (hosts[0] and not is_authority(hosts[0]))):
        return 400
    listed = b",".join(value for _, name, value in lines if name == b"connection")
    options = frozenset(option for part in listed.split(b",") if (option := part.strip(b" \t").lower()))
    nominated = options - MEANINGLESS - SACRED
    stays = [text for text, name, _ in lines if name not in nominated and not is_dropped(name, request=request)]
    special = frozenset(name for _, name, _ in lines if is_dropped(name, request=True) or name in OBEYED)
    return Reading(
        tuple(lines),
        hosts[0].removesuffix(b":") if hosts else None,
        options,
        b"".join(b"\r\n" + text for text in stays),
        special,
    )


def unfolded(texts: list[bytes]) -> list[bytes]:
    """RFC 9112 §5.2: each fold becomes a space."""
    whole: list[bytes] = []
    for text in texts:
        if text[:1] in (b" ", b"\t"):
            whole[-1] += b" " + text.lstrip(b" \t")
        else:
            whole.append(text)
    return whole


def squeezed(text: bytes) -> bytes:
    """RFC 9112 §5.1: no space before the colon."""
    name, colon, value = text.partition(b":")
    bare = name.rstrip(b" \t")
    return bare + colon + value if bare and colon and TCHAR.issuperset(bare) else text


def line_of(text: bytes) -> tuple[bytes, bytes, bytes] | None:
    """field-line = field-name ":" OWS field-value OWS (RFC 9112 §5)."""
    name, colon, value = text.partition(b":")
    if not name or not colon or not TCHAR.issuperset(name) or not TEXT.issuperset(value):
        return None
    return text, name.lower(), value.strip(b" \t")


def is_dropped(name: bytes, *, request: bool) -> bool:
    """In a request, also a field whose name becomes such a name in a program that gets it as CGI
    variable."""
    if not request:
        return name in OF_THE_HOP
    return name == b"proxy" or name in OF_THE_HOP | FALSE or (name != b"max-forwards" and variable(name) in TOLD)


def variable(name: bytes) -> bytes:
    """The meta-variable of a field (RFC 3875 §4.1.18), as Apache, lighttpd and PHP's own server
    make it."""
    return b"HTTP_" + b"".join(bytes((byte,)) if byte in ALPHANUMERIC else b"_" for byte in name.upper())


def is_authority(text: bytes) -> bool:
    """A name or an IPv6 address in brackets, and a port."""
    if text.startswith(b"["):
        host, bracket, rest = text[1:].partition(b"]")
        good = bool(bracket) and 2 <= len(host) <= 45 and ADDRESS.issuperset(host)
    else:
        host, colon, port = text.partition(b":")
        rest = colon + port
        good = 1 <= len(host) <= 255 and LABEL.issuperset(host)
    digits = rest[1:]
    return good and (
        rest in (b"", b":") or (rest[:1] == b":" and digits.isdigit() and len(digits) <= 5 and int(digits) <= 65535)
    )


def read(block: bytes, known: RequestFields | None) -> RequestFields | int:
    """The result of the router."""
    try:
        return parse_request(b"GET / HTTP/1.1" + block, known).fields
    except Malformed as refusal:
        return refusal.status


def respond(block: bytes, known: ResponseFields | None) -> ResponseFields | int:
    """The router's result for a response; its refusals have no status of their own."""
    try:
        return parse_response(b"HTTP/1.1 200 OK" + block, known).fields
    except Malformed as refusal:
        return refusal.status


def assert_same(found: RequestFields | ResponseFields | int, expected: Reading | int) -> None:
    if isinstance(found, int) or isinstance(expected, int):
        assert found == expected
        return
    names = {name for _, name, _ in expected.lines}
    assert list(found.names) == [name for _, name, _ in expected.lines]
    assert {name: found.values(name) for name in names} == {name: expected.values(name) for name in names}
    assert found.values(b"x-absent") == []
    assert found.special == expected.special
    assert found.options_said == expected.options
    assert found.kept == expected.kept
    if isinstance(found, RequestFields):
        assert found.host == expected.host
    told = expected.values(b"content-length")
    assert length_of(found) == number(told if isinstance(found, RequestFields) else once(told))


def length_of(fields: RequestFields | ResponseFields) -> int | None:
    try:
        return fields.content_length()
    except Malformed:
        return None


def once(values: list[bytes]) -> list[bytes]:
    """A field that a response repeats with the same value counts once (RFC 9110 §8.6)."""
    members = [member.strip(b" \t") for value in values for member in value.split(b",")]
    return members[:1] if len(set(members)) == 1 else []


def number(values: list[bytes]) -> int | None:
    if len(values) != 1 or not 1 <= len(values[0]) <= 18 or not frozenset(b"0123456789").issuperset(values[0]):
        return None
    return int(values[0])


def follow(blocks: Sequence[bytes]) -> None:
    """The blocks come one after the other on one connection. Each is read as if it were the
    first."""
    request, response = None, None
    for block in blocks:
        found, answer = read(block, request), respond(block, response)
        assert_same(found, slowly(block, request=True))
        assert_same(answer, slowly(block, request=False))
        if isinstance(found, RequestFields):
            request = found
        if isinstance(answer, ResponseFields):
            response = answer


TOLD = frozenset(variable(name) for name in OF_THE_HOP | FALSE | {b"proxy", b"max-forwards"})

PLAIN = (b"a", b" a", b"\ta \t", b"", b" ", b"b: c", b" X-A: b", b" \xe9", b" " + b"a" * 300)
OPTIONS = (b" close", b"Keep-Alive", b" x, close", b" X-Hop, x-a", b" cookie,,close , te", b"host", b" content-length")
SAID = {
    b"connection": OPTIONS,
    b"host": (b" a", b" a.example:80", b" [::1]", b"a:65536", b" a b", b" u@a"),
    b"content-length": (b" 0", b" 17", b" 18", b"007", b" +1", b" 1,1", b" " + b"1" * 18, b" " + b"1" * 19),
}
SINGLE = (b"Host", b"Connection", b"Content-Length")
NAMES = (
    *(
        b"host",
        b"Accept",
        b"Cookie",
        b"cookie",
        b"Referer",
        b"X-A",
        b"x-a",
        b"X-Hop",
        b"Via",
        b"Date",
        b"X",
        b"X-Accept",
    ),
    *(b"connection", b"Keep-Alive", b"content-length", b"Transfer-Encoding", b"TE", b"Close", b"Proxy", b"Set-Cookie"),
    *(b"X-Request-ID", b"X_Request_ID", b"X-Forwarded-For", b"ETag"),
    *(b"X.Real.IP", b"content~length", b"X-Original|URL", b"Max_Forwards", b"X.Real.IP.", b"X_A", b"Pro.xy"),
)
WRONG = (
    *(b"\0", b"\r", b"\n", b"\x7f", b"\x1f", b"\r\n", b"\r\n ", b"\n\r", b"\r\n\r\n"),
    *(b":", b" :", b" ", b"\t", b"\xff"),
)

names = st.lists(st.sampled_from(NAMES), max_size=6).flatmap(
    lambda some: st.permutations([*some, *SINGLE]).map(lambda all_: all_[: len(some) + 2])
)
mistakes = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(WRONG), st.integers(0, 2)), max_size=2)


def said(name: bytes) -> st.SearchStrategy[bytes]:
    """Values that may follow the colon."""
    return st.sampled_from(SAID.get(name.lower(), PLAIN)) | st.binary(max_size=3)


def block_of(lines: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"\r\n%b:%b" % line for line in lines) + b"\r\n\r\n"


def spoil(block: bytes, wrong: Sequence[tuple[int, bytes, int]]) -> bytes:
    """Put each of these bytes somewhere after the first CRLF, in the place of a few others."""
    for place, what, many in wrong:
        at = 2 + place % (len(block) - 1)
        block = block[:at] + what + block[at + many :]
    return block


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Heads as they come on one connection: mostly the same names, often the same values, and
    sometimes a mistake."""
    lines: list[tuple[bytes, bytes]] = []
    blocks = []
    for number in range(draw(st.integers(1, 6))):
        if number == 0 or draw(st.integers(0, 9)) == 0:
            lines = [(name, draw(said(name))) for name in draw(names)]
        changed = draw(st.sets(st.integers(0, 7), max_size=3))
        lines = [(name, draw(said(name)) if n in changed else value) for n, (name, value) in enumerate(lines)]
        blocks.append(spoil(block_of(lines), draw(mistakes) if draw(st.integers(0, 3)) == 0 else ()))
    return blocks


@given(conversations())
def test_the_same_is_read_whatever_came_before(blocks: list[bytes]) -> None:
    follow(blocks)


@given(st.lists(st.binary(max_size=60).map(lambda data: b"\r\n" + data + b"\r\n\r\n"), min_size=1, max_size=3))
def test_the_same_is_read_of_any_bytes(blocks: list[bytes]) -> None:
    follow(blocks)


BROWSER = block_of(
    [
        (b"Host", b" bench.example"),
        (b"User-Agent", b" Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36"),
        (b"Accept", b" text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"Accept-Encoding", b" gzip, deflate, br, zstd"),
        (b"Connection", b" keep-alive"),
        (b"Cookie", b" session=8f14e45fceea167a; theme=dark"),
        (b"Referer", b" http://bench.example/api/list?page=1"),
        (b"Sec-Fetch-Mode", b" navigate"),
        (b"X-Forwarded-For", b" 192.0.2.1"),
        (b"Content-Length", b" 13"),
        (b"Traceparent", b" 00-0af7651916cd43dd8448eb21-00f067aa-01"),
    ]
)


@pytest.mark.parametrize("seed", range(8))
def test_the_same_is_read_of_what_chance_makes_of_a_head(seed: int) -> None:
    """A conversation of 500 heads. Each is the last valid one with one or two other bytes, of any
    kind and at any place."""
    chance = random.Random(seed)
    block, request, response, refused = BROWSER, None, None, 0
    for _ in range(500):
        wrong = []
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            what = chance.choice(WRONG) if chance.random() < 0.15 else bytes((chance.choice(b"abc019 ,;:-XY\xe9"),))
            wrong.append((chance.randrange(10_000), what, chance.choice((0, 1, 1, 1, 1, len(what)))))
        spoiled = spoil(block, wrong)
        found, answer = read(spoiled, request), respond(spoiled, response)
        assert_same(found, slowly(spoiled, request=True))
        assert_same(answer, slowly(spoiled, request=False))
        if isinstance(found, RequestFields) and isinstance(answer, ResponseFields):
            block, request, response = spoiled, found, answer
        else:
            refused += 1
        if chance.random() < 0.05 or len(block) > 2000:
            block = BROWSER
    assert 50 < refused < 450


def varied(number: int) -> bytes:
    return BROWSER.replace(b"8f14", b"%04d" % number).replace(b"page=1", b"page=%d" % number)


def test_from_the_third_head_on_only_what_differs_is_read() -> None:
    """A result that was read with a stencil shares it. The first message has none, the second makes
    it."""
    first = parse_request(b"GET / HTTP/1.1" + varied(1)).fields
    second = parse_request(b"GET / HTTP/1.1" + varied(20), first).fields
    third = parse_request(b"GET / HTTP/1.1" + varied(300), second).fields
    other = parse_request(b"GET / HTTP/1.1" + varied(4).replace(b"keep-alive", b"close"), third).fields
    assert first.stencil is None
    assert second.stencil is not None
    assert third.stencil is second.stencil
    assert other.stencil is None


def test_the_length_is_that_of_each_head() -> None:
    known = None
    for length in (1, 22, 333, 4444):
        known = parse_response(b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n" % length, known).fields
        assert known.content_length() == length


def test_a_head_that_differs_elsewhere_widens_the_stencil() -> None:
    known = None
    for changed in (b"zstd", b"br", b"navigate", b"dark", b"00-"):
        known = parse_request(b"GET / HTTP/1.1" + BROWSER.replace(changed, b"other"), known).fields
    stencil = known.stencil if known is not None else None
    assert stencil is not None
    assert stencil.holes == {3, 5, 7, 10}
    assert parse_request(b"GET / HTTP/1.1" + varied(7).replace(b"page", b"x"), known).fields.stencil is not stencil


def test_what_may_not_be_told_between_connections_is_not_kept_for_all() -> None:
    """Names are looked up in a table that all connections share; a new value is not in it
    either."""
    first = parse_response(b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\n\r\n").fields
    second = parse_response(b"HTTP/1.1 200 OK\r\nSet-Cookie: b\r\n\r\n").fields
    assert first._outline is second._outline
    texts = (*first._outline.names, *first._outline.beginnings)
    assert texts == (b"set-cookie", b"\r\nSet-Cookie:")


def test_names_beyond_the_limit_are_read_and_forgotten() -> None:
    def answer() -> ResponseHead:
        return parse_response(b"HTTP/1.1 200 OK\r\n%b: a\r\nTE: b\r\n\r\n" % (b"n" * 1100))

    first, second = answer().fields, answer().fields
    assert first._outline is not second._outline
    assert first.kept == second.kept == b"\r\n" + b"n" * 1100 + b": a"
