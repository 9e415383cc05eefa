"""The field lines of one message: checked once, then looked up and forwarded as the bytes they are.

A line that passed the grammar is already canonical (`name:` value, no folding, no control), so forwarding it as it came
is forwarding what was understood (RFC 9110 §7.6). Nothing is split into names and values but the few fields that the
router itself obeys; `SPECIAL` lists them all, so that one set operation tells which of them a message has.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from itertools import product
from typing import Final

from tqunits.http.grammar import AUTHORITY, DIGITS, FIELD_LINES, Malformed, has_controls, split_list

MAX_FIELDS: Final = 100
"""HAProxy's and Envoy's figure; browsers send 10 to 20."""

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 §7.6.1: about this connection, never about the next one. `Trailer` describes the body and stays."""

FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})

FORWARDING: Final = frozenset(
    {
        b"forwarded",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-forwarded-by",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-method",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-url",
        b"x-real-ip",
        b"x-request-id",
        b"x-rewrite-url",
    }
)
"""What a worker believes about the client, or about what was asked, because a router says it (every framework believes
some of these); from a client it is a lie until proven. A CDN's own (CF-Connecting-IP) are between it and the worker."""


def _lookalikes(names: Iterable[bytes]) -> frozenset[bytes]:
    """Every way to write `names` with an underscore: CGI turns `X_Forwarded_For` and `X-Forwarded-For` into one."""
    spellings = (product(*(b"-_" if byte == 0x2D else bytes((byte,)) for byte in name)) for name in names)
    return frozenset(bytes(spelling) for ways in spellings for spelling in ways) - frozenset(names)


LOOKALIKES: Final = _lookalikes(HOP_BY_HOP | FRAMING | FORWARDING)

NEVER_FORWARDED: Final = HOP_BY_HOP | FRAMING | FORWARDING | LOOKALIKES | {b"proxy"}
"""From a client. Framing is written anew by `framing.Framing`; `Proxy` becomes HTTP_PROXY in CGI (httpoxy)."""

NEVER_RETURNED: Final = HOP_BY_HOP | FRAMING
"""From a worker."""

SPECIAL: Final = NEVER_FORWARDED | {b"date", b"expect", b"host", b"max-forwards", b"via"}

NOT_NOMINATED: Final = FRAMING | FORWARDING | {b"authorization", b"cookie", b"host"}
"""RFC 9110 §7.6.1 forbids a sender to name end-to-end fields in Connection. These are the ones whose loss would change
who is asking or what is asked, so their nomination is ignored."""

NOT_IN_TRAILERS: Final = SPECIAL | {
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"cookie",
    b"range",
    b"set-cookie",
    b"trailer",
    b"www-authenticate",
}
"""RFC 9110 §6.5.1: framing, routing, authentication, and what decides how the content is read."""


_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()
_USUAL_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})
"""Options that nominate nothing which is not removed anyway."""


