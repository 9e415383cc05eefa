"""The router's own answers: short, fixed texts, without any byte of the request and without
internal details.

They are HTML, JSON or plain text, as the client's Accept prefers (RFC 9110 §12.5.1); plain text
without a preference. The request ID is in all of them, so that a client's report leads to the
worker's log. Nothing here may be stored (§15.1 lets caches keep a 404 or a 501): the next
deployment may answer otherwise.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import Final

from tqunits.http.additions import additions
from tqunits.http.framing import NO_BODY_STATUSES

REASONS: Final = {
    200: b"OK",
    206: b"Partial Content",
    301: b"Moved Permanently",
    304: b"Not Modified",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    412: b"Precondition Failed",
    413: b"Content Too Large",
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    417: b"Expectation Failed",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
    508: b"Loop Detected",
}

MAX_ACCEPT: Final = 1024
MAX_RANGES: Final = 32
"""Bytes and members of Accept that are read; browsers send 140 bytes and eight members."""
MAX_MESSAGE: Final = 2000
"""Characters of an operator's message: a paragraph or two."""

NOTHING_INSTALLED: Final = (
    "tqunits runs here, and no worker is installed yet. On this host, 'sudo tqunits init NAME --type python' "
    "makes one, 'sudo tqunits install --now' starts it, and 'man tqunits' tells the rest."
)
"""The detail of a 404 while the router has no route at all: who has just installed tqunits asks."""

_EXPLAINED: Final = {
    404: "No worker serves this path.",
    408: "The request did not arrive in time.",
    502: "The worker did not give a valid answer.",
    503: "The worker takes no requests at the moment.",
    504: "The worker did not answer in time.",
}

_QUALITY: Final = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_CONTROLS: Final = dict.fromkeys((*range(0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0)), " ")

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:1em sans-serif;max-width:40em;margin:4em auto;padding:0 1em}}p{{white-space:pre-line}}</style></head>
<body><h1>{title}</h1>
{paragraphs}</body></html>
"""


class AnswerType(Enum):
    """The format of an answer. The value is its media type; the order decides between equals."""

    PLAIN = b"text/plain"
    HTML = b"text/html"
    JSON = b"application/json"


def answer(
    status: int,
    *,
    date: bytes,
    detail: str = "",
    head_only: bool = False,
    close: bool = False,
    accept: bytes = b"",
    request_id: bytes = b"",
    hsts: bytes = b"",
    retry_after: int = 0,
    lines: bytes = b"",
) -> bytes:
    """A whole response.

    `detail`: what is wrong, in our words; `head_only`: answers a HEAD; `close`: the last one on its
    connection; `accept`: the request's Accept, its lines joined by commas; `request_id`: b"" when
    there was no request to name; `hsts`: the line of a response over TLS; `retry_after`: seconds, 0
    is not said; `lines`: more field lines, each with the CRLF before it.
    """
    head = b"HTTP/1.1 %d %b\r\nDate: %b\r\nCache-Control: no-store%b%b%b%b%b" % (
        status,
        REASONS[status],
        date,
        additions(request_id, hsts),
        b"\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" if status == 405 else b"",
        b"\r\nRetry-After: %d" % retry_after if retry_after else b"",
        lines,
        b"\r\nConnection: close" if close else b"",
    )
    if status in NO_BODY_STATUSES:
        return head + b"\r\n\r\n"
    form = preferred(accept)
    body = _body(form, status, detail or _EXPLAINED.get(status, ""), request_id.decode("ascii", "replace"))
    content = b"\r\nContent-Type: %b%b\r\nContent-Length: %d\r\n\r\n" % (
        form.value,
        b"" if form is AnswerType.JSON else b"; charset=utf-8",
        len(body),
    )
    return head + content + (b"" if head_only else body)


def reason(status: int, detail: str, hint: str = "") -> str:
    """Why it is answered so; for the operator."""
    why = detail or _EXPLAINED.get(status, REASONS[status].decode("ascii"))
    return f"{why}; {hint}" if hint else why


def notice(message: str) -> str:
    """An operator's message as a detail: line ends stay, other control characters are removed, and
    a long text is cut."""
    return message[:MAX_MESSAGE].translate(_CONTROLS).strip()


def preferred(accept: bytes) -> AnswerType:
    """The format that a client likes best.

    The most specific range that matches counts, as §12.5.1 says. Of equals, one that is named beats
    one that only a wildcard matches, then the one that is named first
    (`application/json, text/plain, */*` of a script); `*/*` alone, no Accept, and an Accept that
    takes none of ours all mean plain text.
    """
    ranges = _ranges(accept)
    if not ranges:
        return AnswerType.PLAIN
    named = list(ranges)
    return max(AnswerType, key=lambda form: _liking(form.value, ranges, named))


def _liking(media_type: bytes, ranges: dict[bytes, int], named: list[bytes]) -> tuple[int, int]:
    """The quality in thousandths, then how early it is named, if it is."""
    wild = media_type.partition(b"/")[0] + b"/*"
    quality = ranges.get(media_type, ranges.get(wild, ranges.get(b"*/*", 0)))
    return quality, len(named) - named.index(media_type) if quality and media_type in ranges else 0


def _ranges(accept: bytes) -> dict[bytes, int]:
    """The media ranges of an Accept in their order, with their qualities in thousandths. Invalid
    members are left out."""
    ranges: dict[bytes, int] = {}
    for member in accept[:MAX_ACCEPT].lower().split(b",", MAX_RANGES)[:MAX_RANGES]:
        name, *parameters = (part.strip(b" \t") for part in member.split(b";"))
        if name.startswith(b"application/") and name.endswith(b"+json"):
            name = AnswerType.JSON.value
        quality = _quality(parameters)
        if name and quality is not None:
            ranges[name] = max(quality, ranges.get(name, 0))
    return ranges


def _quality(parameters: list[bytes]) -> int | None:
    """The weight among the parameters, 1 without one; None for an invalid weight. Other parameters
    do not matter here."""
    for parameter in parameters:
        if parameter.startswith(b"q="):
            return round(1000 * float(parameter[2:])) if _QUALITY.fullmatch(parameter[2:]) else None
    return 1000


def _body(form: AnswerType, status: int, text: str, request_id: str) -> bytes:
    reason = REASONS[status].decode("ascii")
    match form:
        case AnswerType.PLAIN:
            body = _plain(f"{status} {reason}", text, request_id)
        case AnswerType.HTML:
            body = _html(f"{status} {reason}", text, request_id)
        case AnswerType.JSON:
            body = json.dumps({"status": status, "error": reason, "detail": text, "request_id": request_id}) + "\n"
    return body.encode("utf-8", "replace")


def _plain(title: str, text: str, request_id: str) -> str:
    named = f"Request ID: {request_id}\n" if request_id else ""
    return f"{title}: {text}\n{named}" if text else f"{title}\n{named}"


def _html(title: str, text: str, request_id: str) -> str:
    paragraphs = f"<p>{_escaped(text)}</p>\n" if text else ""
    if request_id:
        paragraphs += f"<p>Request ID: <code>{_escaped(request_id)}</code></p>\n"
    return _PAGE.format(title=title, paragraphs=paragraphs)


def _escaped(text: str) -> str:
    """As content of an element. The html module would do it, for half a megabyte of entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
