"""What to do when nothing has moved in an exchange for too long: which side is slow, and which
setting names the limit."""

from __future__ import annotations

from tqunits.config.values import print_span
from tqunits.http.grammar import Malformed
from tqunits.http.pump import LengthPump
from tqunits.proxy.downstream import replying
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.downstream.parting import BUSY, TUNNEL
from tqunits.proxy.upstream.connection import CONNECTING, Upstream
from tqunits.routing.snapshot import WorkerTimeouts


def run_out(exchange: Exchange) -> None:
    """Nothing has moved for too long since the request came, or since the last answer, which its
    client does not take."""
    client, upstream, worker = exchange.client, exchange.upstream, exchange.worker
    if client.phase is not BUSY or _takes_nothing(exchange):
        if client.phase is TUNNEL and not client.outbox and exchange.backend is not None:
            said = _said(exchange.backend.timeouts.stream_us, "stream")
            exchange.complain(f"cut: an upgraded connection was silent for {said}")
        exchange.abort()
    elif exchange.started:
        if not _bears_silence(exchange):
            exchange.cut(f"no progress for {_limit_said(exchange)}")
    elif exchange.waiting:
        if worker is not None:
            worker.metrics.queue_timeouts += 1
        replying.fail(exchange, 504, "no endpoint took it in time (proxy.queue_timeout)")
    elif upstream is not None and upstream.phase is CONNECTING:
        upstream.abandon()
        exchange.refused(upstream, "no connection in time")
    elif exchange.body.pump is not None and owes_body(exchange):
        replying.refuse(exchange, Malformed(408, ""))
    else:
        replying.fail(exchange, 504, f"no answer for {_limit_said(exchange)}")


def owes_body(exchange: Exchange) -> bool:
    """Whether the client's body is waited for."""
    if exchange.body.gathered is not None:
        return True
    upstream, relay = exchange.upstream, exchange.client.relay
    if upstream is None or upstream.phase is CONNECTING or upstream.outbox:
        return False
    return relay is None or not relay.blocked


def was_held_up(exchange: Exchange) -> bool:
    """Whether the worker's buffers were full at any time since the last call."""
    upstream, relay, held_up = exchange.upstream, exchange.client.relay, False
    if upstream is not None:
        held_up, upstream.was_full = upstream.was_full, False
    if relay is not None:
        held_up, relay.was_blocked = held_up or relay.was_blocked, False
    return held_up


def _takes_nothing(exchange: Exchange) -> bool:
    """Whether the client does not take what is there for it."""
    relay = None if exchange.upstream is None else exchange.upstream.relay
    return bool(exchange.client.outbox) or (relay is not None and relay.blocked)


def _bears_silence(exchange: Exchange) -> bool:
    """Whether it is a silent stream that may be silent for longer; the deadline is for other
    responses."""
    client, backend, upstream = exchange.client, exchange.backend, exchange.upstream
    tick = client.wheel.tick
    if backend is None or upstream is None or not _streams(upstream) or tick >= client.hard:
        return False
    if client.deadline != exchange.borne_until:
        exchange.silent_since = tick - client.silence
    left = exchange.silent_since + backend.stream - tick
    if left <= 0:
        return False
    client.limit(min(left, client.silence))
    exchange.borne_until = client.deadline
    return True


def _streams(upstream: Upstream) -> bool:
    """Whether it brings a body of unknown length."""
    return not isinstance(upstream.pump, LengthPump)


def _limit_said(exchange: Exchange) -> str:
    """The limit that has passed, and its setting."""
    assert exchange.backend is not None
    timeouts, upstream = exchange.backend.timeouts, exchange.upstream
    if exchange.client.wheel.tick >= exchange.client.hard:
        return _said(timeouts.request_us, "request")
    if exchange.started and upstream is not None and _streams(upstream):
        return _said(timeouts.stream_us, "stream")
    return _silence_said(timeouts, body=not exchange.bodiless)


def _silence_said(timeouts: WorkerTimeouts, *, body: bool) -> str:
    """The limit on silence between the worker and its client, in words. `body`: the request has
    one."""
    if body and timeouts.write_us > timeouts.read_us:
        return _said(timeouts.write_us, "write")
    return _said(timeouts.read_us, "read")


def _said(span_us: int, name: str) -> str:
    """A span and its setting, so that a reader of the log knows what to change."""
    return f"{print_span(span_us)} (timeouts.{name})"
