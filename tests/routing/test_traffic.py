"""The file that lists which workers get no requests: it is read whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.malformed import NO_DOCUMENTS

from tqunits.errors import TqunitsError
from tqunits.routing.traffic import ORDERS, Order, Traffic, parse_traffic, traffic_text

ORDER = st.builds(Order, order=st.sampled_from(ORDERS), text=st.text())


@given(st.dictionaries(st.text(), st.integers()), st.dictionaries(st.text(), ORDER), st.frozensets(st.text()))
def test_what_is_written_is_read(stopped: dict[str, int], orders: dict[str, Order], drained: frozenset[str]) -> None:
    traffic = Traffic(stopped, orders, drained)
    assert parse_traffic(traffic_text(traffic).encode()) == traffic


def test_orders_may_be_missing_and_who_is_drained() -> None:
    assert parse_traffic(b'{"version": 1, "stopped": {"api": 1}}') == Traffic({"api": 1})


@pytest.mark.parametrize(
    "text",
    [
        *NO_DOCUMENTS,
        b'{"version": 2, "stopped": {}}',
        b'{"version": 1, "stopped": "api"}',
        b'{"version": 1, "stopped": ["api"]}',
        b'{"version": 1, "stopped": {"api": true}}',
        b'{"version": 1, "stopped": {"api": 1.5}}',
        b'{"version": 1, "stopped": {}, "more": 1}',
        b'{"version": 1, "stopped": {}, "orders": []}',
        b'{"version": 1, "stopped": {}, "drained": "api:2"}',
        b'{"version": 1, "stopped": {}, "drained": [2]}',
        b'{"version": 1, "stopped": {}, "drained": {"api:2": 1}}',
        b'{"version": 1, "stopped": {}, "orders": {"api": "pause"}}',
        b'{"version": 1, "stopped": {}, "orders": {"api": {"order": "pause"}}}',
        b'{"version": 1, "stopped": {}, "orders": {"api": {"order": "halt", "text": ""}}}',
        b'{"version": 1, "stopped": {}, "orders": {"api": {"order": "pause", "text": 1}}}',
    ],
    ids=lambda text: text[:40].decode("latin-1"),
)
def test_what_is_no_such_file(text: bytes) -> None:
    with pytest.raises(TqunitsError, match=r"traffic\.json"):
        parse_traffic(text)
