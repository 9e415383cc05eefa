"""Receives request bodies; with `buffer_requests` a body waits here, and its worker gets the
request only when the body is here.

Without it a body is passed on as it comes, and a slow one holds one of the worker's places
(`max_inflight`) all the time. With it the body waits in memory, up to what a connection may hold in
one direction anyway; a longer body is passed on from that point. A request that is completely here
can be sent twice, if it is idempotent; and it always gets a Content-Length, which some programs
need.
"""

from __future__ import annotations

from typing import Final

from tqunits.http.grammar import Malformed
from tqunits.proxy.downstream import attempts, replying
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.downstream.pace import Pace
from tqunits.proxy.transport.stream import RECEIVE

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def gather(exchange: Exchange) -> None:
    """Wait for the body; some or all of it may be here."""
    client, body = exchange.client, exchange.body
    body.gather()
    client.limit(client.silence)
    data, client.input = client.input, b""
    if data:
        gather_more(exchange, data)
    if body.gathered is not None:
        watch_pace(exchange)
        if exchange.expecting:  # RFC 9110 §10.1.1: the client waits for the 100, and the worker has no request yet
            exchange.write_out(_CONTINUE)


def gather_more(exchange: Exchange, data: bytes) -> None:
    """More of the body has come."""
    body = exchange.body
    pump = body.pump
    out = pumped(exchange, data)
    if out is None or body.gathered is None:
        return
    exchange.moved()
    body.gathered += out
    if body.pump is None or len(body.gathered) >= RECEIVE:
        exchange.first = body.behind(exchange.first, pump)
        assert exchange.backend is not None
        attempts.enter(exchange, exchange.backend.worker)


def take_in(exchange: Exchange) -> None:
    """The client has ended its side, and received data is not processed yet: the body is complete,
    or it was cut."""
    client, body = exchange.client, exchange.body
    data, client.input = client.input, b""
    while True:
        out = pumped(exchange, data)
        if out is None:
            return
        exchange.first += out
        if not body.waits_for_turn:
            break
        data = b""
    body.whole = body.pump is None
    if not body.whole:
        replying.refuse(exchange, Malformed(400, "the body is cut short"))


def pumped(exchange: Exchange, data: bytes) -> bytes | None:
    """A part of the body in the worker's form; None when it was malformed and the exchange is
    over."""
    body = exchange.body
    try:
        out = body.feed(data)
    except Malformed as error:
        replying.refuse(exchange, error)
        return None
    if body.pump is None:
        exchange.client.input = body.surplus
    elif body.waits_for_turn:
        exchange.client.postpone()
    return out


def watch_pace(exchange: Exchange) -> None:
    """The rest of the body is waited for: start to measure its rate."""
    backend, pump = exchange.backend, exchange.body.pump
    if pump is None or backend is None or not backend.grace:
        return
    if exchange.pace is None:
        exchange.pace = Pace(exchange, exchange.client.wheel)
    exchange.pace.begin(pump, backend.min_rate, backend.grace)
