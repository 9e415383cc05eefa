"""Routes: host first, then the longest prefix on segment borders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.routing.select import choose
from tqunits.routing.table import Table

TABLE = Table(
    [
        ("", "/", "root"),
        ("", "/api", "api"),
        ("", "/api/v2", "v2"),
        ("b.example", "/api", "b"),
        ("[::1]", "/", "v6"),
    ]
)

CASES = {
    "root": (b"", b"/", "root"),
    "other path": (b"", b"/x", "root"),
    "the prefix": (b"", b"/api", "api"),
    "its slash": (b"", b"/api/", "api"),
    "below": (b"", b"/api/x", "api"),
    "no border": (b"", b"/apix", "root"),
    "longer prefix": (b"", b"/api/v2/x", "v2"),
    "longer without border": (b"", b"/api/v2x", "api"),
    "case": (b"", b"/API", "root"),
    "empty segment before": (b"", b"//api", "root"),
    "its host": (b"b.example", b"/api/v2", "b"),
    "its host, other path": (b"b.example", b"/x", "root"),
    "other host": (b"c.example", b"/api", "api"),
    "address": (b"[::1]", b"/api", "v6"),
    "asterisk": (b"", b"*", "root"),
    "very long": (b"", b"/api" + b"/x" * 4000, "api"),
}


@pytest.mark.parametrize(("host", "path", "expected"), CASES.values(), ids=CASES.keys())
def test_the_longest_prefix_on_a_border_wins(host: bytes, path: bytes, expected: str) -> None:
    assert TABLE.find(host, path) == expected


def test_no_route_is_none() -> None:
    assert Table([("", "/api", 1)]).find(b"", b"/apix") is None
    assert Table([("a", "/", 1)]).find(b"b", b"/") is None


def test_two_of_the_same_are_refused() -> None:
    with pytest.raises(TqunitsError, match="two routes"):
        Table([("a", "/api", 1), ("a", "/api", 2)])


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.sets(SEGMENTS), SEGMENTS)
def test_it_finds_what_trying_all_would_find(prefixes: set[str], path: str) -> None:
    matching = [p for p in prefixes if p == "/" or path == p or path.startswith(p + "/")]
    expected = max(matching, key=len, default=None)
    assert Table([("", prefix, prefix) for prefix in prefixes]).find(b"", path.encode()) == expected


def test_the_least_loaded_endpoint_is_chosen_and_ties_by_the_dice() -> None:
    assert choose([3], lambda n: n) == 0
    assert choose([2, 1, 3], lambda n: n) == 1
    assert [choose([1, 2, 1], [pick, pick, pick].__getitem__) for pick in (0, 1)] == [0, 2]
