"""The alphabet of HTTP/1.1 as patterns over bytes, and the one error that says a message breaks it.

RFC 9110 §5 (field names and values), RFC 9112 §2-7 (messages), RFC 3986 (authority and path). Every
unbounded repetition here is possessive (`++`, `*+`; Python 3.11), so no pattern ever goes back over
what it has read: the time is linear in the input whatever the input is. tests/http/test_linear.py
walks the compiled patterns to prove it.
"""

from __future__ import annotations

import re
from typing import Final

TOKEN_CHARACTERS: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
"""RFC 9110 §5.6.2 tchar, as the inside of a character class."""

TEXT: Final = rb"\t\x20-\x7e\x80-\xff"
"""RFC 9110 §5.5: what a field value, a reason phrase or a chunk extension may hold; the inside of a
class, too."""

TOKEN: Final = re.compile(rb"[" + TOKEN_CHARACTERS + rb"]++")

MAX_DIGITS: Final = 18
"""Of a Content-Length: `isdigit` of bytes wants them to be 0 to 9, no sign, no space, no list, no
underscore. So many always fit in a signed 64-bit integer."""

AUTHORITY: Final = re.compile(rb"([A-Za-z0-9._~\-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?")
"""A host the way clients write it: a name or an address, and a port, which may be empty. Narrower
than RFC 3986 §3.2.2: no user information, no percent-encoding and no sub-delimiters, none of which
a host name has and all of which have been used to make two readers of one request see two hosts."""

REQUEST_LINE: Final = re.compile(rb"([" + TOKEN_CHARACTERS + rb"]++) ([\x21-\x7e]++) HTTP/([0-9])\.([0-9])(?=\r\n)")
STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([" + TEXT + rb"]*+))?")
"""A worker's status line, without its end; the reason phrase may be empty, and its space with it
(RFC 9112 §4 asks clients to be able to do without)."""

FIELD_LINES: Final = re.compile(rb"\r\n([" + TOKEN_CHARACTERS + rb"]++):[" + TEXT + rb"]*+(?=\r\n)")
"""One field line, whole, from the line end before it to the one behind it; gives the name. A line
that is not one is skipped, so whoever uses this counts lines."""

CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[" + TEXT + rb"]*+)?+\r\n")
"""RFC 9112 §7.1: a size, an extension that nobody needs, CRLF. No space anywhere before the
extension."""

CHUNK_LINE_BEGINNING: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:;[" + TEXT + rb"]*+)?+\r?+)?+")
"""What an unfinished chunk line may look like."""

PADDED_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*+(;[" + TEXT + rb"]*+)?+\r\n")
PADDED_CHUNK_LINE_BEGINNING: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,16}[ \t]*+(?:;[" + TEXT + rb"]*+)?+\r?+)?+")
"""The same as workers write it that make room for eight digits and fill it up with spaces.
Everybody reads those."""

_TEXT: Final = frozenset({0x09, *range(0x20, 0x7F), *range(0x80, 0x100)})
_SAME_TEXT: Final = bytes(byte if byte in _TEXT else (byte + 0x40) & 0x7F for byte in range(256))
_SAME_LINES: Final = bytes(byte if byte in b"\r\n" else _SAME_TEXT[byte] for byte in range(256))


class Malformed(Exception):
    """A message that is not answered but refused. `status` is what a client is told; a worker's is
    always 502.

    `hint`: for whoever keeps the router, and not for clients: what would let such a message
    through.
    """

    def __init__(self, status: int, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint


def has_controls(data: bytes) -> bool:
    """Whether a control character other than HTAB, CR and LF is in there (RFC 9110 §5.5).

    `translate` reads a table per byte and gives the same object back when nothing changed: the
    cheapest exact test.
    """
    return data.translate(_SAME_LINES) != data


def is_text(data: bytes) -> bool:
    """Whether no control character but HTAB is in there: no CR and no LF either."""
    return data.translate(_SAME_TEXT) == data


def length_of(value: bytes) -> int:
    """What a Content-Length says, in bytes, with space around it or not; -1 when it is not 1 to
    MAX_DIGITS digits."""
    value = value.strip(b" \t")
    return int(value) if value.isdigit() and len(value) <= MAX_DIGITS else -1


def split_list(values: list[bytes]) -> list[bytes]:
    """The members of a comma-separated field, lower-cased, empty ones left out (RFC 9110
    §5.6.1.2)."""
    members = b",".join(values).lower().split(b",")
    return [stripped for member in members if (stripped := member.strip(b" \t"))]
