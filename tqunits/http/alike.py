"""Messages like the one before on their connection: read by what differs, and written by what stays.

The long way reads a head into fields, a target, a meaning, and writes another head from them. A client that asks for
the next page, and a worker that answers it, say nearly all of it again; what was made of the message before holds for
whatever fits its stencil (stencil.py), for that leaves open only the values of fields that say nothing to the router.
So each of these is made from a message that went the long way, gives None for whatever may not be the same, and
changes nothing but the cost: tests/http/test_alike.py has both ways side by side.
"""

from __future__ import annotations

import re
from typing import Final

from tqunits.http.forward import Rewrite
from tqunits.http.framing import Framing, Kind
from tqunits.http.head import RequestHead, ResponseHead
from tqunits.http.stencil import Stencil
from tqunits.http.target import USUAL_PATH, Target
from tqunits.model import USUAL_HEADS, HeadLimits

_END: Final = b"\r\n\r\n"
_REST_OF_LINE: Final = re.compile(USUAL_PATH + rb" HTTP/1\.1(?=\r\n)")
"""Of a request line, what comes behind the method."""


class AlikeRequest:
    """Requests without a body that differ in path, query and values; each with the lines that the first one was given.

    Whether the path leads to the same route is for the caller to find out.
    """

    __slots__ = ("_beginning", "_lines", "_longest_head", "_longest_line", "_route", "_stencil")

    def __init__(self, method: bytes, stencil: Stencil, lines: bytes, route: Rewrite, limits: HeadLimits) -> None:
        self._beginning = method + b" "
        self._stencil = stencil
        self._lines = b"%b%b\r\nX-Request-ID: " % (lines, route.line)
        self._route = route
        self._longest_line = limits.request_line
        self._longest_head = limits.head

    @classmethod
    def of(
        cls, head: RequestHead, target: Target, lines: bytes, route: Rewrite, limits: HeadLimits
    ) -> AlikeRequest | None:
        """What the requests after this one are compared with. `lines`: what the router says of its sender."""
        fields = head.fields
        if fields.stencil is None or not fields.usual or not head.minor or target.absolute:
            return None
        return cls(head.method, fields.stencil, lines, route, limits)

    def read(self, raw: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Path, query and the field lines that go on, if this is one whole head and nothing else."""
        beginning = self._beginning
        if not raw.startswith(beginning) or len(raw) > self._longest_head:
            return None
        line = _REST_OF_LINE.match(raw, len(beginning))
        if line is None or (end := line.end()) > self._longest_line:
            return None
        kept = self._stencil.fit(raw, end, len(raw))
        if kept is None:
            return None
        path, query = line.groups(b"")
        return path, query, kept

    def head(self, path: bytes, query: bytes, kept: bytes, request_id: bytes) -> bytes:
        """The head for the worker, complete."""
        path = self._route.path(path)
        return b"".join((self._beginning, path, query, b" HTTP/1.1", kept, self._lines, request_id, _END))


class AlikeResponse:
    """Final responses with the same status line and a body of the same length, not to HEAD."""

    __slots__ = ("_line", "_stencil", "framing", "status")

    def __init__(self, status: int, line: bytes, stencil: Stencil, framing: Framing) -> None:
        self.status = status
        self.framing = framing
        self._line = line
        self._stencil = stencil

    @classmethod
    def of(cls, head: ResponseHead, framing: Framing) -> AlikeResponse | None:
        """What the responses after this one are compared with."""
        fields = head.fields
        stencil = fields.stencil
        if stencil is None or framing.source is not Kind.LENGTH or not head.minor or fields.length_varies:
            return None
        if b"close" in fields.options_said or b"date" not in fields.special or b"x-request-id" in fields.special:
            return None
        return cls(head.status, b"HTTP/1.1 %d %b" % (head.status, head.reason), stencil, framing)

    def read(self, data: bytes) -> tuple[bytes, int] | None:
        """The field lines that go on, and where the body begins, of what begins with a whole head."""
        line = self._line
        if not data.startswith(line):
            return None
        end = data.find(_END) + 4
        kept = self._stencil.fit(data, len(line), end) if end <= USUAL_HEADS.head else None
        return None if kept is None else (kept, end)

    def head(self, kept: bytes, request_id: bytes, *, close: bool) -> bytes:
        """The head for the client, complete. `close`: the last response on its connection."""
        last = b"\r\nConnection: close" if close else b""
        return b"".join((self._line, kept, b"\r\nX-Request-ID: ", request_id, self.framing.line, last, _END))
