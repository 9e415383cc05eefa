"""What the router adds to every response, a worker's and its own: the one place for a field that
all of them have."""

from __future__ import annotations

from tqunits.http.fields import ResponseFields
from tqunits.http.redirect import says_hsts


def additions(request_id: bytes, hsts: bytes, said: ResponseFields | None = None) -> bytes:
    """Field lines, each with the CRLF before it.

    `request_id`: b"" when there was no request to name; `hsts`: the line of a response over TLS
    (redirect.hsts_line), else b""; `said`: a worker's fields, of which these two stand as they are.
    """
    lines = b"\r\nX-Request-ID: " + request_id if request_id else b""
    if said is None:
        return lines + hsts
    if b"x-request-id" in said.special:
        lines = b""
    return lines if not hsts or says_hsts(said) else lines + hsts
