"""What is answered to a GET or HEAD of a file that is there: its head, and which of its bytes
follow.

RFC 9110: conditions first, then the range (§13.2.2). Cache-Control is not set: how long a file may
be used without asking is its author's to say, and until then caches ask with the ETag.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from tqunits.http.answers import REASONS
from tqunits.http.coding import Coding
from tqunits.http.conditional import Verdict, entity_tag, evaluate, range_holds
from tqunits.http.dates import read_date, write_date
from tqunits.http.fields import Fields
from tqunits.http.media import Media
from tqunits.http.ranges import Span, content_range, requested
from tqunits.http.target import Target

_NOTHING: Final = Span(0, 0)
_NO_BODY: Final = b"\r\nContent-Length: 0"


class Question(NamedTuple):
    """What an answer depends on besides the file."""

    get: bool  # else HEAD
    fields: Fields
    target: Target  # as the client knows it
    date: bytes  # now, as Clock.date() gives it
    close: bool  # this is the last answer on the connection


class Representation(NamedTuple):
    """A file as it is, or its compressed sibling (§3.2)."""

    size: int  # bytes
    modified_ns: int  # since 1970
    media: Media
    coding: Coding | None
    since: int  # when it was first served, in seconds since 1970; 0, and not less: its own time says so


class Reply(NamedTuple):
    """A whole head, and the bytes of the file that follow it."""

    status: int
    head: bytes
    span: Span


def reply(file: Representation, question: Question) -> Reply:
    """The answer to a GET or HEAD of a file: 200, 206, 304, 412 or 416."""
    fields = question.fields
    now, this_year = _time_of(question.date)
    # Never later than Date (§8.8.2.1). Of two values each: max() of three costs 60 ns, compiled.
    modified = min(max(file.modified_ns // 1_000_000_000, file.since), now)
    tag = entity_tag(file.modified_ns, file.size, file.coding.name if file.coding else b"")
    vary = b"\r\nVary: Accept-Encoding" if file.media.shrinks else b""
    verdict = evaluate(fields, tag, modified, this_year)
    if verdict is Verdict.NOT_MODIFIED:
        return _head(304, b"\r\nETag: %b%b" % (tag, vary), question)
    if verdict is Verdict.FAILED:
        return _head(412, _NO_BODY, question)
    lines = b"\r\nContent-Type: %b%b\r\nLast-Modified: %b\r\nETag: %b\r\nAccept-Ranges: bytes%b" % (
        file.media.type,
        b"\r\nContent-Encoding: " + file.coding.name if file.coding else b"",
        write_date(modified),
        tag,
        vary,
    )
    ranged = question.get and b"range" in fields.names and range_holds(fields, tag)  # only GET has ranges (§14.2)
    span = requested(fields.values(b"range"), file.size) if ranged else None
    return _whole(file.size, lines, question) if span is None else _part(span, file.size, lines, question)


def moved(question: Question) -> Reply:
    """To the same path with a slash. It is canonical, so it can not name another host
    (`//evil.example`)."""
    target = question.target
    return _head(301, b"%b\r\nLocation: %b/%b" % (_NO_BODY, target.path, target.query), question)


def refused(question: Question) -> Reply:
    """Whatever the path is: no file takes another method (§15.5.6)."""
    return _head(405, _NO_BODY + b"\r\nAllow: GET, HEAD", question)


def _whole(size: int, lines: bytes, question: Question) -> Reply:
    span = Span(0, size) if question.get else _NOTHING
    return _head(200, b"%b\r\nContent-Length: %d" % (lines, size), question, span)


def _part(span: Span, size: int, lines: bytes, question: Question) -> Reply:
    where = b"\r\nContent-Range: " + content_range(span, size)
    if not span.length:
        return _head(416, _NO_BODY + where, question)
    return _head(206, b"%b%b\r\nContent-Length: %d" % (lines, where, span.length), question, span)


def _head(status: int, lines: bytes, question: Question, span: Span = _NOTHING) -> Reply:
    close = b"\r\nConnection: close" if question.close else b""
    head = b"HTTP/1.1 %d %b\r\nDate: %b%b%b\r\n\r\n" % (status, REASONS[status], question.date, lines, close)
    return Reply(status, head, span)


@lru_cache(1)
def _time_of(date: bytes) -> tuple[int, int]:
    """The seconds since 1970 of a Date that we send, and its year; worked out once a second."""
    year = int(date[12:16])
    now = read_date(date, year)
    assert now is not None
    return now, year
