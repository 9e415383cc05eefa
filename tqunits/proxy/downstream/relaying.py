"""When the kernel moves a body instead of Python, and what follows when it has; transport/relay.py does the moving.

A relay reads where a connection would: while it runs, the connection counts as reading, and nothing may wait in the
outbox of the other side. It begins when everything that was received before has been passed on by copying. What TLS
has encrypted only Python can read, so there is none on a secured connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tqunits.http.grammar import Malformed
from tqunits.http.pump import ClosePump, LengthPump
from tqunits.proxy.downstream.exchange import Waiting
from tqunits.proxy.transport.relay import ENDLESS, ChunkRelay, End, Relay, pays
from tqunits.proxy.transport.stream import Stream
from tqunits.proxy.upstream.connection import Upstream

OnEnd = Callable[[End], None]


def download(upstream: Upstream, client: Waiting) -> None:
    """Let the kernel move what is left of a response's body, where that pays. Chunks are looked at, so not theirs."""
    pump = upstream.pump
    on_end = partial(_downloaded, upstream, client)
    if isinstance(pump, LengthPump):
        _begin(Relay, upstream, client, client, pump.left, on_end)
    elif isinstance(pump, ClosePump):
        _begin(ChunkRelay if pump.rechunk else Relay, upstream, client, client, None, on_end)


def upload(client: Waiting, upstream: Upstream) -> None:
    """The same for a request's body, whose length is known."""
    pump = client.pump
    if isinstance(pump, LengthPump):
        _begin(Relay, client, upstream, client, pump.left, partial(_uploaded, client, upstream))


def tunnel_up(client: Waiting, upstream: Upstream, on_ended: Callable[[], None]) -> None:
    """The client's way of a tunnel; `on_ended`: it sends no more."""
    _begin(Relay, client, upstream, client, None, partial(_tunnelled_up, client, on_ended))


def tunnel_down(upstream: Upstream, client: Waiting) -> None:
    """The worker's way of a tunnel."""
    _begin(Relay, upstream, client, client, None, partial(_tunnelled_down, upstream, client))


def _begin(
    kind: type[Relay], source: Stream, target: Stream, client: Waiting, limit: int | None, on_end: OnEnd
) -> None:
    """Between the client and its worker, if that pays now; one is the source and the other the target."""
    pipes = client.router.pipes
    if client.secured is not None or target.outbox or source.relay is not None:
        return
    if pays(pipes, source.sock, target.sock, ENDLESS if limit is None else limit):
        source.reading = True
        source.relay = kind(
            client.poller,
            pipes,
            source.sock,
            target.sock,
            limit=limit,
            reader=source,
            on_moved=client.moved,
            on_end=on_end,
        )
        source.relay.start()


def _downloaded(upstream: Upstream, client: Waiting, end: End) -> None:
    relay, upstream.relay = upstream.relay, None
    assert relay is not None
    client.account.sent += relay.moved
    if isinstance(upstream.pump, LengthPump):
        upstream.pump.left = relay.left
    match end:
        case End.HANDED_OVER:
            client.moved()
        case End.DONE:
            upstream.complete(client, b"")
        case End.TARGET_BROKEN:
            client.abort()
        case End.ENDED | End.SOURCE_BROKEN:
            upstream.on_end(client, regular=end is End.ENDED)


def _uploaded(client: Waiting, upstream: Upstream, end: End) -> None:
    client.settle_relay()
    match end:
        case End.HANDED_OVER:
            client.moved()
        case End.DONE:
            client.pump = None
            client.moved()
        case End.ENDED:
            client.ended = True
            client.reading = False
            client.refuse(Malformed(400, "the body is cut short"))
        case End.SOURCE_BROKEN:
            client.abort()
        case End.TARGET_BROKEN:
            upstream.unheard = True
            client.reading = False
            client.resume()


def _tunnelled_up(client: Waiting, on_ended: Callable[[], None], end: End) -> None:
    client.settle_relay()
    match end:
        case End.HANDED_OVER | End.DONE:
            client.moved()
        case End.ENDED:
            client.ended = True
            client.reading = False
            on_ended()
        case End.SOURCE_BROKEN | End.TARGET_BROKEN:
            client.abort()


def _tunnelled_down(upstream: Upstream, client: Waiting, end: End) -> None:
    upstream.relay = None
    match end:
        case End.HANDED_OVER | End.DONE:
            client.moved()
        case End.TARGET_BROKEN:
            client.abort()
        case End.ENDED | End.SOURCE_BROKEN:
            upstream.reading = False
            client.tunnel_ended(regular=end is End.ENDED)
