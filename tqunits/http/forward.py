"""The heads that the router writes: a request for a worker, a response for a client.

RFC 9110 §7.6. End-to-end fields are forwarded in their order; hop-by-hop fields are dropped. The
fields about the client (X-Forwarded-*, X-Real-IP, Forwarded of RFC 7239, X-Request-ID) are the
router's own; values are taken only from a trusted proxy (trust.py). The field against loops
(passes.py) is the same for all requests of a route, so the route has it.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from tqunits.http.fields import NEVER_FORWARDED
from tqunits.http.framing import Framing, Kind
from tqunits.http.grammar import Malformed, split_list
from tqunits.http.head import RequestHead, ResponseHead
from tqunits.http.passes import MAX_PASSES, PASSES, passes
from tqunits.http.target import Target, raw_below

_NODE: Final = re.compile(rb"[0-9A-Za-z.\-_]++")
"""What needs no quotes in Forwarded (RFC 7239 §4)."""


class Forwarder(Protocol):
    """Who sent a request, as lines for the worker."""

    def lines(self, host: bytes) -> bytes:
        """The lines for a request to that host, each with the CRLF before it."""
        ...


class Origin:
    """A client whose own statements are not believed. One object per connection, because most of
    what is said of a client never changes."""

    __slots__ = ("_address", "_host", "_lines", "_node", "_scheme")

    def __init__(self, address: bytes, scheme: bytes) -> None:
        """`address`: the client's, without port; b"" for a peer on a Unix socket."""
        self._address = address
        self._scheme = scheme
        self._node = node(address)
        self._host: bytes | None = None
        self._lines = b""

    def lines(self, host: bytes) -> bytes:
        """The lines for a request to that host, each with the CRLF before it."""
        if host != self._host:
            self._host = host
            self._lines = self._write(host)
        return self._lines

    def forget(self) -> None:
        """Keep no lines: the connection is idle."""
        self._host = None
        self._lines = b""

    def _write(self, host: bytes) -> bytes:
        address = b"\r\nX-Forwarded-For: %b\r\nX-Real-IP: %b" % (self._address, self._address)
        return b"%b\r\nX-Forwarded-Proto: %b%b\r\nForwarded: %b" % (
            address if self._address else b"",
            self._scheme,
            b"\r\nX-Forwarded-Host: %b" % host if host else b"",
            element(self._node, host, self._scheme),
        )


def element(node: bytes, host: bytes, scheme: bytes) -> bytes:
    """One hop of Forwarded (RFC 7239 §4). `node`: from `node`; `host`: b"" when it is not known."""
    quoted = host if _NODE.fullmatch(host) else b'"%b"' % host
    return b"for=%b%b;proto=%b" % (node, b";host=" + quoted if host else b"", scheme)


def node(address: bytes) -> bytes:
    """An address the way Forwarded names it (RFC 7239 §6); b"" is somebody unknown."""
    if not address:
        return b"unknown"
    return b'"[%b]"' % address if b":" in address else address


def check_request(head: RequestHead, name: bytes) -> None:
    """Refuse a valid request that can not be served. `name`: the name of this host's routers.
    Raises Malformed: 417, 508."""
    special = head.fields.special
    if b"expect" in special and not _expectations(head) <= _CONTINUE:
        raise Malformed(417, "an expectation other than 100-continue")
    if not special.isdisjoint(PASSES) and passes(head.fields, name) >= MAX_PASSES:
        raise Malformed(508, f"this request came through here {MAX_PASSES} times")


def expects_continue(head: RequestHead) -> bool:
    """Whether the client waits for a 100 before it sends the body; from HTTP/1.0 it means nothing
    (§10.1.1)."""
    return head.minor == 1 and b"expect" in head.fields.special and bool(_expectations(head))


def wants_upgrade(head: RequestHead) -> bool:
    """Whether an upgrade is asked for in due form, to whatever; RFC 9110 §7.8 lets a server do
    without."""
    fields = head.fields
    return head.minor == 1 and b"upgrade" in fields.options_said and b"upgrade" in fields.special


def wants_websocket(head: RequestHead, framing: Framing) -> bool:
    """Whether this is a websocket upgrade, the only one that is passed on: h2c would bypass every
    rule here."""
    fields = head.fields
    return (
        b"upgrade" in fields.options_said
        and head.method == b"GET"
        and head.minor == 1
        and framing.source is Kind.NONE
        and [value.lower() for value in fields.values(b"upgrade")] == [b"websocket"]
    )


def request_head(
    head: RequestHead,
    target: Target,
    framing: Framing,
    *,
    origin: Forwarder,
    route: Rewrite,
    request_id: bytes,
    upgrade: bool,
    continued: bool = False,
) -> bytes:
    """The head that a worker gets, complete.

    `upgrade`: to websocket, and only if `wants_websocket`; `continued`: what `Expect: 100-continue`
    asks for is done.
    """
    fields = head.fields
    kept = fields.kept
    if target.absolute or fields.respells or not fields.special.isdisjoint(_RARE):
        kept = _rewritten(head, target, continued=continued)
    return b"%b %b%b HTTP/1.1%b%b%b\r\nX-Request-ID: %b%b\r\n\r\n" % (
        head.method,
        route.path_of(target),
        target.query,
        kept,
        origin.lines(target.host),
        route.line,
        request_id,
        upgrade_lines(b"websocket") if upgrade else framing.line,
    )


