"""The length of a body, decided once per message. The same object writes the framing field and
moves the bytes.

RFC 9112 §6. A proxy that drops a length field but still reads by it, or reads by one and announces
the other, is how requests are smuggled: so `Framing` is the only source both of the framing field
that goes out (`line`) and of the pump that takes the body through (`pump`). Where the RFC lets a
proxy repair (§6.1, §6.3), this one refuses; only a response may say its length more than once.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Final

from tqunits.http.fields import FRAMING
from tqunits.http.grammar import MAX_DIGITS, Malformed, length_of
from tqunits.http.head import RequestHead, ResponseHead
from tqunits.http.pump import MAX_FRAMING_RETURNED, ChunkedPump, ClosePump, LengthPump, Pump

UNKNOWN: Final = -1
"""The length of a body that tells its end itself, or whose connection does."""

_LONGEST_TOLD: Final = MAX_DIGITS + 2

NO_BODY_STATUSES: Final = frozenset({204, 304})


class Kind(Enum):
    """How the end of a body is known."""

    NONE = 1
    LENGTH = 2
    CHUNKED = 3
    CLOSE = 4


class Framing:
    """The framing of a body as it comes (`source`) and as it is forwarded (`sink`)."""

    __slots__ = ("closes", "length", "line", "sink", "source", "until_close")

    def __init__(self, source: Kind, sink: Kind, length: int = 0, line: bytes = b"") -> None:
        self.source = source
        self.sink = sink
        self.length = length  # bytes; UNKNOWN until they have come
        self.until_close = source is Kind.CLOSE  # only the end of the connection ends it
        self.closes = sink is Kind.CLOSE  # the same for the next hop
        self.line = line  # the field line that says it to the next hop, with the CRLF before it

    def pump(
        self, *, limit: int = 0, trailers: bool = True, passed: int = 0, framing: int = MAX_FRAMING_RETURNED
    ) -> Pump | None:
        """What moves the body: None when there is none.

        `limit`: payload bytes of a chunked body, 0 for none; `trailers`: whether the next hop wants
        them; `passed`: bytes of a known length that have gone on already, not all of them;
        `framing`: as for `pump.ChunkedPump`, where a response's may be padded.
        """
        match self.source:
            case Kind.NONE:
                return None
            case Kind.LENGTH:
                return LengthPump(self.length - passed)
            case Kind.CHUNKED:
                return ChunkedPump(
                    rechunk=self.sink is Kind.CHUNKED,
                    limit=limit,
                    trailers=trailers,
                    framing=framing,
                    padded=framing == MAX_FRAMING_RETURNED,
                )
            case Kind.CLOSE:
                return ClosePump(rechunk=self.sink is Kind.CHUNKED)


NO_BODY: Final = Framing(Kind.NONE, Kind.NONE)
_EMPTY: Final = Framing(Kind.NONE, Kind.NONE, 0, b"\r\nContent-Length: 0")
_CHUNKED_LINE: Final = b"\r\nTransfer-Encoding: chunked"
_CHUNKED: Final = Framing(Kind.CHUNKED, Kind.CHUNKED, UNKNOWN, _CHUNKED_LINE)
_DECHUNKED: Final = Framing(Kind.CHUNKED, Kind.CLOSE, UNKNOWN)
_UNTIL_CLOSE: Final = Framing(Kind.CLOSE, Kind.CLOSE, UNKNOWN)
_CLOSE_TO_CHUNKED: Final = Framing(Kind.CLOSE, Kind.CHUNKED, UNKNOWN, _CHUNKED_LINE)


def request_framing(head: RequestHead) -> Framing:
    """The framing of a request. Raises Malformed: 400, or 501 for a coding other than chunked."""
    special = head.fields.special
    if FRAMING.isdisjoint(special):
        return NO_BODY
    if b"transfer-encoding" not in special:
        return _by_length(head.fields.content_length())
    if b"content-length" in special:
        raise Malformed(400, "both Transfer-Encoding and Content-Length")
    if head.minor == 0:
        raise Malformed(400, "Transfer-Encoding in an HTTP/1.0 request")
    _require_chunked(head.fields.values(b"transfer-encoding"))
    return _CHUNKED


def response_framing(head: ResponseHead, method: bytes, *, chunks: bool) -> Framing:
    """The framing of a worker's final response to a request by `method`. Raises Malformed.

    `chunks`: whether the client reads chunked bodies, which a client of HTTP/1.0 does not (RFC 9112
    §6.1).
    """
    special = head.fields.special
    if FRAMING.isdisjoint(special):
        length = None
    elif b"transfer-encoding" in special:
        return _chunked_response(head, method, chunks=chunks)
    else:
        length = head.fields.content_length()
    if method == b"HEAD" or head.status in NO_BODY_STATUSES:
        return _bodiless(head.status, length)
    if length is not None:
        return _by_length(length)
    return _CLOSE_TO_CHUNKED if chunks else _UNTIL_CLOSE


def _chunked_response(head: ResponseHead, method: bytes, *, chunks: bool) -> Framing:
    if b"content-length" in head.fields.special:
        raise Malformed(502, "both Transfer-Encoding and Content-Length")
    if head.minor == 0:
        raise Malformed(502, "Transfer-Encoding in an HTTP/1.0 response")
    _require_chunked(head.fields.values(b"transfer-encoding"))
    if method == b"HEAD" or head.status in NO_BODY_STATUSES:
        return NO_BODY
    return _CHUNKED if chunks else _DECHUNKED


def _bodiless(status: int, length: int | None) -> Framing:
    """HEAD and 304 may tell the length that a GET would have had (RFC 9110 §8.6); 204 may not."""
    if length is None or status == 204:
        return NO_BODY
    return Framing(Kind.NONE, Kind.NONE, 0, b"\r\nContent-Length: %d" % length)


def framing_told(value: bytes) -> Framing | None:
    """The framing of a message that has one Content-Length with this value; None when that is none,
    or oddly written.

    A value may be as long as a head, of spaces: such a one is not to be remembered.
    """
    return _told(value) if len(value) <= _LONGEST_TOLD else None


@lru_cache(1024)
def _told(value: bytes) -> Framing | None:
    length = length_of(value)
    return None if length < 0 else _by_length(length)


@lru_cache(1024)
def _by_length(length: int) -> Framing:
    if length == 0:
        return _EMPTY
    return Framing(Kind.LENGTH, Kind.LENGTH, length, b"\r\nContent-Length: %d" % length)


def framed_by_length(head: bytes, body: bytes) -> bytes:
    """A request with a body that is here whole, of which the head says that it comes in chunks, as
    the last of all."""
    beginning = head.removesuffix(_CHUNKED_LINE + b"\r\n\r\n")
    assert beginning != head
    return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (beginning, len(body), body)


def _require_chunked(values: list[bytes]) -> None:
    """Exactly `chunked`: no list, no parameter, no second line (RFC 9112 §6.1, §7)."""
    if len(values) == 1 and values[0].lower() == b"chunked":
        return
    if any(b"chunked" in value.lower() for value in values) or not all(values):
        raise Malformed(400, "a Transfer-Encoding that is not exactly 'chunked'")
    raise Malformed(501, "a transfer coding other than chunked")
