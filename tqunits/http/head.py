"""The head of a message: from bytes as they come to a validated start line and its fields.

A head is taken whole or not at all: `HeadBuffer` collects until the empty line, within limits, and
`parse_request` and `parse_response` then look at exactly those bytes. What is wrong in a request is
refused, never repaired (RFC 9112 §2.2, §3, §5): bare CR or LF, controls, folded lines, a space
before the colon; for responses see mending.py. Limits have statuses of their own: the request
line's is 414, the head's and that of the number of fields 431.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from tqunits.http.fields import RequestFields, ResponseFields
from tqunits.http.grammar import REQUEST_LINE, STATUS_LINE, Malformed, has_controls
from tqunits.http.mending import fault_of_status_line, mended
from tqunits.model import USUAL_HEADS, USUAL_RESPONSE_HEADS, HeadLimits

_END: Final = b"\r\n\r\n"


class RequestHead:
    """The head of one request, grammatically valid; framing.py, target.py and fields.py interpret
    it."""

    __slots__ = ("fields", "method", "minor", "target")

    def __init__(self, method: bytes, target: bytes, minor: int, fields: RequestFields) -> None:
        self.method = method
        self.target = target
        self.minor = minor  # HTTP/1.minor; anything above 1 is 1 (RFC 9110 §6.2)
        self.fields = fields


class ResponseHead:
    """The head of one response of a worker."""

    __slots__ = ("fields", "minor", "reason", "status")

    def __init__(self, status: int, reason: bytes, minor: int, fields: ResponseFields) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.fields = fields


class HeadBuffer:
    """Collects one head. Every byte is examined once, however small the received pieces are."""

    __slots__ = ("collected", "limits")

    def __init__(self, limits: HeadLimits = USUAL_HEADS) -> None:
        self.limits = limits
        self.collected: bytearray | None = None  # only while a part of a head is here: most connections are idle

    @property
    def size(self) -> int:
        """Bytes of the next head that have come."""
        return len(self.collected or b"")

    @property
    def empty(self) -> bool:
        """Whether nothing of the next head has come."""
        return not self.collected

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Add what came: gives (head, what follows it) when the head is whole, else None.

        Raises Malformed at the first byte that no head can have, and when a limit is passed.
        """
        if not self.collected:
            end = data.find(_END)
            if 0 < end <= self.limits.head - 4:
                return data[: end + 4], data[end + 4 :]
        return self._collect(data)

    def _collect(self, data: bytes) -> tuple[bytes, bytes] | None:
        collected = self.collected
        if collected is None:
            collected = self.collected = bytearray()
        known = len(collected)
        collected += data
        end = collected.find(_END, max(0, known - 3))
        if end < 0:
            _check_beginning(collected, known, self.limits)
            return None
        if end + 4 > self.limits.head:
            raise _too_long(self.limits)
        head, rest = bytes(collected[: end + 4]), bytes(collected[end + 4 :])
        self.collected = None
        return head, rest


def parse_request(head: bytes, known: RequestFields | None = None, limits: HeadLimits = USUAL_HEADS) -> RequestHead:
    """Read a whole request head (with its empty line). Raises Malformed: 400, 414, 431 or 505.

    `known`: the fields of the request before on the same connection. They spare work and change
    nothing: the same bytes mean the same, and of others only what differs is read. A connection
    that has become idle may forget them.
    """
    line = REQUEST_LINE.match(head)
    if line is None and head.startswith(b"\r\n"):  # an empty line before it is skipped, once (RFC 9112 §2.2)
        head = head[2:]
        line = REQUEST_LINE.match(head)
    if line is None or (end := line.end()) > limits.request_line:
        raise _bad_request_line(head, limits)
    method, target, major, minor = line.groups()
    if major != b"1":
        raise Malformed(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    block = head[end:]
    fields = known if known is not None and known.says(block) else RequestFields(block, known, limits.fields)
    return RequestHead(method, target, 0 if minor == b"0" else 1, fields)


def parse_response(
    head: bytes, known: ResponseFields | None = None, limits: HeadLimits = USUAL_RESPONSE_HEADS
) -> ResponseHead:
    """Read a whole response head (with its empty line). Raises Malformed, whose status means
    nothing here.

    `known`: the fields of the response before on the same connection; see `parse_request`.
    """
    end = head.find(b"\r\n")
    line = head[:end]
    status, reason, minor = _USUAL_STATUS_LINES.get(line) or _status_line(line)
    block = head[end:]
    fields = known if known is not None and known.says(block) else _response_fields(block, known, limits)
    return ResponseHead(status, reason, minor, fields)


def _response_fields(block: bytes, known: ResponseFields | None, limits: HeadLimits) -> ResponseFields:
    """The fields of a block, mended if necessary. Raises Malformed."""
    try:
        return ResponseFields(block, known, limits.fields)
    except Malformed:
        whole = mended(block)
        if whole is None:
            raise
    return ResponseFields(whole, known, limits.fields)


def _status_line(line: bytes) -> tuple[int, bytes, int]:
    """Its status, reason phrase (may be empty) and HTTP/1.minor. Raises Malformed."""
    match = STATUS_LINE.fullmatch(line)
    if match is None:
        raise Malformed(502, "a control character in the head" if has_controls(line) else fault_of_status_line(line))
    return int(match[2]), match[3] or b"", int(match[1])


_USUAL_STATUS_LINES: Final = {
    line: _status_line(line) for line in (b"HTTP/1.1 %d %b" % (s, s.phrase.encode()) for s in HTTPStatus)
}
"""Most responses begin with one of these lines: a look-up costs less than a pattern."""


def _check_beginning(collected: bytearray, known: int, limits: HeadLimits) -> None:
    """Refuse at once what can not become a head any more; `known` bytes of it passed before."""
    came = bytes(collected[max(0, known - 1) :])
    if has_controls(came):
        raise Malformed(400, "a control character in the head")
    if came.count(b"\n") != came.count(b"\r\n") + (came.startswith(b"\n") and known > 0):
        raise Malformed(400, "a line that ends without CR")
    line = limits.request_line + 2
    if len(collected) >= line and collected.find(b"\r\n", 0, line) < 0:
        raise _long_line(limits)
    if len(collected) >= limits.head:
        raise _too_long(limits)


def _bad_request_line(head: bytes, limits: HeadLimits) -> Malformed:
    """The most telling refusal of a line that did not match."""
    if has_controls(head):
        return Malformed(400, "a control character in the head")
    if head.find(b"\r\n", 0, limits.request_line + 2) < 0:
        return _long_line(limits)
    return Malformed(400, "the request line is not METHOD SP TARGET SP HTTP/1.1")


def _long_line(limits: HeadLimits) -> Malformed:
    return Malformed(414, f"the request line is longer than {limits.request_line} bytes")


def _too_long(limits: HeadLimits) -> Malformed:
    return Malformed(431, f"the head is longer than {limits.head} bytes")
