"""Messages like the one before on their connection: parsed by the differences, and written from the
common parts.

The long way parses a head into fields, a target and a meaning, and writes another head from them. A
client that asks for the next page, and a worker that answers it, send nearly the same again. What
was made of the message before holds for every message that fits its stencil (stencil.py), because a
stencil leaves open only the values of fields that mean nothing to the router. So each object here
is made from a message that went the long way, and returns None for a message that may differ. This
changes only the cost: tests/http/test_alike.py compares both ways.
"""

from __future__ import annotations

import re
from typing import Final

from tqunits.http.forward import UPGRADE_REQUIRED, Rewrite
from tqunits.http.framing import NO_BODY, Framing, Kind, framing_told
from tqunits.http.head import RequestHead, ResponseHead
from tqunits.http.redirect import says_hsts
from tqunits.http.stencil import Stencil
from tqunits.http.target import USUAL_PATH, Target
from tqunits.model import USUAL_RESPONSE_HEADS, HeadLimits

_END: Final = b"\r\n\r\n"
_REST_OF_LINE: Final = re.compile(USUAL_PATH + rb" HTTP/1\.1(?=\r\n)")
"""Of a request line, what comes behind the method."""


Asked = tuple[bytes, bytes, bytes, Framing, int]
"""The new parts of a request: path, query, the field lines that are forwarded, the framing of its
body, the end of its head. It is no NamedTuple, because that takes 0.3 µs to make."""


class AlikeRequest:
    """Requests that differ in path, query, values and the length of the body, each with the lines
    of the first one.

    Either all have a body of known length, or none has one. The caller checks whether the path has
    the same route, and whether the body is too long for it.
    """

    __slots__ = ("_beginning", "_framing", "_lines", "_longest_head", "_longest_line", "_route", "_stencil")

    def __init__(
        self, method: bytes, stencil: Stencil, framing: Framing, lines: bytes, route: Rewrite, limits: HeadLimits
    ) -> None:
        self._beginning = method + b" "
        self._stencil = stencil
        self._framing = None if stencil.tells else framing  # None: each request has its own
        self._lines = b"%b%b\r\nX-Request-ID: " % (lines, route.line)
        self._route = route
        self._longest_line = limits.request_line
        self._longest_head = limits.head

    @classmethod
    def of(
        cls, head: RequestHead, target: Target, framing: Framing, lines: bytes, route: Rewrite, limits: HeadLimits
    ) -> AlikeRequest | None:
        """The object with which the next requests are compared. `lines`: what the router says of
        their sender."""
        fields = head.fields
        if fields.stencil is None or not fields.usual or not head.minor or target.absolute:
            return None
        return cls(head.method, fields.stencil, framing, lines, route, limits)

    def read(self, raw: bytes) -> Asked | None:
        """The new parts of a request, if the data begins with a whole head that fits; without a
        body the head must end the data."""
        beginning, framing = self._beginning, self._framing
        end = len(raw) if framing is NO_BODY else raw.find(_END) + 4
        if not raw.startswith(beginning) or end > self._longest_head:
            return None
        line = _REST_OF_LINE.match(raw, len(beginning))
        if line is None or (end_of_line := line.end()) > self._longest_line:
            return None
        found = self._stencil.fit(raw, end_of_line, end)
        if found is None:
            return None
        kept, length = found
        framing = framing or framing_told(length)
        path, query = line.groups(b"")
        return None if framing is None else (path, query, kept, framing, end)

    def head(self, asked: Asked, request_id: bytes) -> bytes:
        """The head for the worker, complete."""
        path, query, kept, framing, _ = asked
        path = self._route.path(path)
        lines = self._lines
        return b"".join((self._beginning, path, query, b" HTTP/1.1", kept, lines, request_id, framing.line, _END))


class AlikeResponse:
    """Final responses with the same status line and a body of known length, not to HEAD."""

    __slots__ = ("_framing", "_line", "_longest", "_stencil", "says_hsts", "status")

    def __init__(
        self, status: int, line: bytes, stencil: Stencil, framing: Framing, longest: int, *, hsts: bool
    ) -> None:
        self.status = status
        self.says_hsts = hsts  # of its own
        self._framing = None if stencil.tells else framing  # None: each response has its own
        self._line = line
        self._stencil = stencil
        self._longest = longest  # bytes of a head

    @classmethod
    def of(
        cls, head: ResponseHead, framing: Framing, limits: HeadLimits = USUAL_RESPONSE_HEADS
    ) -> AlikeResponse | None:
        """The object with which the next responses are compared."""
        fields = head.fields
        stencil = fields.stencil
        if stencil is None or framing.source is not Kind.LENGTH or not head.minor:
            return None
        if head.status == UPGRADE_REQUIRED:
            return None
        if b"close" in fields.options_said or b"date" not in fields.special or b"x-request-id" in fields.special:
            return None
        line = b"HTTP/1.1 %d %b" % (head.status, head.reason)
        return cls(head.status, line, stencil, framing, limits.head, hsts=says_hsts(fields))

    def read(self, data: bytes) -> tuple[bytes, Framing, int] | None:
        """The field lines that are forwarded, the framing, and where the body begins, if the data
        begins with a whole head that fits."""
        line = self._line
        if not data.startswith(line):
            return None
        end = data.find(_END) + 4
        found = self._stencil.fit(data, len(line), end) if end <= self._longest else None
        if found is None:
            return None
        kept, length = found
        framing = self._framing or framing_told(length)
        return None if framing is None else (kept, framing, end)

    def head(self, kept: bytes, framing: Framing, lines: bytes, *, close: bool) -> bytes:
        """The complete head for the client. `lines`: additions.py; `close`: this is the last
        response on its connection."""
        last = b"\r\nConnection: close" if close else b""
        return b"".join((self._line, kept, lines, framing.line, last, _END))
