"""When the kernel moves a body instead of Python, and what follows afterwards; transport/relay.py
moves the bytes.

A relay reads in the place of a connection: meanwhile the connection counts as reading, and the
outbox of the other side must be empty. A relay begins when everything that was received before has
been copied. Only Python can decrypt TLS, so there is no relay on a secured connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tqunits.http.grammar import Malformed
from tqunits.http.pump import ClosePump, LengthPump
from tqunits.proxy.downstream import replying
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.transport.relay import ENDLESS, ChunkRelay, End, Relay, pays
from tqunits.proxy.transport.stream import Stream
from tqunits.proxy.upstream.connection import Upstream

OnEnd = Callable[[End], None]


def download(exchange: Exchange, upstream: Upstream) -> None:
    """Let the kernel move the rest of a response's body, if that pays. Chunked bodies are parsed
    and not relayed."""
    pump = upstream.pump
    on_end = partial(_downloaded, exchange, upstream)
    if isinstance(pump, LengthPump):
        _begin(Relay, exchange, upstream, exchange.client, pump.left, on_end)
    elif isinstance(pump, ClosePump):
        _begin(ChunkRelay if pump.rechunk else Relay, exchange, upstream, exchange.client, None, on_end)


def upload(exchange: Exchange, upstream: Upstream) -> None:
    """The same for a request's body of known length."""
    pump = exchange.body.pump
    if isinstance(pump, LengthPump):
        _begin(Relay, exchange, exchange.client, upstream, pump.left, partial(_uploaded, exchange, upstream))


def tunnel_up(exchange: Exchange, upstream: Upstream, on_ended: Callable[[], None]) -> None:
    """The direction from the client of a tunnel. `on_ended`: the client has ended it."""
    _begin(Relay, exchange, exchange.client, upstream, None, partial(_tunnelled_up, exchange, on_ended))


def tunnel_down(exchange: Exchange, upstream: Upstream) -> None:
    """The direction from the worker of a tunnel."""
    _begin(Relay, exchange, upstream, exchange.client, None, partial(_tunnelled_down, exchange, upstream))


def _begin(
    kind: type[Relay], exchange: Exchange, source: Stream, target: Stream, limit: int | None, on_end: OnEnd
) -> None:
    """Begin a relay between the client and its worker, if that pays now."""
    pipes = exchange.router.pipes
    if exchange.secured is not None or target.outbox or source.relay is not None:
        return
    if pays(pipes, source.sock, target.sock, ENDLESS if limit is None else limit):
        source.reading = True
        source.relay = kind(
            source.poller,
            pipes,
            source.sock,
            target.sock,
            limit=limit,
            reader=source,
            on_moved=exchange.moved,
            on_end=on_end,
        )
        source.relay.start()


def _downloaded(exchange: Exchange, upstream: Upstream, end: End) -> None:
    relay, upstream.relay = upstream.relay, None
    assert relay is not None
    exchange.account.sent += relay.moved
    if isinstance(upstream.pump, LengthPump):
        upstream.pump.left = relay.left
    match end:
        case End.HANDED_OVER:
            exchange.moved()
        case End.DONE:
            upstream.complete(exchange, b"")
        case End.TARGET_BROKEN:
            exchange.abort()
        case End.ENDED | End.SOURCE_BROKEN:
            upstream.on_end(exchange, regular=end is End.ENDED)


def _uploaded(exchange: Exchange, upstream: Upstream, end: End) -> None:
    exchange.settle_relay()
    match end:
        case End.HANDED_OVER:
            exchange.moved()
        case End.DONE:
            exchange.body.pump = None
            exchange.moved()
        case End.ENDED:
            _has_ended(exchange)
            replying.refuse(exchange, Malformed(400, "the body is cut short"))
        case End.SOURCE_BROKEN:
            exchange.abort()
        case End.TARGET_BROKEN:
            upstream.unheard = True
            exchange.client.reading = False
            exchange.client.resume()


def _tunnelled_up(exchange: Exchange, on_ended: Callable[[], None], end: End) -> None:
    exchange.settle_relay()
    match end:
        case End.HANDED_OVER | End.DONE:
            exchange.moved()
        case End.ENDED:
            _has_ended(exchange)
            on_ended()
        case End.SOURCE_BROKEN | End.TARGET_BROKEN:
            exchange.abort()


def _tunnelled_down(exchange: Exchange, upstream: Upstream, end: End) -> None:
    upstream.relay = None
    match end:
        case End.HANDED_OVER | End.DONE:
            exchange.moved()
        case End.TARGET_BROKEN:
            exchange.abort()
        case End.ENDED | End.SOURCE_BROKEN:
            upstream.reading = False
            exchange.tunnel_ended(regular=end is End.ENDED)


def _has_ended(exchange: Exchange) -> None:
    """The relay has found that the client has ended its side."""
    exchange.client.ended = True
    exchange.client.reading = False
