"""A health check as bytes: the request, and what is wrong with the answer to it. No I/O.

The answer comes from the worker, so nobody waits for its end or reads without limit: once its
status is healthy, or enough of its body is there, `is_enough` says so. The caller escapes what it
shows of it.
"""

from __future__ import annotations

from typing import Final

from tqunits.health import Statuses, accepts
from tqunits.late_pattern import late_pattern

MAX_ANSWER: Final = 16384
"""Bytes of an answer that are read at most; a check's answer is short."""

BODY_SHOWN: Final = 200
"""Bytes of the body of a bad answer that are shown: they usually name the error."""

_STATUS: Final = late_pattern(rb"HTTP/1\.[01] (\d{3})(?: ([^\n]*))?\r?(?:\n|\Z)")


def request(path: str, host: str, agent: str) -> bytes:
    """The request of one check; it asks for the end of the connection."""
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", f"User-Agent: {agent}", "Accept: */*", "Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def host_of(address: str) -> str:
    """The Host field for an address: itself, and for a Unix socket a name that programs know."""
    return "localhost" if address.startswith("/") else address


def is_enough(answer: bytes, accepted: tuple[Statuses, ...]) -> bool:
    """Whether more of the answer would change nothing."""
    if len(answer) >= MAX_ANSWER or len(answer.partition(b"\r\n\r\n")[2]) >= 2 * BODY_SHOWN:
        return True
    match = _STATUS.match(answer) if b"\n" in answer else None
    return match is not None and accepts(accepted, int(match[1]))


def wrong(answer: bytes, accepted: tuple[Statuses, ...]) -> str:
    """What is wrong with an answer that is not empty; "" for a healthy one."""
    match = _STATUS.match(answer)
    if match is None:
        line = answer.partition(b"\n")[0][:BODY_SHOWN]
        return f"not HTTP: {line.decode('latin-1').strip()}"
    if accepts(accepted, int(match[1])):
        return ""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = body.partition(b"\r\n")[2]
    shown = " ".join(body[:BODY_SHOWN].decode("utf-8", "replace").split())
    status = b" ".join(part for part in match.groups() if part).decode("latin-1").strip()
    return f"{status}: {shown}" if shown else status
