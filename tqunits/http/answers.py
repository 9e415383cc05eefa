"""What the router answers itself: short, fixed text; never a byte of the request, nothing of the inside."""

from __future__ import annotations

from typing import Final

REASONS: Final = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
    508: b"Loop Detected",
}

_EXPLAINED: Final = {
    404: b"No worker serves this path.",
    408: b"The request did not arrive in time.",
    502: b"The worker did not give a valid answer.",
    503: b"The worker takes no requests at the moment.",
    504: b"The worker did not answer in time.",
}


def answer(status: int, *, date: bytes, detail: str = "", head_only: bool = False, close: bool = False) -> bytes:
    """A whole response. `detail`: what is wrong with the request, in our words; `head_only`: answers a HEAD."""
    reason = REASONS[status]
    text = detail.encode("ascii") or _EXPLAINED.get(status, b"")
    body = b"%d %b%b%b\n" % (status, reason, b": " if text else b"", text)
    head = (
        b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d%b%b\r\n\r\n"
        % (
            status,
            reason,
            date,
            len(body),
            b"\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" if status == 405 else b"",
            b"\r\nConnection: close" if close else b"",
        )
    )
    return head if head_only else head + body
