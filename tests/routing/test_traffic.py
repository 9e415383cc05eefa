"""The file that says who gets no traffic: read whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.routing.traffic import Traffic, parse_traffic, traffic_text


@given(st.dictionaries(st.text(), st.integers()))
def test_what_is_written_is_read(stopped: dict[str, int]) -> None:
    assert parse_traffic(traffic_text(stopped).encode()) == Traffic(stopped)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"version": 1}',
        b'{"version": 2, "stopped": {}}',
        b'{"version": 1, "stopped": "api"}',
        b'{"version": 1, "stopped": ["api"]}',
        b'{"version": 1, "stopped": {"api": true}}',
        b'{"version": 1, "stopped": {"api": 1.5}}',
        b'{"version": 1, "stopped": {}, "more": 1}',
    ],
    ids=lambda text: text[:40].decode("latin-1"),
)
def test_what_is_no_such_file(text: bytes) -> None:
    with pytest.raises(TqunitsError, match=r"traffic\.json"):
        parse_traffic(text)
