"""Conditional requests: If-Match and the similar fields, which are evaluated before a file is sent.
RFC 9110 §13.

This is for GET and HEAD of an existing file, which has both validators. The order is that of
§13.2.2: the condition on the entity tag comes first, and if there is one, the condition on the date
is ignored (dates have seconds, tags have nanoseconds). An invalid condition never leads to a 304.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from tqunits.http.dates import read_date
from tqunits.http.fields import Fields

_CONDITIONS: Final = frozenset({b"if-match", b"if-modified-since", b"if-none-match", b"if-unmodified-since"})

_TAG: Final = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"')
_TAGS: Final = re.compile(rb"(?:[ \t]*+(?:%b)?[ \t]*+,)*+[ \t]*+(?:%b)?[ \t]*+" % (_TAG.pattern, _TAG.pattern))
"""RFC 9110 §8.8.3, and a list of them; a list may have empty members (§5.6.1.2), and a tag may have
a comma."""


class Verdict(Enum):
    """The result of the conditions of a GET or HEAD; the values are the statuses."""

    PERFORM = 200
    NOT_MODIFIED = 304
    FAILED = 412


def entity_tag(modified_ns: int, size: int, coding: bytes = b"") -> bytes:
    """The strong tag of a file's content in a content coding: modification time (nanoseconds) and
    size (bytes).

    As strong as the file system's clock (§8.8.1): other content of the same size and time has the
    same tag.
    """
    return b'"%x-%x%b"' % (modified_ns, size, b"-" + coding if coding else b"")


def evaluate(fields: Fields, tag: bytes, modified: int, this_year: int) -> Verdict:
    """The preconditions of a GET or HEAD against a strong `tag` and `modified`, the Last-Modified
    that is sent.

    `modified`: seconds since 1970; `this_year`: see `dates.read_date`.
    """
    said = _CONDITIONS.intersection(fields.names)
    if not said:
        return Verdict.PERFORM
    if b"if-match" in said:
        if not _names(fields.values(b"if-match"), tag, weak=False):
            return Verdict.FAILED
    elif b"if-unmodified-since" in said:
        since = _date(fields.values(b"if-unmodified-since"), this_year)
        if since is not None and modified > since:
            return Verdict.FAILED
    if b"if-none-match" in said:
        return Verdict.NOT_MODIFIED if _names(fields.values(b"if-none-match"), tag, weak=True) else Verdict.PERFORM
    since = _date(fields.values(b"if-modified-since"), this_year)
    return Verdict.NOT_MODIFIED if since is not None and modified <= since else Verdict.PERFORM


def range_holds(fields: Fields, tag: bytes) -> bool:
    """Whether Range counts: there is no If-Range, or it matches (§13.1.5).

    A date never matches. It would have to be a strong validator, and a file may change twice in a
    second (§8.8.2.2); a client that got our tag must not send a date.
    """
    return b"if-range" not in fields.names or fields.values(b"if-range") == [tag]


def _names(values: list[bytes], tag: bytes, *, weak: bool) -> bool:
    """Whether a list of tags has this one, by weak or by strong comparison (§8.8.3.2), or is
    `*`."""
    text = b",".join(values)
    if text == b"*":
        return True
    if _TAGS.fullmatch(text) is None:
        return False
    found = _TAG.findall(text)
    return tag in ([one.removeprefix(b"W/") for one in found] if weak else found)


def _date(values: list[bytes], this_year: int) -> int | None:
    """The single date of a field; None: the field is ignored."""
    return read_date(values[0], this_year) if len(values) == 1 else None
