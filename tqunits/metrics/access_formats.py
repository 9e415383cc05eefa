r"""One request as a line of the access log: combined, JSON, or an entry of the journal.

What a client sends is not to be believed, and least of all to look like a line of ours: in `combined` everything but
plain printable ASCII is written \xHH, quotes and backslashes too, JSON escapes by its own rules, and the journal gets a
value with a line end in the form that counts its bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

IDENTIFIER: Final = "tq-access"
"""SYSLOG_IDENTIFIER= of the entries: `journalctl -t tq-access` is the access log of all router processes."""

MAX_TARGET: Final = 8 * 1024
"""A whole request line: a target that was understood is never longer."""

MAX_VALUE: Final = 1024
"""Of the other values that a client sends: a browser's are under 300 bytes. With MAX_TARGET it bounds a line, escapes
and all, to less than 128 KiB, so that an entry is always one datagram (net.core.wmem_default is 208 KiB)."""


class End(StrEnum):
    """How an exchange ended."""

    OK = "ok"  # with a whole response of the worker
    CUT = "cut"  # the worker did not finish its response
    GONE = "gone"  # the client left before it had the whole response
    REFUSED = "refused"  # with an answer of the router's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the log knows of one request. Bytes are as the client sent them; empty is: not known, not given."""

    time: float  # of the request's head, Unix seconds
    client: bytes  # address without port; b"": a peer on a Unix socket
    method: bytes
    target: bytes  # as it was sent, before a prefix was stripped
    minor: int  # HTTP/1.minor
    status: int  # 499: the client left before a final response began
    received: int  # bytes of the request's body
    sent: int  # bytes of the response's body
    duration: int  # microseconds, to the response's last byte
    worker: str
    endpoint: str
    request_id: bytes
    host: bytes
    referer: bytes
    user_agent: bytes
    scheme: bytes
    end: End
    retries: int


def combined(entry: Entry) -> bytes:
    """The format of Apache's and nginx's name, which every log reader knows; the time is UTC. With its line end."""
    return (
        f"{_column(entry.client)} - - [{_combined_time(int(entry.time))}] {_quoted(_request_line(entry))} "
        f"{entry.status:03} {entry.sent} {_quoted(_cut(entry.referer))} {_quoted(_cut(entry.user_agent))}\n"
    ).encode("ascii")


def json_line(entry: Entry) -> bytes:
    """One object with the same keys in every line, null for what is not known. With its line end.

    Bytes that are no UTF-8 are written \\xHH within the string.
    """
    return (
        _ENCODER.encode(
            {
                "time": f"{_iso_second(int(entry.time))}.{int(entry.time % 1 * 1000):03}Z",
                "client": _text(entry.client),
                "method": _text(entry.method),
                "target": _text(entry.target, MAX_TARGET),
                "protocol": f"HTTP/1.{entry.minor}",
                "status": entry.status,
                "received_bytes": entry.received,
                "sent_bytes": entry.sent,
                "duration_ms": entry.duration / 1000,
                "worker": entry.worker or None,
                "endpoint": entry.endpoint or None,
                "request_id": _text(entry.request_id),
                "scheme": _text(entry.scheme),
                "host": _text(entry.host),
                "referer": _text(entry.referer),
                "user_agent": _text(entry.user_agent),
                "end": entry.end.value,
                "retries": entry.retries,
            }
        ).encode("ascii")
        + b"\n"
    )


def journal_datagram(entry: Entry) -> bytes:
    """One entry in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL); without empty fields."""
    known = (
        (b"MESSAGE", _message(entry)),
        (b"TQ_WORKER", entry.worker.encode("utf-8", "replace")),
        (b"TQ_ENDPOINT", entry.endpoint.encode("utf-8", "replace")),
        (b"REQUEST_ID", _cut(entry.request_id)),
        (b"CLIENT_ADDRESS", _cut(entry.client)),
        (b"HTTP_METHOD", _cut(entry.method)),
        (b"HTTP_TARGET", _cut(entry.target, MAX_TARGET)),
        (b"HTTP_SCHEME", _cut(entry.scheme)),
        (b"HTTP_HOST", _cut(entry.host)),
        (b"HTTP_REFERER", _cut(entry.referer)),
        (b"HTTP_USER_AGENT", _cut(entry.user_agent)),
    )
    return b"PRIORITY=6\nSYSLOG_IDENTIFIER=%b\n%b%b" % (
        IDENTIFIER.encode("ascii"),
        b"HTTP_STATUS=%d\nRECEIVED_BYTES=%d\nSENT_BYTES=%d\nDURATION_US=%d\nTQ_END=%b\nTQ_RETRIES=%d\n"
        % (entry.status, entry.received, entry.sent, entry.duration, entry.end.encode("ascii"), entry.retries),
        b"".join([journal_field(name, value) for name, value in known if value]),
    )


def journal_field(name: bytes, value: bytes) -> bytes:
    """One assignment of the native protocol: as text, or with its length when a line end is in it."""
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name, len(value).to_bytes(8, "little"), value)
    return b"%b=%b\n" % (name, value)


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""strftime's %b would be the locale's."""

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))

_PLAIN: Final = re.compile(rb"[ !#-\[\]-~]*+")
"""What needs no escape between quotes."""

_ESCAPES: Final = {code: rf"\x{code:02X}" for code in range(256) if not _PLAIN.fullmatch(bytes((code,)))}


def _message(entry: Entry) -> bytes:
    """The entry for people: who wanted what, what became of it, how long it took, which worker."""
    end = "" if entry.end is End.OK else f" {entry.end}"
    took = f"{entry.duration // 1000}.{entry.duration % 1000:03}ms"
    worker = _column(entry.worker.encode("utf-8", "replace"))
    request = _quoted(_request_line(entry))
    text = f"{_column(entry.client)} {request} {entry.status:03} {entry.sent}B {took} {worker}{end}"
    return text.encode("ascii")


def _request_line(entry: Entry) -> bytes:
    """As it was sent; b"" for what was not understood as one."""
    if not entry.method:
        return b""
    return b"%b %b HTTP/1.%d" % (_cut(entry.method), _cut(entry.target, MAX_TARGET), entry.minor)


def _quoted(value: bytes) -> str:
    return f'"{_escaped(value) or "-"}"'


def _column(value: bytes) -> str:
    """A value without quotes: it may not have spaces either."""
    return _escaped(_cut(value)).replace(" ", r"\x20") or "-"


def _escaped(value: bytes) -> str:
    text = value.decode("latin-1")
    return text if _PLAIN.fullmatch(value) else text.translate(_ESCAPES)


def _text(value: bytes, most: int = MAX_VALUE) -> str | None:
    return _cut(value, most).decode("utf-8", "backslashreplace") or None


def _cut(value: bytes, most: int = MAX_VALUE) -> bytes:
    return value if len(value) <= most else value[:most] + b"..."


@lru_cache(maxsize=2)
def _combined_time(second: int) -> str:
    """`10/Oct/2000:13:55:36 +0000`; the requests of one second ask for the same one."""
    at = datetime.fromtimestamp(second, UTC)
    return f"{at.day:02}/{_MONTHS[at.month - 1]}/{at.year:04}:{at.hour:02}:{at.minute:02}:{at.second:02} +0000"


@lru_cache(maxsize=2)
def _iso_second(second: int) -> str:
    """`2000-10-10T13:55:36`, RFC 3339 without its zone."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
