"""After a valid 101: bytes in both directions, with back-pressure and half-close, and nothing else
(RFC 9110 §7.8).

Each direction ends by itself: its end is passed on after everything before it, and the other
direction goes on.
"""

from __future__ import annotations

from tqunits.proxy.downstream import relaying
from tqunits.proxy.downstream.exchange import Exchange
from tqunits.proxy.transport.stream import RECEIVE
from tqunits.proxy.upstream.connection import Upstream


class Tunnel:
    """The two directions of one tunnel."""

    __slots__ = ("_client", "_client_ended", "_exchange", "_upstream", "_worker_ended")

    def __init__(self, exchange: Exchange, upstream: Upstream) -> None:
        self._exchange = exchange
        self._client = exchange.client
        self._upstream = upstream
        self._client_ended = False
        self._worker_ended = False

    def open(self, *, from_client: bytes, from_worker: bytes, client_ended: bool) -> None:
        """Pass on what came before the tunnel existed."""
        self._client.moved()
        if from_worker:
            self.from_worker(from_worker)
        if from_client and not self._client.closed:
            self.from_client(from_client)
        if self._client.closed:
            return
        if client_ended:
            self.client_ended()
        elif not self._upstream.outbox:
            self._client.resume()

    def from_client(self, data: bytes) -> None:
        """Bytes for the worker."""
        if not self._upstream.write(data):
            self._exchange.abort()
            return
        self._client.moved()
        if self._upstream.outbox:
            self._client.pause()
        elif len(data) == RECEIVE:
            relaying.tunnel_up(self._exchange, self._upstream, self.client_ended)

    def from_worker(self, data: bytes) -> None:
        """Bytes for the client."""
        if not self._exchange.write_out(data):
            return
        self._client.moved()
        if self._client.outbox:
            self._upstream.pause()
        elif len(data) == RECEIVE:
            relaying.tunnel_down(self._exchange, self._upstream)

    def client_ended(self) -> None:
        """The client has ended its direction."""
        self._client_ended = True
        self._upstream.shut_down()
        self._settle()

    def worker_ended(self, *, regular: bool) -> None:
        """The worker has ended its direction. Not `regular`: it was cut off, and the client is cut
        off too."""
        self._worker_ended = True
        if not regular:
            self._exchange.abort()
            return
        self._client.shut_down()
        self._settle()

    def client_flushed(self) -> None:
        """The client has taken all that waited for it."""
        self._client.moved()
        if not self._worker_ended:
            self._upstream.resume()
        self._settle()

    def worker_flushed(self) -> None:
        """The worker has taken all that waited for it."""
        self._client.moved()
        if not self._client_ended:
            self._client.resume()
        self._settle()

    def _settle(self) -> None:
        """Close both when both have ended and everything is sent."""
        if self._client_ended and self._worker_ended and not self._client.outbox and not self._upstream.outbox:
            self._exchange.abort()
