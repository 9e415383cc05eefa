"""The way from plain HTTP to HTTPS: where a request should have gone, and the line that makes
clients remember it.

RFC 9110 §15.4.9: 308 keeps the method and the body, so a POST stays one. RFC 6797:
Strict-Transport-Security goes over TLS only (§7.2), and a client that has seen it asks for HTTPS by
itself, for `max-age` seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tqunits.http.fields import ResponseFields
from tqunits.http.grammar import Malformed
from tqunits.http.target import Target, host_name

HTTPS: Final = 443

_NAME: Final = b"strict-transport-security"


def https_location(target: Target, port: int) -> bytes:
    """The same place over HTTPS on that port: what was understood of the request, never its bytes.

    `*` of OPTIONS is a URI without a path (RFC 9112 §3.2.4). Raises Malformed: 400, an HTTP/1.0
    request without Host.
    """
    if not target.host:
        raise Malformed(400, "no Host, so there is no HTTPS to be sent to")
    where = b"" if port == HTTPS else b":%d" % port
    path = b"" if target.path == b"*" else target.path
    return b"https://%b%b%b%b" % (host_name(target.host), where, path, target.query)


def https_port(local: int, listening: Collection[int]) -> int:
    """The port to be sent to from a connection to the port `local` (0: a Unix socket), when
    `listening` are all.

    Every port of the router speaks both, so it is the same one, unless there is the one that needs
    no number.
    """
    return HTTPS if HTTPS in listening or not local else local


def hsts_line(seconds: int) -> bytes:
    """The line for responses over TLS, with the CRLF before it; nothing for 0. To be made once, not
    per response."""
    return b"\r\nStrict-Transport-Security: max-age=%d" % seconds if seconds else b""


def says_hsts(fields: ResponseFields) -> bool:
    """Whether a worker has said it itself: that stands, for there must be only one (RFC 6797
    §7.1)."""
    return _NAME in fields.names
