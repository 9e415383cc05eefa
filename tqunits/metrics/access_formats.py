r"""One request as a line of the access log: combined, JSON, or an entry of the journal.

A client's data is not trusted, and must not be able to look like a line of the log. In `combined`
everything but printable ASCII is written as \xHH, quotes and backslashes too; JSON has its own
escapes; the journal gets a value with a line end in the form that has its length.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

IDENTIFIER: Final = "tq-access"
"""SYSLOG_IDENTIFIER= of the entries of all router processes."""

MAX_TARGET: Final = 8 * 1024
"""A whole request line: a target that was understood is never longer."""

MAX_JOURNAL_TARGET: Final = 1024
"""In the journal, where a target is once: in MESSAGE, up to four times as long by its escapes.
Everybody's requests are kept in the same room, and whoever sends long ones would push the others'
out."""

MAX_SAID: Final = 200
"""Of a target, where a line for people is about something else."""

MAX_VALUE: Final = 1024
"""Of the other values that a client sends: a browser's are under 300 bytes. With MAX_TARGET it
bounds a line, escapes and all, to less than 128 KiB, so that an entry is always one datagram
(net.core.wmem_default is 208 KiB)."""


class End(StrEnum):
    """How an exchange ended."""

    OK = "ok"  # with a whole response of the worker
    CUT = "cut"  # the worker did not finish its response
    GONE = "gone"  # the client left before it had the whole response
    REFUSED = "refused"  # with an answer of the router's own


class Entry(NamedTuple):
    """What the log has of one request. Bytes are as the client sent them; empty means unknown or
    missing.

    A tuple is made in 0.7 µs, a frozen dataclass in 1.7.
    """

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
    reason: str = ""  # of an answer of the router's own that refuses
    release: str = ""  # the ID of the one that the endpoint served with


def combined(entry: Entry) -> bytes:
    """The format of Apache's and nginx's name, which every log reader knows; the time is UTC. With
    its line end."""
    return b'%b - - [%b] "%b" %03d %d "%b" "%b"\n' % (
        _column(entry.client),
        _combined_time(int(entry.time)),
        _quotable(_request_line(entry, MAX_TARGET)),
        entry.status,
        entry.sent,
        _quotable(_cut(entry.referer)),
        _quotable(_cut(entry.user_agent)),
    )


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
                "release": entry.release or None,
                "request_id": _text(entry.request_id),
                "scheme": _text(entry.scheme),
                "host": _text(entry.host),
                "referer": _text(entry.referer),
                "user_agent": _text(entry.user_agent),
                "end": entry.end.value,
                "retries": entry.retries,
                "reason": entry.reason or None,
            }
        ).encode("ascii")
        + b"\n"
    )


def journal_datagram(entry: Entry) -> bytes:
    """One entry in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL);
    without empty fields.

    The target is in MESSAGE.
    """
    known = (
        (b"\nMESSAGE=", _message(entry)),
        (b"\nTQ_WORKER=", entry.worker.encode("utf-8", "replace")),
        (b"\nTQ_ENDPOINT=", entry.endpoint.encode("utf-8", "replace")),
        (b"\nTQ_RELEASE=", entry.release.encode("utf-8", "replace")),
        (b"\nTQ_REASON=", entry.reason.encode("utf-8", "replace")),
        (b"\nREQUEST_ID=", _cut(entry.request_id)),
        (b"\nCLIENT_ADDRESS=", _cut(entry.client)),
        (b"\nHTTP_METHOD=", _cut(entry.method)),
        (b"\nHTTP_SCHEME=", _cut(entry.scheme)),
        (b"\nHTTP_HOST=", _cut(entry.host)),
        (b"\nHTTP_REFERER=", _cut(entry.referer)),
        (b"\nHTTP_USER_AGENT=", _cut(entry.user_agent)),
    )
    return _JOURNAL % (
        entry.status,
        entry.received,
        entry.sent,
        entry.duration,
        entry.end.encode("ascii"),
        entry.retries,
        b"".join([name + value if b"\n" not in value else counted(name, value) for name, value in known if value]),
    )


def counted(assignment: bytes, value: bytes) -> bytes:
    """The native protocol's form for a value with a line end in it. `assignment`: LF, the name and
    "="."""
    return b"%b\n%b%b" % (assignment[:-1], len(value).to_bytes(8, "little"), value)


_JOURNAL: Final = (
    b"PRIORITY=6\nSYSLOG_IDENTIFIER=%b\nHTTP_STATUS=%%d\nRECEIVED_BYTES=%%d\nSENT_BYTES=%%d\nDURATION_US=%%d\n"
    b"TQ_END=%%b\nTQ_RETRIES=%%d%%b\n"
) % IDENTIFIER.encode("ascii")

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""strftime's %b would be the locale's."""

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))

