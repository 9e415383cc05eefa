"""Sizes, time spans and percentages: read in systemd's spellings, and written back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.config import values
from tqunits.config.parsers import memory
from tqunits.config.reject import Reject
from tqunits.model import INFINITY
from tqunits.resources import Share

READ: dict[str, tuple[Callable[[str], object], str, object]] = {
    "size-mega": (values.size, "512M", 512 * 1024**2),
    "size-mebi": (values.size, "512MiB", 512 * 1024**2),
    "size-fraction": (values.size, "1.5G", 3 * 512 * 1024**2),
    "size-bytes": (values.size, "4096", 4096),
    "size-infinity": (values.size, "infinity", INFINITY),
    "span-plain": (values.span, "30", 30_000_000),
    "span-minutes": (values.span, "5m", 300_000_000),
    "span-sum": (values.span, "1min 30s", 90_000_000),
    "span-close": (values.span, "2h30min", 9_000_000_000),
    "span-milliseconds": (values.span, "50ms", 50_000),
    "span-fraction": (values.span, "1.5s", 1_500_000),
    "span-words": (values.span, "2 days", 172_800_000_000),
    "span-month": (values.span, "1M", 2_629_800_000_000),
    "span-infinity": (values.span, "infinity", INFINITY),
    "quota": (values.cpu_quota, "100%", 1_000_000),
    "quota-half": (values.cpu_quota, "12.5%", 125_000),
    "quota-infinity": (values.cpu_quota, "infinity", INFINITY),
    "memory-share": (memory, "80%", Share(permyriad=8000)),
    "boolean": (values.boolean, "On", True),
}


@pytest.mark.parametrize(("read", "text", "value"), READ.values(), ids=READ)
def test_a_value_is_read_as_systemd_reads_it(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


REFUSED: dict[str, tuple[Callable[[str], object], str]] = {
    "size-empty": (values.size, ""),
    "size-negative": (values.size, "-1"),
    "size-two-units": (values.size, "1KM"),
    "size-too-much": (values.size, "16E"),
    "size-arabic-digits": (values.size, "٣M"),
    "span-empty": (values.span, ""),
    "span-unit-alone": (values.span, "s"),
    "span-negative": (values.span, "-5s"),
    "span-mixed": (values.span, "1min 30"),
    "span-too-much": (values.span, "999999999y"),
    "quota-nothing": (values.cpu_quota, "0%"),
    "percent-spaced": (values.permyriad, "5 %"),
    "boolean-number": (values.boolean, "2"),
    "memory-nothing": (memory, "0"),
}


@pytest.mark.parametrize(("read", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_value_is_refused(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(Reject):
        read(text)


@given(st.integers(min_value=0, max_value=INFINITY))
def test_a_printed_size_reads_back(value: int) -> None:
    assert values.size(values.print_size(value)) == value


@given(st.integers(min_value=0, max_value=INFINITY))
def test_a_printed_span_reads_back(value: int) -> None:
    assert values.span(values.print_span(value)) == value


@given(st.integers(min_value=0, max_value=1_000_000))
def test_a_printed_percentage_reads_back(value: int) -> None:
    assert values.permyriad(values.print_permyriad(value)) == value


@given(st.text(max_size=30), st.sampled_from([values.size, values.span, values.permyriad, values.cpu_quota, memory]))
def test_any_text_is_a_value_or_is_refused(text: str, read: Callable[[str], object]) -> None:
    try:
        read(text)
    except Reject as error:
        assert error.message


@given(st.from_regex(r"[0-9]{1,30}", fullmatch=True))
def test_an_integer_has_no_leading_zero(text: str) -> None:
    try:
        value = values.integer(text, least=0, most=10**18)
    except Reject:
        assert text != "0" and (text.startswith("0") or int(text) > 10**18)
    else:
        assert str(value) == text
