"""Times in fields: HTTP-date, RFC 9110 §5.6.7. They are written in the one preferred form, and
parsed in all three forms.

A field with an invalid date is to be ignored (§13.1.3, §13.1.4), so parsing never raises.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_DAYS: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_LONG_DAYS: Final = (b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday")
_MONTHS: Final = (
    *(b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun"),
    *(b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
)
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAY_SECONDS: Final = 86_400

_DAY: Final = rb"(?:%b)" % b"|".join(_DAYS)
_LONG_DAY: Final = rb"(?:%b)" % b"|".join(_LONG_DAYS)
_MONTH: Final = rb"(?P<month>%b)" % b"|".join(_MONTHS)
_TIME: Final = rb"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"

_FIXDATE: Final = re.compile(rb"%b, (?P<day>[0-9]{2}) %b (?P<year>[0-9]{4}) %b GMT" % (_DAY, _MONTH, _TIME))
_RFC850: Final = re.compile(rb"%b, (?P<day>[0-9]{2})-%b-(?P<year>[0-9]{2}) %b GMT" % (_LONG_DAY, _MONTH, _TIME))
_ASCTIME: Final = re.compile(rb"%b %b (?P<day>[0-9]{2}| [0-9]) %b (?P<year>[0-9]{4})" % (_DAY, _MONTH, _TIME))
"""The forms as they stand in the RFC, case and spaces too. Second 60 is a leap second: the first
one of the minute that follows. Whether the day of the week fits the date is nobody's business: it
says nothing that the rest does not."""


def write_date(seconds: int) -> bytes:
    """A time (seconds since 1970, UTC) as `Sun, 06 Nov 1994 08:49:37 GMT`. From year 1 to year
    9999."""
    days, rest = divmod(seconds, _DAY_SECONDS)
    day = date.fromordinal(_EPOCH + days)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
        _DAYS[day.weekday()],
        day.day,
        _MONTHS[day.month - 1],
        day.year,
        rest // 3600,
        rest // 60 % 60,
        rest % 60,
    )


def read_date(text: bytes, this_year: int) -> int | None:
    """Seconds since 1970, or None for an invalid HTTP-date. `this_year` decides the century of
    two-digit years."""
    match = _FIXDATE.fullmatch(text) or _RFC850.fullmatch(text) or _ASCTIME.fullmatch(text)
    if match is None:
        return None
    year = int(match["year"])
    if match.re is _RFC850:
        year = _full_year(year, this_year)
    try:
        day = date(year, _MONTHS.index(match["month"]) + 1, int(match["day"]))
    except ValueError:  # 30 February
        return None
    time = int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"])
    return (day.toordinal() - _EPOCH) * _DAY_SECONDS + time


def _full_year(two_digits: int, this_year: int) -> int:
    """RFC 9110 §5.6.7: a date more than 50 years in the future is in the past; decided by the year
    only."""
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + 50 else year
