"""HTTP-dates: the RFC's examples, invalid dates, and that reading inverts writing."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.dates import read_date, write_date

EXAMPLE = 784_111_777
"""RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`."""

GOOD = {
    "IMF-fixdate": (b"Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
    "RFC 850": (b"Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE),
    "asctime": (b"Sun Nov  6 08:49:37 1994", EXAMPLE),
    "asctime, two digits": (b"Wed Nov 16 08:49:37 1994", EXAMPLE + 10 * 86400),
    "epoch": (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
    "before it": (b"Wed, 31 Dec 1969 23:59:59 GMT", -1),
    "leap day": (b"Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
    "leap second": (b"Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
    "another day of the week": (b"Mon, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
}

BAD = [
    b"",
    b"0",
    b"784111777",
    b"Sun, 6 Nov 1994 08:49:37 GMT",
    b"Sun, 06 Nov 94 08:49:37 GMT",
    b"sun, 06 Nov 1994 08:49:37 GMT",
    b"Sun, 06 nov 1994 08:49:37 GMT",
    b"Sun, 06 Nov 1994 08:49:37 gmt",
    b"Sun, 06 Nov 1994 08:49:37 UTC",
    b"Sun, 06 Nov 1994 08:49:37 +0000",
    b"Sun, 06 Nov 1994 08:49:37",
    b"Sun,  06 Nov 1994 08:49:37 GMT",
    b" Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sun, 06 Nov 1994 08:49:37 GMT\n",
    b"Sun, 06 Nov 1994 24:00:00 GMT",
    b"Sun, 06 Nov 1994 08:60:00 GMT",
    b"Sun, 06 Nov 1994 08:49:61 GMT",
    b"Sun, 00 Nov 1994 08:49:37 GMT",
    b"Wed, 30 Feb 1994 08:49:37 GMT",
    b"Mon, 29 Feb 1900 08:49:37 GMT",
    b"Sun, 06 Nov 0000 08:49:37 GMT",
    b"Sun, 06-Nov-94 08:49:37 GMT",
    b"Sunday, 06-Nov-1994 08:49:37 GMT",
    b"Sun Nov 6 08:49:37 1994",
    b"Sun Nov 06 08:49:37 1994 GMT",
    b"1994-11-06T08:49:37Z",
    b"\xb9\xb2, 06 Nov 1994 08:49:37 GMT",
]


@pytest.mark.parametrize(("text", "seconds"), GOOD.values(), ids=GOOD.keys())
def test_the_three_forms_are_read(text: bytes, seconds: int) -> None:
    assert read_date(text, 2025) == seconds


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_anything_else_is_no_date(text: bytes) -> None:
    assert read_date(text, 2025) is None


CENTURIES = {
    "this year": ("25", 2025),
    "in 50 years": ("75", 2075),
    "in 51 years": ("76", 1976),
    "before": ("99", 1999),
}


@pytest.mark.parametrize(("digits", "year"), CENTURIES.values(), ids=CENTURIES.keys())
def test_two_digits_are_never_more_than_50_years_ahead(digits: str, year: int) -> None:
    read = read_date(f"Sunday, 01-Mar-{digits} 00:00:00 GMT".encode(), 2025)
    assert read == read_date(f"Sun, 01 Mar {year} 00:00:00 GMT".encode(), 2025)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_what_is_written_is_read(seconds: int) -> None:
    assert read_date(write_date(seconds), 2025) == seconds


@given(st.integers(0, 2**33))
def test_it_is_written_as_everybody_writes_it(seconds: int) -> None:
    assert write_date(seconds).decode() == formatdate(seconds, usegmt=True)


@given(st.binary())
def test_no_bytes_make_the_reader_fail(text: bytes) -> None:
    read_date(text, 2025)
