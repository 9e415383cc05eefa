"""The field lines that the router adds to every response, a worker's and its own. A field for all
responses is added here only."""

from __future__ import annotations

from tqunits.http.fields import ResponseFields
from tqunits.http.redirect import says_hsts


def additions(request_id: bytes, hsts: bytes, said: ResponseFields | None = None) -> bytes:
    """Field lines, each with the CRLF before it.

    `request_id`: b"" when there is no request to name. `hsts`: the line of a response over TLS
    (redirect.hsts_line), otherwise b"". `said`: a worker's fields; if it has one of these two
    itself, that one stays.
    """
    lines = b"\r\nX-Request-ID: " + request_id if request_id else b""
    if said is None:
        return lines + hsts
    if b"x-request-id" in said.special:
        lines = b""
    return lines if not hsts or says_hsts(said) else lines + hsts
