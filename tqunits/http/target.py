"""The target of a request and its Host, parsed so that no other server can understand another
place.

RFC 9112 §3.2 (the forms of a target and Host), RFC 3986 §6.2.2 (equal paths). The same path is
routed and forwarded: it is normalised to one canonical spelling, which decides the route and is
sent to the worker. Spellings that servers disagree on (`..`, `%5c`, `\\`, `%00`, broken escapes)
are refused, because a prefix rule that a worker reads differently is no rule. A single dot, which
leads nowhere, is left out (RFC 3986 §5.2.4), and `%2e` is one: it is decoded before anything else
is asked, so a rule of its own would be a second reading; browsers do the same before they ask.
`%2f` is refused too unless the worker wants it; who that is, routing tells: so it is only noted
here, and is routed as any other character, never as a border.
"""

from __future__ import annotations

import re
from typing import Final

from tqunits.http.fields import valid_authority
from tqunits.http.grammar import Malformed
from tqunits.http.head import RequestHead

_NOT_SHOWN: Final = rb"\x00-\x20\x7f-\xff"
"""What no request line holds (grammar.REQUEST_LINE)."""
USUAL_PATH: Final = (
    rb"(/(?:[^./?#%\\" + _NOT_SHOWN + rb"][^/?#%\\" + _NOT_SHOWN + rb"]*+/?+)*+)(\?[^#" + _NOT_SHOWN + rb"]*+)?+"
)
"""A path that is canonical as it stands, and a query: one pattern costs half of what the questions
one by one do. The group fails at its first byte or not at all: Python before 3.11.5 keeps what a
possessive group has read of a turn that fails later (CPython issues 100061 and 106052), and would
let `/a/.` through."""
_USUAL: Final = re.compile(USUAL_PATH)
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*+)(.*+)", re.DOTALL)
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?+")
_SINGLE_DOT: Final = re.compile(rb"/\.(?=/)")
_DOT_SEGMENT: Final = re.compile(rb"(?:/|%2F)\.\.?+(?:[/;]|%2F|\Z)")
"""What is refused. Between encoded slashes too: a worker that decodes `/a%2F..%2Fb` climbs. A
single dot beside an encoded slash, or with a parameter (`/.;x`), is a segment to some servers and
none to others."""
_PASSED_BY: Final = frozenset({b"", b".", b"%2e", b"%2E"})
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_REFUSED_ESCAPES: Final = frozenset(b"\\\0")


class Target:
    """What a request asks for: `host` is the authority as it is forwarded.

    Where the client gave none it is b"" at first: `authority` has what the connection tells then.
    """

    __slots__ = ("absolute", "encoded_slash", "host", "path", "query", "raw")

    def __init__(
        self,
        host: bytes,
        path: bytes,
        query: bytes,
        *,
        absolute: bool = False,
        encoded_slash: bool = False,
        raw: bytes = b"",
    ) -> None:
        self.host = host
        self.path = path  # canonical, begins with "/"; or "*" of OPTIONS
        self.query = query  # with its "?", or empty
        self.absolute = absolute  # the target named the host: it replaces Host
        self.raw = raw  # the path as it was sent, where that is another spelling; else b""
        self.encoded_slash = encoded_slash  # the path has a %2F, which only some workers take


def read_target(head: RequestHead) -> Target:
    """The target of a request. Raises Malformed: 400, 405 (TRACE), 501 (CONNECT)."""
    host = head.fields.host
    if host is None:
        host = _no_host(head)  # b"" is one that is undefined (RFC 9110 §7.2)
    usual = _USUAL.fullmatch(head.target)
    if usual is None or head.method in _NOT_SERVED:
        return _other_form(head, host)
    path, query = usual.groups(b"")
    return Target(host, path, query)


