"""An idle connection of which nothing is kept but whose it is, because ten thousand of them are to
cost little.

What a client's connection knows beyond that is made anew when something comes, for 4 µs; so one
sleeps only when it has been idle for a while (clients.REMEMBERED), and never within a burst of
requests.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from mypy_extensions import trait

from tqunits.proxy.reactor.timers import Timed
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.roles import Guest
from tqunits.proxy.routes.router import Router
from tqunits.proxy.transport.stream import received


@trait
class Awake(Guest):
    """A client's connection as it is while somebody asks."""

    def wake(self, counted: bytes) -> None:
        """Listen; `counted`: the address that the connection counts for."""
        raise AssertionError

    def take(self, data: bytes) -> None:
        """Look for requests in what came."""
        raise AssertionError


Wake = Callable[[socket.socket, Peer, Router], Awake]


class Asleep(Timed, Guest):
    """A client's connection between requests, in the place of its `Client`."""

    __slots__ = ("_awake", "_counted", "_peer", "_router", "_sock")

    def __init__(self, sock: socket.socket, peer: Peer, router: Router, counted: bytes, awake: Wake) -> None:
        """`counted`: the address that it counts for; `awake` makes what it is when something
        comes."""
        super().__init__(router.wheel)
        self._awake = awake
        self._sock = sock
        self._peer = peer
        self._router = router
        self._counted = counted

    def start(self, ticks: int) -> None:
        """Wait for what comes, so long at most."""
        self._router.poller.add_reader(self._sock, self)
        self.touch(ticks)

    def on_readable(self) -> None:
        """A request, the end, or an error: who leaves is not woken for that, since a crowd may
        leave at once."""
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

    def is_asleep(self) -> bool:
        return True

    def _close(self) -> None:
        self.forget()
        self._router.poller.close_socket(self._sock)
        self._router.clients.left(self, self._counted)

    def _wake(self) -> Awake:
        self.forget()
        client = self._awake(self._sock, self._peer, self._router)
        self._router.clients.change(self, client)
        client.wake(self._counted)
        return client
