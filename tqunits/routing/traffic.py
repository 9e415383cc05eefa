"""Which workers get no traffic now although they are in the routes: /run/tqunits/traffic.json,
version 1.

    {"version": 1, "stopped": {"api": 1790000000000000, "api:2": 1790000000000000},
     "orders": {"shop": {"order": "maintenance", "text": "Back at nine."}}, "drained": ["web:2"]}

The command line writes it, and the routers read it. `stopped`: instances that an administrator has
stopped with `tqunits stop`, and when (µs since 1970): nobody waits for a worker all of whose
instances are. One whose file `serving` is newer was started since, with systemctl. `orders`:
workers, and what `tqunits pause`, `drain` and `maintenance on` have asked for. `drained`: single
instances that get no new requests, the others of their worker do. Both are missing where there are
none. They hold until `tqunits resume` or `maintenance off`, through restarts of the routers and of
the worker, and end with the host's run.

An instance is named as its unit: `api` is the first, `api:2` the second. So "api" is the first
instance of a worker in `stopped` and in `drained`, and the worker in `orders`. No file, or one that
does not read: everybody gets traffic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.light_dataclass import dataclass
from tqunits.routing.versioned import versioned

VERSION: Final = 1
_FILE: Final = SYSTEM_LAYOUT.traffic.name
MAX_TRAFFIC: Final = 1024 * 1024
"""Ten thousand names with room."""


PAUSE: Final = "pause"
"""New requests wait in the router."""
DRAIN: Final = "drain"
"""New requests are answered with 503; what runs is finished."""
MAINTENANCE: Final = "maintenance"
"""All requests, for files too, are answered with 503 and a page."""
ORDERS: Final = (PAUSE, DRAIN, MAINTENANCE)


@dataclass(frozen=True, slots=True)
class Order:
    """What an administrator wants of a worker's traffic; `text` stands on the page."""

    order: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The content of the file."""

    stopped: Mapping[str, int] = field(default_factory=dict)  # instance -> when, in µs since 1970
    orders: Mapping[str, Order] = field(default_factory=dict)  # of workers
    drained: frozenset[str] = frozenset()  # instances


EVERYBODY: Final = Traffic()
"""All workers of the routes get traffic."""


def parse_traffic(text: bytes) -> Traffic:
    """Read it. Raises TqunitsError: all of it or nothing."""
    document = versioned(text, _FILE, VERSION, ["stopped"], ["orders", "drained"])
    stopped = document["stopped"]
    if not isinstance(stopped, dict) or not all(type(time) is int for time in stopped.values()):
        raise TqunitsError(f"{_FILE}: stopped is not an object of times")
    orders = document.get("orders", {})
    if not isinstance(orders, dict):
        raise TqunitsError(f"{_FILE}: orders is not an object")
    drained = document.get("drained", [])
    if not isinstance(drained, list) or not all(isinstance(instance, str) for instance in drained):
        raise TqunitsError(f"{_FILE}: drained is not a list of names")
    return Traffic(stopped, {worker: _order(members) for worker, members in orders.items()}, frozenset(drained))


def traffic_text(traffic: Traffic) -> str:
    """The text of the file."""
    orders = {worker: {"order": order.order, "text": order.text} for worker, order in traffic.orders.items()}
    document: dict[str, object] = {"version": VERSION, "stopped": dict(traffic.stopped)}
    if orders:  # routers of the release before know nothing of them
        document["orders"] = orders
    if traffic.drained:
        document["drained"] = sorted(traffic.drained)
    return json.dumps(document, sort_keys=True) + "\n"


def _order(members: object) -> Order:
    if not isinstance(members, dict) or members.keys() != {"order", "text"}:
        raise TqunitsError(f"{_FILE}: an order is not an object of order and text")
    order, text = members["order"], members["text"]
    if order not in ORDERS or not isinstance(text, str):
        raise TqunitsError(f"{_FILE}: {order!r} is no order")
    return Order(order, text)