class Fields:
    """The fields of one head. `block` begins with the CRLF before the first line and ends with the empty line."""

    __slots__ = ("_length", "_lowered", "block", "names", "special")

    def __init__(self, block: bytes) -> None:
        """Check the block line by line. Raises Malformed: 400, or 431 for too many."""
        if has_controls(block):
            raise Malformed(400, "a control character in a field")
        lowered = block.lower()
        names: list[bytes] = FIELD_LINES.findall(lowered)
        if len(names) != block.count(b"\n") - 2:
            raise Malformed(400, _fault(block))
        if len(names) > MAX_FIELDS:
            raise Malformed(431, f"more than {MAX_FIELDS} fields")
        self.block = block
        self.names = names  # lower-cased, in order
        self.special = SPECIAL.intersection(names)
        self._lowered = lowered
        self._length = -1  # Content-Length, once it has been read

    def values(self, name: bytes) -> list[bytes]:
        """The values of every line of that (lower-case) name, in order, without the space around them."""
        found = []
        key = b"\r\n%b:" % name
        at = self._lowered.find(key)
        while at >= 0:
            start = at + len(key)
            end = self.block.find(b"\r\n", start)
            found.append(self.block[start:end].strip(b" \t"))
            at = self._lowered.find(key, end)
        return found

    def content_length(self) -> int:
        """The one Content-Length there must be. Raises Malformed for more than one, and for what is no plain number."""
        if self._length < 0:
            values = self.values(b"content-length")
            if len(values) != 1:
                raise Malformed(400, "more than one Content-Length")
            if DIGITS.fullmatch(values[0]) is None:
                raise Malformed(400, "a Content-Length that is not 1 to 18 digits")
            self._length = int(values[0])
        return self._length

    def without(self, names: Set[bytes]) -> bytes:
        """The lines of all other fields, each with the CRLF before it; linear, however many there are."""
        if not names or not self.names:
            return self.block[:-4]
        if len(names) == 1:
            (name,) = names
            return self._without_one(b"\r\n%b:" % name)
        lines = self.block[2:-4].split(b"\r\n")
        kept = [line for name, line in zip(self.names, lines, strict=True) if name not in names]
        return b"\r\n" + b"\r\n".join(kept) if kept else b""

    def options(self) -> frozenset[bytes]:
        """The connection options: `close`, `keep-alive`, `upgrade`, and fields that are meant for this hop only."""
        if b"connection" not in self.special:
            return _NO_OPTIONS
        return frozenset(split_list(self.values(b"connection")))

    def forwarded(self, never: Set[bytes], options: Set[bytes]) -> bytes:
        """The lines that go on: all but `never` and what Connection nominates (RFC 9110 §7.6.1)."""
        nominated = options - _USUAL_OPTIONS
        if not nominated:
            return self.without(never & self.special)
        return self.without(never | (nominated - NOT_NOMINATED))

    def _without_one(self, key: bytes) -> bytes:
        """Cut one name out: a slice on each side of the usual single line."""
        block, lowered = self.block, self._lowered
        at = lowered.find(key)
        if at < 0:
            return block[:-4]
        kept, end = block[:at], block.find(b"\r\n", at + 2)
        if lowered.find(key, end) < 0:
            return kept + block[end:-4]
        lines = block[2:-4].split(b"\r\n")
        name = key[2:-1]
        return b"".join(b"\r\n" + line for n, line in zip(self.names, lines, strict=True) if n != name)


class RequestFields(Fields):
    """The fields of a request and what they say to the router, whatever the request line is."""

    __slots__ = ("host", "kept", "options_said")

    def __init__(self, block: bytes) -> None:
        """Raises Malformed: 400 or 431."""
        super().__init__(block)
        self.host = self._host()  # None: not given
        self.options_said = self.options()
        self.kept = self.forwarded(NEVER_FORWARDED, self.options_said)

    def _host(self) -> bytes | None:
        """The one Host (RFC 9112 §3.2)."""
        if b"host" not in self.special:
            return None
        values = self.values(b"host")
        if len(values) != 1:
            raise Malformed(400, "more than one Host")
        return valid_authority(values[0])


class ResponseFields(Fields):
    """The fields of a response and what they say to the router, whatever the status line is."""

    __slots__ = ("kept", "options_said")

    def __init__(self, block: bytes) -> None:
        """Raises Malformed."""
        super().__init__(block)
        self.options_said = self.options()
        self.kept = self.forwarded(NEVER_RETURNED, self.options_said)


def valid_authority(text: bytes) -> bytes:
    """`text`, if it is a host with or without a port. Raises Malformed."""
    match = AUTHORITY.fullmatch(text)
    if match is None or int(match[2] or 0) > 0xFFFF:
        raise Malformed(400, "a host that is no host")
    return text


def trailer_lines(section: bytes) -> bytes:
    """What may be passed on of a trailer section (its lines with the empty one): whole lines, each with its CRLF.

    Raises Malformed. RFC 9112 §7.1.2: never merged into the fields of the head.
    """
    fields = Fields(b"\r\n" + section)
    lines = fields.without(NOT_IN_TRAILERS)
    return lines[2:] + b"\r\n" if lines else b""


def _fault(block: bytes) -> str:
    """Why a block is refused, for the answer and for whoever debugs a client."""
    if block.count(b"\n") != block.count(b"\r\n") or block.count(b"\r") != block.count(b"\r\n"):
        return "a bare CR or LF in a field"
    if b"\r\n " in block or b"\r\n\t" in block:
        return "a folded field line"
    return "a line that is not NAME: VALUE"