def canonical_path(path: bytes) -> bytes:
    """The one spelling of a path: one slash at its beginning, unreserved characters decoded once,
    others in upper case.

    And without single dots: `/a/./b` is `/a/b`, `/a/.` is `/a/`. Two slashes would begin a
    network-path reference (RFC 3986 §4.2): `//evil.example/x` is a host to who resolves it.

    Raises Malformed for what two servers may read differently, but for an encoded slash.
    """
    if b"%" in path:
        path = _ESCAPE.sub(_escape, path)
    if b"\\" in path:
        raise Malformed(400, "a backslash in the path")
    if b"/." in path:
        path = _SINGLE_DOT.sub(b"", path)
        if path.endswith(b"/."):
            path = path[:-1]
    if (b"/." in path or b"%2F." in path) and _DOT_SEGMENT.search(path):
        raise Malformed(400, "a dot segment in the path")
    if path.startswith(b"//"):
        path = b"/" + path.lstrip(b"/")
    return path


def raw_below(raw: bytes, prefix: bytes) -> bytes:
    """What is left of a path as it was sent, of which the canonical spelling is below `prefix`
    ("/api"); may be empty.

    Segment by segment: those that are not in the canonical spelling are passed by.
    """
    end = 0
    for _ in range(prefix.count(b"/")):
        segment = b""
        while segment in _PASSED_BY and end < len(raw):
            start = end + 1
            end = raw.find(b"/", start)
            end = len(raw) if end < 0 else end
            segment = raw[start:end]
    return raw[end:]


def authority(address: str, port: int, *, secured: bool) -> bytes:
    """Whom a request is for that names nobody: the address that it came to (RFC 9112 §3.3), "" for
    a Unix socket.

    The scheme's own port is left out, as clients do (RFC 9110 §4.2.3).
    """
    host = address.partition("%")[0].removeprefix("::ffff:") or "localhost"
    name = (f"[{host}]" if ":" in host else host).encode("ascii")
    return name if port in (0, 443 if secured else 80) else b"%b:%d" % (name, port)


def host_name(authority: bytes) -> bytes:
    """The name to route by: lower case, without the port and the root's dot."""
    name = authority.lower()
    if name.endswith(b"]"):
        return name
    return name.rpartition(b":")[0].rstrip(b".") if b":" in name else name.rstrip(b".")


_NOT_SERVED: Final = {
    b"CONNECT": Malformed(501, "CONNECT is not served here"),
    b"TRACE": Malformed(405, "TRACE is not served here"),
}


def _no_host(head: RequestHead) -> bytes:
    """Only HTTP/1.0 may do without (RFC 9112 §3.2)."""
    if head.minor == 0:
        return b""
    raise Malformed(400, "no Host")


def _other_form(head: RequestHead, host: bytes) -> Target:
    """Everything but the usual `GET /path`: other forms, spellings that are to become canonical,
    what is refused."""
    refusal = _NOT_SERVED.get(head.method)
    if refusal is not None:
        raise Malformed(refusal.status, refusal.detail)
    target = head.target
    if target == b"*":
        if head.method != b"OPTIONS":
            raise Malformed(400, "the target '*' with a method other than OPTIONS")
        return Target(host, b"*", b"")
    if b"#" in target:
        raise Malformed(400, "a fragment in the request target")
    if target.startswith(b"/"):
        return _spelt(host, target)
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise Malformed(400, "a request target that is neither a path nor an http URI")
    host = valid_authority(match[1])
    if not match[2] and head.method == b"OPTIONS":
        return Target(host, b"*", b"", absolute=True)  # RFC 9112 §3.2.4
    return _spelt(host, match[2], absolute=True)


def _spelt(host: bytes, path_and_query: bytes, *, absolute: bool = False) -> Target:
    raw, mark, query = path_and_query.partition(b"?")
    path = canonical_path(raw or b"/")
    slash = b"%2F" in path  # in a canonical path every "%" begins an escape
    raw = b"" if raw == path else raw
    return Target(host, path, mark + query, absolute=absolute, encoded_slash=slash, raw=raw)


def _escape(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        raise Malformed(400, "a broken % escape in the path")
    byte = int(digits, 16)
    if byte in _UNRESERVED:
        return bytes((byte,))
    if byte in _REFUSED_ESCAPES:
        raise Malformed(400, "an encoded backslash or NUL in the path")
    return match[0].upper()