class Rewrite:
    """What a route does to a request: it strips its prefix from the path, tells the worker so, and
    adds the field against loops."""

    __slots__ = ("_cut", "_mark", "_raw", "_stripped", "line")

    def __init__(self, prefix: bytes, *, strip: bool, mark: bytes = b"", outer: bytes = b"", raw: bool = False) -> None:
        """`mark`: from `pass_line`; `outer`: what a trusted proxy before us has stripped already;
        b"" is nothing.

        `raw`: the worker gets the path as it was sent, in whatever valid spelling.
        """
        self._raw = raw
        self._stripped = prefix if strip and prefix != b"/" else b""
        self._cut = len(self._stripped)
        self._mark = mark
        told = outer + self._stripped
        self.line = mark + (b"\r\nX-Forwarded-Prefix: " + told if told else b"")

    def below(self, outer: bytes) -> Rewrite:
        """The same, for a request of which a trusted proxy has stripped `outer`."""
        if not outer:
            return self
        return Rewrite(self._stripped, strip=True, mark=self._mark, outer=outer, raw=self._raw)

    def path(self, path: bytes) -> bytes:
        """The path that the worker sees; "/" when nothing is left.

        Never two slashes at its beginning, unless the worker wants what was sent.
        """
        if not self._cut:
            return path
        rest = path[self._cut :]
        return b"/" + rest.lstrip(b"/") if rest.startswith(b"//") and not self._raw else rest or b"/"

    def path_of(self, target: Target) -> bytes:
        """The same, for a target that may have been spelled in another way."""
        if self._raw and target.raw:
            return (raw_below(target.raw, self._stripped) if self._cut else target.raw) or b"/"
        return self.path(target.path)


def upgrade_lines(protocol: bytes) -> bytes:
    """The lines that make a head an upgrade, on either side (RFC 9110 §7.8)."""
    return b"\r\nConnection: Upgrade\r\nUpgrade: " + protocol


def accepts_websocket(head: ResponseHead) -> bool:
    """Whether a 101 switches to what was asked for."""
    fields = head.fields
    return b"upgrade" in fields.options_said and [v.lower() for v in fields.values(b"upgrade")] == [b"websocket"]


def response_head(
    head: ResponseHead, framing: Framing | None, *, close: bool, date: bytes, lines: bytes = b""
) -> bytes:
    """The head that a client gets, complete. `framing` None: an interim response. `date`: now, if
    the worker has none.

    `close`: this is the last response on the client's connection; `lines`: more of the router's
    own.
    """
    fields = head.fields
    kept = fields.kept
    if framing is None:
        return b"HTTP/1.1 %d %b%b\r\n\r\n" % (head.status, head.reason, kept)
    if head.status == UPGRADE_REQUIRED and b"upgrade" in fields.special:
        lines += upgrade_lines(b", ".join(fields.values(b"upgrade")))
    return b"HTTP/1.1 %d %b%b%b%b%b%b\r\n\r\n" % (
        head.status,
        head.reason,
        kept,
        lines,
        b"" if b"date" in fields.special else b"\r\nDate: " + date,
        framing.line,
        b"\r\nConnection: close" if close else b"",
    )


UPGRADE_REQUIRED: Final = 426
"""The one answer that says Upgrade without switching: it must (RFC 9110 §15.5.22), and it is for
the client."""

_CONTINUE: Final = frozenset({b"100-continue"})
_RARE: Final = frozenset({b"expect", b"max-forwards", b"te"})


def _rewritten(head: RequestHead, target: Target, *, continued: bool) -> bytes:
    """The lines of a request in which more than the hop's own changes."""
    fields = head.fields
    drop, add = set(), b""
    if target.absolute or fields.respells:
        drop.add(b"host")
        add += b"\r\nHost: " + target.host
    if b"expect" in fields.special:
        drop.add(b"expect")
        add += b"" if continued or not expects_continue(head) else b"\r\nExpect: 100-continue"
    if b"max-forwards" in fields.special and head.method == b"OPTIONS":
        drop.add(b"max-forwards")
        add += b"\r\nMax-Forwards: %d" % (_max_forwards(head) - 1)
    if wants_trailers(head):
        add += b"\r\nConnection: TE\r\nTE: trailers"
    return fields.forwarded(NEVER_FORWARDED | drop, fields.options_said) + add


def wants_trailers(head: RequestHead) -> bool:
    """Whether the client reads trailers: the one member of TE that a proxy may pass on (RFC 9110
    §10.1.4)."""
    return head.minor == 1 and b"te" in head.fields.special and b"trailers" in split_list(head.fields.values(b"te"))


def ends_here(head: RequestHead) -> bool:
    """Whether an OPTIONS has no hop left and is answered by the router itself (RFC 9110 §7.6.2)."""
    return head.method == b"OPTIONS" and b"max-forwards" in head.fields.special and _max_forwards(head) == 0


def _expectations(head: RequestHead) -> frozenset[bytes]:
    """A list, which may be empty (RFC 9110 §10.1.1)."""
    return frozenset(split_list(head.fields.values(b"expect")))


def _max_forwards(head: RequestHead) -> int:
    values = head.fields.values(b"max-forwards")
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > 9:
        raise Malformed(400, "a Max-Forwards that is no number")
    return int(values[0])
