"""The manager's file of instances that get no traffic: it is read whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.malformed import NO_DOCUMENTS

from tqunits.errors import TqunitsError
from tqunits.routing.unready import Unready, parse_unready, unready_text

TIMES = st.dictionaries(st.text(), st.integers())


@given(st.builds(Unready, TIMES, TIMES))
def test_what_is_written_is_read(unready: Unready) -> None:
    assert parse_unready(unready_text(unready).encode()) == unready


@pytest.mark.parametrize(
    "text",
    [
        *NO_DOCUMENTS,
        b'{"version": 2, "unready": {}}',
        b'{"version": 1, "unready": ["api"]}',
        b'{"version": 1, "unready": {"api": true}}',
        b'{"version": 1, "unready": {"api": "1"}}',
        b'{"version": 1, "unready": {}, "more": 1}',
        b'{"version": 1, "unready": {}, "stopped": ["api"]}',
        b'{"version": 1, "unready": {}, "stopped": {"api": 1.5}}',
    ],
    ids=lambda text: text[:40].decode("latin-1"),
)
def test_what_is_no_such_file(text: bytes) -> None:
    with pytest.raises(TqunitsError, match=r"unready\.json"):
        parse_unready(text)
