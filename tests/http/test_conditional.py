"""Conditional requests: the table of RFC 9110 §13, and the order of §13.2.2, compared with the
RFC's steps written as code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.conditional import Verdict, entity_tag, evaluate, range_holds
from tqunits.http.dates import write_date
from tqunits.http.fields import RequestFields

TAG = b'"1a-2b"'
MODIFIED = 784_111_777
NOW, BEFORE, AFTER = (write_date(MODIFIED + seconds).decode() for seconds in (0, -1, 1))


def fields(*lines: str) -> RequestFields:
    return RequestFields("".join(f"\r\n{line}" for line in ("Host: a", *lines, "", "")).encode("latin-1"))


def verdict(*lines: str, tag: bytes = TAG) -> Verdict:
    return evaluate(fields(*lines), tag, MODIFIED, 2025)


PERFORM, NOT_MODIFIED, FAILED = Verdict

CASES: dict[str, tuple[Verdict, list[str]]] = {
    "nothing": (PERFORM, []),
    # If-None-Match: weak comparison.
    "none: it": (NOT_MODIFIED, ['If-None-Match: "1a-2b"']),
    "none: it, weakened by a cache": (NOT_MODIFIED, ['If-None-Match: W/"1a-2b"']),
    "none: any": (NOT_MODIFIED, ["If-None-Match: *"]),
    "none: another": (PERFORM, ['If-None-Match: "1a-2c"']),
    "none: other case": (PERFORM, ['If-None-Match: "1A-2B"']),
    "none: a part of it": (PERFORM, ['If-None-Match: "1a-2b-br"']),
    "none: in a list": (NOT_MODIFIED, ['If-None-Match: "x", W/"y",\t"1a-2b"']),
    "none: in a list with empty members": (NOT_MODIFIED, ['If-None-Match: , ,"x",,"1a-2b",']),
    "none: on a second line": (NOT_MODIFIED, ['If-None-Match: "x"', 'If-None-Match: "1a-2b"']),
    "none: inside another tag": (PERFORM, ['If-None-Match: "x,1a-2b,y"']),
    "none: behind a tag with a comma": (NOT_MODIFIED, ['If-None-Match: "x,y", "1a-2b"']),
    "none: without quotes": (PERFORM, ["If-None-Match: 1a-2b"]),
    "none: with an open quote": (PERFORM, ['If-None-Match: "1a-2b", "x']),
    "none: no comma between": (PERFORM, ['If-None-Match: "1a-2b" "x"']),
    "none: small w": (PERFORM, ['If-None-Match: w/"1a-2b"']),
    "none: any and another": (PERFORM, ['If-None-Match: *, "1a-2b"']),
    "none: empty": (PERFORM, ["If-None-Match:"]),
    # If-Match: strong comparison.
    "match: it": (PERFORM, ['If-Match: "1a-2b"']),
    "match: any": (PERFORM, ["If-Match: *"]),
    "match: weak": (FAILED, ['If-Match: W/"1a-2b"']),
    "match: another": (FAILED, ['If-Match: "x"']),
    "match: in a list": (PERFORM, ['If-Match: W/"1a-2b", "1a-2b"']),
    "match: no tag": (FAILED, ["If-Match: x"]),
    # Dates.
    "modified since: the same": (NOT_MODIFIED, [f"If-Modified-Since: {NOW}"]),
    "modified since: later": (NOT_MODIFIED, [f"If-Modified-Since: {AFTER}"]),
    "modified since: earlier": (PERFORM, [f"If-Modified-Since: {BEFORE}"]),
    "modified since: no date": (PERFORM, ["If-Modified-Since: yesterday"]),
    "modified since: twice": (PERFORM, [f"If-Modified-Since: {NOW}", f"If-Modified-Since: {NOW}"]),
    "modified since: obsolete form": (NOT_MODIFIED, ["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"]),
    "unmodified since: the same": (PERFORM, [f"If-Unmodified-Since: {NOW}"]),
    "unmodified since: earlier": (FAILED, [f"If-Unmodified-Since: {BEFORE}"]),
    "unmodified since: no date": (PERFORM, ["If-Unmodified-Since: 0"]),
    # Together.
    "the tag decides, not the date": (PERFORM, ['If-None-Match: "x"', f"If-Modified-Since: {NOW}"]),
    "a tag that is none decides too": (PERFORM, ["If-None-Match: x", f"If-Modified-Since: {NOW}"]),
    "the tag before the date, 412": (PERFORM, ['If-Match: "1a-2b"', f"If-Unmodified-Since: {BEFORE}"]),
    "412 before 304": (FAILED, ['If-Match: "x"', 'If-None-Match: "1a-2b"']),
    "304 after a condition that holds": (NOT_MODIFIED, ["If-Match: *", 'If-None-Match: "1a-2b"']),
}


@pytest.mark.parametrize(("expected", "lines"), CASES.values(), ids=CASES.keys())
def test_a_condition(expected: Verdict, lines: list[str]) -> None:
    assert verdict(*lines) is expected


RANGES = {
    "nothing": (True, []),
    "the tag": (True, ['If-Range: "1a-2b"']),
    "weak": (False, ['If-Range: W/"1a-2b"']),
    "another tag": (False, ['If-Range: "x"']),
    "a list": (False, ['If-Range: "x", "1a-2b"']),
    "twice": (False, ['If-Range: "1a-2b"', 'If-Range: "1a-2b"']),
    "a date, which is weak": (False, [f"If-Range: {NOW}"]),
    "empty": (False, ["If-Range:"]),
}


@pytest.mark.parametrize(("expected", "lines"), RANGES.values(), ids=RANGES.keys())
def test_a_range_counts_for_the_very_same_bytes(*, expected: bool, lines: list[str]) -> None:
    assert range_holds(fields("Range: bytes=0-", *lines), TAG) is expected


@given(
    st.tuples(st.integers(0, 2**63), st.integers(0, 2**63), st.sampled_from([b"", b"br", b"gzip"])),
    st.tuples(st.integers(0, 2**63), st.integers(0, 2**63), st.sampled_from([b"", b"br", b"gzip"])),
)
def test_tags_are_equal_for_equal_files_only(one: tuple[int, int, bytes], other: tuple[int, int, bytes]) -> None:
    tag = entity_tag(*one)
    assert (tag == entity_tag(*other)) is (one == other)
    assert verdict(f"If-None-Match: {tag.decode()}", tag=tag) is NOT_MODIFIED


TAGS = st.lists(st.sampled_from([TAG, b"W/" + TAG, b'"x"', b'W/"x"', b'""', b'",\xff"']), min_size=1)
DATES = st.integers(MODIFIED - 2, MODIFIED + 2)


@given(
    match=st.none() | TAGS,
    none_match=st.none() | TAGS,
    modified_since=st.none() | DATES,
    unmodified_since=st.none() | DATES,
)
def test_the_order_is_the_rfcs(
    match: list[bytes] | None,
    none_match: list[bytes] | None,
    modified_since: int | None,
    unmodified_since: int | None,
) -> None:
    lines = [
        *([b"If-Match: " + b", ".join(match)] if match else []),
        *([b"If-None-Match: " + b",".join(none_match)] if none_match else []),
        *([b"If-Modified-Since: " + write_date(modified_since)] if modified_since is not None else []),
        *([b"If-Unmodified-Since: " + write_date(unmodified_since)] if unmodified_since is not None else []),
    ]
    assert verdict(*(line.decode("latin-1") for line in lines)) is steps(
        match, none_match, modified_since, unmodified_since
    )


def steps(
    match: list[bytes] | None,
    none_match: list[bytes] | None,
    modified_since: int | None,
    unmodified_since: int | None,
) -> Verdict:
    """The steps of RFC 9110 §13.2.2, exactly as written there, for GET."""
    if match is not None and TAG not in match:  # 1
        return FAILED
    if match is None and unmodified_since is not None and not unmodified_since >= MODIFIED:  # 2
        return FAILED
    if none_match is not None and (TAG in none_match or b"W/" + TAG in none_match):  # 3
        return NOT_MODIFIED
    if none_match is None and modified_since is not None and not modified_since < MODIFIED:  # 4
        return NOT_MODIFIED
    return PERFORM  # 6; step 5 is in Range


@given(st.binary().filter(lambda text: not set(text) & set(range(0x20)) - {9} and 0x7F not in text))
def test_no_value_makes_it_fail(value: bytes) -> None:
    text = value.decode("latin-1")
    for name in ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"):
        verdict(f"{name}: {text}")
        range_holds(fields(f"{name}: {text}"), TAG)
