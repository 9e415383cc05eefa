"""Passes a worker's response on to the client: heads, the beginning of a body, and a switch of
protocols.

upstream/connection.py parses and checks the response; here the client's version is written.
"""

from __future__ import annotations

from tqunits.http.additions import additions
from tqunits.http.alike import AlikeResponse
from tqunits.http.forward import response_head, upgrade_lines
from tqunits.http.framing import Framing, response_framing
from tqunits.http.head import ResponseHead
from tqunits.proxy.downstream import relaying
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.reactor.timers import NEVER
from tqunits.proxy.transport.stream import UNCOPIED
from tqunits.proxy.upstream.connection import Upstream


def interim(exchange: Exchange, head: ResponseHead) -> bool:
    """Forward 100, 103 and the like to a client that supports them (RFC 9110 §15.2). False: the
    client is gone."""
    exchange.moved()
    return not exchange.modern or exchange.write_out(response_head(head, None, close=False, date=b""))


def respond_alike(exchange: Exchange, upstream: Upstream, alike: AlikeResponse, data: bytes) -> bool:
    """The final response, the short way, if it is like the one before; False: it is not, and must
    be parsed completely."""
    if exchange.method == b"HEAD":
        return False
    found = alike.read(data)
    if found is None:
        return False
    kept, framing, end = found
    upstream.said = True
    upstream.reusable = True
    lines = additions(exchange.account.request_id, b"" if alike.says_hsts else exchange.hsts)
    out = alike.head(kept, framing, lines, close=exchange.will_close(framing))
    _pass_on(exchange, upstream, out, framing, alike.status, data, end)
    return True


def respond(exchange: Exchange, upstream: Upstream, head: ResponseHead, data: bytes) -> None:
    """The final response, the long way. `data`: what came after its head."""
    fields = head.fields
    framing = response_framing(head, exchange.method, chunks=exchange.modern)
    upstream.reusable = head.minor == 1 and b"close" not in fields.options_said and not framing.until_close
    upstream.alike = AlikeResponse.of(head, framing, exchange.response_limits())
    date = b"" if b"date" in fields.special else exchange.router.clock.date()
    lines = additions(exchange.account.request_id, exchange.hsts, fields)
    out = response_head(head, framing, close=exchange.will_close(framing), date=date, lines=lines)
    _pass_on(exchange, upstream, out, framing, head.status, data, 0)


def switch(exchange: Exchange, upstream: Upstream, head: ResponseHead) -> bool:
    """The worker has switched protocols: tell the client. False: the client is gone."""
    account = exchange.account
    exchange.leave_worker()  # a tunnel may last for any time, so it is not counted as in flight
    exchange.client.phase = exchange.client.phase.switched
    exchange.client.hard = NEVER
    exchange.started = True
    lines = additions(account.request_id, exchange.hsts, head.fields) + upgrade_lines(b"websocket")
    account.status = 101
    account.endpoint = upstream.endpoint.label
    account.release = upstream.endpoint.release
    upstream.endpoint.answers += 1
    account.finished()  # logged now: the length of a tunnel is no latency
    assert exchange.backend is not None
    exchange.client.silence = exchange.backend.stream
    text = response_head(head, None, close=False, date=b"")
    return exchange.write_out(b"%b%b\r\n\r\n" % (text[:-4], lines))


def _pass_on(
    exchange: Exchange, upstream: Upstream, out: bytes, framing: Framing, status: int, data: bytes, at: int
) -> None:
    """Send what is known of a final response in one call: `out`, and its body from data[at]."""
    client = exchange.client
    size = len(data) - at
    if size == framing.length and size < UNCOPIED:  # usual
        _begin(exchange, upstream, framing, status, size)
        if client.write(out + data[at:]):
            upstream.complete(exchange, b"")
        else:
            exchange.abort()
        return
    body: bytes | memoryview = data[at:] if size < UNCOPIED else memoryview(data)[at:]
    surplus = b""
    if framing.length > size:
        upstream.pump = framing.pump(passed=size)
    elif framing.length != size:
        upstream.pump = pump = framing.pump(trailers=exchange.trailers)
        body, surplus = (b"", bytes(body)) if pump is None else (pump.feed(bytes(body)), pump.surplus)
    _begin(exchange, upstream, framing, status, len(body))
    if not client.write_both(out, body):
        exchange.abort()
        return
    pump = upstream.pump
    if pump is None or pump.done:
        upstream.complete(exchange, surplus)
        return
    upstream.phase = upstream.phase.responded
    if framing.length < 0:
        assert exchange.backend is not None
        client.silence = min(client.silence, exchange.backend.stream)
    client.moved()
    if client.outbox:
        upstream.pause()
    elif pump.rest:
        upstream.postpone()
    else:
        relaying.download(exchange, upstream)


def _begin(exchange: Exchange, upstream: Upstream, framing: Framing, status: int, size: int) -> None:
    """The final response begins. `size`: bytes of its body that are sent with its head."""
    exchange.started = True
    exchange.delimited = not framing.closes
    account = exchange.account
    account.status = status
    account.endpoint = upstream.endpoint.label
    account.release = upstream.endpoint.release
    if status < 500:
        upstream.endpoint.answers += 1
    account.sent = size