_PLAIN: Final = re.compile(rb"[ !#-\[\]-~]*+")
"""What needs no escape between quotes."""

_ESCAPES: Final = {code: rf"\x{code:02X}" for code in range(256) if not _PLAIN.fullmatch(bytes((code,)))}


def _message(entry: Entry) -> bytes:
    """The entry for people: the request, its outcome, its duration, its worker."""
    milliseconds, rest = divmod(entry.duration, 1000)
    return b'%b "%b" %03d %dB %d.%03dms %b%b%b' % (
        _column(entry.client),
        _quotable(_request_line(entry, MAX_JOURNAL_TARGET)),
        entry.status,
        entry.sent,
        milliseconds,
        rest,
        _column(entry.worker.encode("utf-8", "replace")),
        b"" if entry.end is End.OK else b" " + entry.end.encode("ascii"),
        b": " + _escaped(entry.reason.encode("utf-8", "replace")) if entry.reason else b"",
    )


def whom(client: bytes, head: bytes) -> str:
    """Who asked for what, for a line of the router's own: nothing in it is more than plain text."""
    method, _, rest = head[: head.find(b"\r\n", 2)].lstrip(b"\r\n").partition(b" ")
    asked = b' "%b %b"' % (_cut(method, 32), _quotable(_cut(rest.partition(b" ")[0], MAX_SAID))) if rest else b""
    return (_column(client) + asked).decode("ascii", "replace")


def _request_line(entry: Entry, most: int) -> bytes:
    """As it was sent, its target cut to `most` bytes; b"" for what was not understood as one."""
    if not entry.method:
        return b""
    return b"%b %b HTTP/1.%d" % (_cut(entry.method), _cut(entry.target, most), entry.minor)


def _quotable(value: bytes) -> bytes:
    """What goes between quotes."""
    return (value if _PLAIN.fullmatch(value) else _escaped(value)) or b"-"


@lru_cache(maxsize=1024)
def _column(value: bytes) -> bytes:
    """A value without quotes: it may not have spaces either. Addresses and workers are the same
    over and over."""
    return _escaped(_cut(value)).replace(b" ", rb"\x20") or b"-"


def _escaped(value: bytes) -> bytes:
    return value.decode("latin-1").translate(_ESCAPES).encode("ascii")


def _text(value: bytes, most: int = MAX_VALUE) -> str | None:
    return _cut(value, most).decode("utf-8", "backslashreplace") or None


def _cut(value: bytes, most: int = MAX_VALUE) -> bytes:
    return value if len(value) <= most else value[:most] + b"..."


@lru_cache(maxsize=2)
def _combined_time(second: int) -> bytes:
    """`10/Oct/2000:13:55:36 +0000`; the requests of one second ask for the same one."""
    at = datetime.fromtimestamp(second, UTC)
    month = _MONTHS[at.month - 1]
    return f"{at.day:02}/{month}/{at.year:04}:{at.hour:02}:{at.minute:02}:{at.second:02} +0000".encode("ascii")


@lru_cache(maxsize=2)
def _iso_second(second: int) -> str:
    """`2000-10-10T13:55:36`, RFC 3339 without its zone."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
