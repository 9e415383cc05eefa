"""An idle connection of which nothing is kept but whose it is, because ten thousand of them are to cost little.

What a client's connection knows beyond that is made anew when something comes, for 4 µs; so one sleeps only when it has
been idle for a while (answering.REMEMBERED), and never within a burst of requests.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tqunits.proxy.downstream.answering import Peer
from tqunits.proxy.downstream.client import Client
from tqunits.proxy.reactor.timers import Timed
from tqunits.proxy.transport.stream import received

if TYPE_CHECKING:
    from tqunits.proxy.routes.router import Router


class Asleep(Timed):
    """A client's connection between requests, in the place of its `Client`."""

    __slots__ = ("_peer", "_router", "_sock", "counted")

    def __init__(self, sock: socket.socket, peer: Peer, router: Router, counted: bytes) -> None:
        super().__init__(router.wheel)
        self._sock = sock
        self._peer = peer
        self._router = router
        self.counted = counted

    def start(self, ticks: int) -> None:
        """Wait for what comes, so long at most."""
        self._router.poller.add_reader(self._sock, self)
        self.touch(ticks)

    def on_readable(self) -> None:
        """A request, the end, or an error: who leaves is not woken for that, since a crowd may leave at once."""
        data = received(self._peer.secured or self._sock)
        if data:
            self._wake().take(data)
        elif data is not None:
            self._close()

    def on_fault(self) -> None:
        """It could not be woken."""
        self._close()

    def expire(self) -> None:
        """It has been idle for as long as it may."""
        self._wake().close_regularly()

    def drain(self) -> None:
        """The router stops."""
        self._wake().drain()

    def abort(self) -> None:
        """End it now."""
        self._wake().abort()

    def _close(self) -> None:
        self.forget()
        self._router.poller.close_socket(self._sock)
        self._router.left(self)

    def _wake(self) -> Client:
        self.forget()
        client = Client(self._sock, self._peer, self._router)
        client.counted = self.counted
        self._router.change(self, client)
        client.resume()
        return client
