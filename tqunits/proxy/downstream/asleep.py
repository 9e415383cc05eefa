"""An idle client connection that keeps almost no state, so that ten thousand of them cost little
memory.

The state of a connection is made anew when something comes, which takes 4 µs. So a connection
sleeps only after some idle time (clients.REMEMBERED), and never within a burst of requests.
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
    """A client's connection that is not asleep."""

    def wake(self, counted: bytes) -> None:
        """Start to read. `counted`: the address for which the connection is counted."""
        raise AssertionError

    def take(self, data: bytes) -> None:
        """Look for requests in the received data."""
        raise AssertionError


Wake = Callable[[socket.socket, Peer, Router], Awake]


class Asleep(Timed, Guest):
    """A sleeping connection between two requests, in the place of its `Client`."""

    __slots__ = ("_awake", "_counted", "_peer", "_router", "_sock")

    def __init__(self, sock: socket.socket, peer: Peer, router: Router, counted: bytes, awake: Wake) -> None:
        """`counted`: the address for which it is counted. `awake` makes the full connection when
        something comes."""
        super().__init__(router.wheel)
        self._awake = awake
        self._sock = sock
        self._peer = peer
        self._router = router
        self._counted = counted

    def start(self, ticks: int) -> None:
        """Wait for data, at most so many ticks."""
        self._router.poller.add_reader(self._sock, self)
        self.touch(ticks)

    def on_readable(self) -> None:
        """A request, the end of the stream, or an error. For an end the full connection is not
        made, because many clients may leave at once."""
        data = received(self._peer.secured or self._sock)
        if data:
            self._wake().take(data)
        elif data is not None:
            self._close()

    def on_fault(self) -> None:
        """It could not be woken."""
        self._close()

    def expire(self) -> None:
        """The connection has been idle for the longest time allowed."""
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
