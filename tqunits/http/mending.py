"""Repairs of a worker's response that RFC 9112 demands or allows. A request with the same faults
would be refused.

A request that can be parsed in two ways can smuggle something past the router. A faulty response
comes from a careless program only, and it is written anew from what was parsed, so no client can
parse it in another way. Faults without a common interpretation are still refused: control
characters, a bare CR or LF (an answer is split by one), lengths that differ, a length beside
chunks.
"""

from __future__ import annotations

import re
from typing import Final

from tqunits.http.grammar import TOKEN_CHARACTERS

_FOLD: Final = re.compile(rb"\r\n[\t ]++")
_SPACE_BEFORE_COLON: Final = re.compile(rb"(\r\n[" + TOKEN_CHARACTERS + rb"]++)[\t ]++:")

_SHOWN: Final = 24
"""Bytes of what is no HTTP that the log shows."""

_STATUS_LINE: Final = b"HTTP/1."


def mended(block: bytes) -> bytes | None:
    """A block of field lines without spaces before colons (RFC 9112 §5.1) and folds (§5.2); None:
    it has neither.

    It begins with the CRLF before the first line, which can not be the continuation of another.
    """
    if block.startswith((b"\r\n ", b"\r\n\t")):
        return None
    result = _SPACE_BEFORE_COLON.sub(rb"\1:", _FOLD.sub(b" ", block))
    return None if result == block else result


def foreign(data: bytes) -> str:
    """The protocol of an answer that begins so; "" when it may still become a response of
    HTTP/1."""
    if data.startswith(_STATUS_LINE[: len(data)]):
        return ""
    if data.startswith((b"\x15\x03", b"\x16\x03")):
        return "it speaks TLS"
    if data.startswith(b"HTTP/"):
        return _other_version(data)
    return f"it does not speak HTTP: the answer begins with {_shown(data)}"


def fault_of_status_line(line: bytes) -> str:
    """Why one is refused that has no control characters, for whoever debugs a worker."""
    said = foreign(line)
    if said or line[len(_STATUS_LINE) :][:1] not in (b"0", b"1"):
        return said or _other_version(line)
    status = line[len(_STATUS_LINE) + 2 :].split(b" ", 1)[0]
    if status.isdigit():
        return f"the status is {_shown(status)}, which is none of 100 to 599 (RFC 9110 §15)"
    return f"the status line is not HTTP/1.1 SP STATUS SP REASON: {_shown(line)}"


def _other_version(line: bytes) -> str:
    return f"it speaks {_shown(line.split(b' ', 1)[0])}, and not HTTP/1.1 or HTTP/1.0"


def _shown(data: bytes) -> str:
    """Quoted, without anything in it that a terminal or a log could take for its own."""
    return repr(data[:_SHOWN])[1:] + ("..." if len(data) > _SHOWN else "")
