"""Accepts connections: in batches, within the limit, and without spinning when descriptors run out.

accept(2) fails for two kinds of reasons. Errors of the client or the network (ECONNABORTED and
others) concern one connection. A lack of resources (EMFILE, ENFILE, ENOBUFS, ENOMEM) leaves the
connection in the backlog and the socket readable, so another try at once would spin: then accepting
pauses for a moment.

Clients alone can not cause such a lack: some descriptors are reserved for serving the clients that
are connected.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

from tqunits.proxy.front.welcome import welcome
from tqunits.proxy.reactor.watched import Watched
from tqunits.proxy.routes.router import Router

BATCH: Final = 8
"""Connections accepted per turn of the loop. So a flood of new ones does not hold up the others,
and a burst does not all go to one of the processes that share the socket, where kept connections
would stay."""

PAUSE: Final = 0.1
"""Seconds until accepting is tried again after a lack of resources."""

RESERVED: Final = 4
MAX_RESERVED: Final = 1024
"""The share of descriptors that is reserved (one in so many), and the greatest number: for
connections to workers, files and pipes. Without them connected clients could not be served, which
is worse than waiting for a connection."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class _Listening(Watched):
    """One listening socket."""

    __slots__ = ("_accept", "_wait", "sock")

    def __init__(self, sock: socket.socket, accept: Callable[[socket.socket], None], wait: Callable[[], None]) -> None:
        self.sock = sock
        self._accept = accept
        self._wait = wait

    def on_readable(self) -> None:
        self._accept(self.sock)

    def on_fault(self) -> None:
        """A listening socket does not end: accepting is tried again."""
        self._wait()


class Listeners:
    """The listening sockets of the router."""

    def __init__(self, sockets: Sequence[socket.socket], router: Router) -> None:
        self._listening = [_Listening(sock, self._accept, self._wait) for sock in sockets]
        self._router = router
        self._accepting = False
        self._stopped = False
        self._pause: asyncio.TimerHandle | None = None
        self._most = _most_clients()
        router.clients.on_left = self._resume

    def start(self) -> None:
        """Start to accept. Report if there are fewer descriptors than the routes allow
        connections."""
        for listening in self._listening:
            if listening.sock.family != socket.AF_UNIX:  # accepted connections inherit it
                listening.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        allowed = self._router.rules.snapshot.max_connections
        if self._most < allowed:
            self._router.complaints.say(f"descriptors for {self._most} connections, not for {allowed}", priority=4)
        self._resume()

    def stop(self) -> None:
        """Stop to accept. The sockets stay open: systemd's keep their backlog for the next
        process."""
        self._stopped = True
        self._suspend()
        if self._pause is not None:
            self._pause.cancel()
        for listening in self._listening:
            listening.sock.close()

    def _resume(self) -> None:
        if self._accepting or self._stopped or self._pause is not None:
            return
        if self._full() and not self._router.clients.idle:  # and no idle one can be closed instead
            return
        self._accepting = True
        for listening in self._listening:
            self._router.poller.add_reader(listening.sock, listening)

    def _suspend(self) -> None:
        if self._accepting:
            self._accepting = False
            for listening in self._listening:
                self._router.poller.remove_reader(listening.sock)

    def _full(self) -> bool:
        router = self._router
        return len(router.clients) >= min(router.rules.snapshot.max_connections, self._most)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BATCH):
            if self._full() and not self._router.clients.may_make_room():
                self._wait() if self._router.clients.idle else self._suspend()
                return
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._exhausted(error)
                    return
                continue
            if self._full():
                self._make_room()
            self._welcome(sock, address)

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest, so that a new one can be served."""
        router = self._router
        router.books.metrics.idle_closed += 1
        router.complaints.warn(
            f"{len(router.clients)} connections: those that are idle for longest are closed"
            f" for new ones; proxy.max_connections is {router.rules.snapshot.max_connections}"
        )
        router.clients.make_room()

    def _welcome(self, sock: socket.socket, address: object) -> None:
        try:
            welcome(sock, address, self._router)
        except Exception as error:  # this loses one connection, and not all later ones
            sock.close()
            context = {"message": "a connection could not be taken", "exception": error}
            self._router.loop.call_exception_handler(context)

    def _exhausted(self, error: OSError) -> None:
        self._router.books.metrics.accept_pauses += 1
        self._router.complaints.warn(f"can not accept connections: {error.strerror}; waiting")
        self._wait()

    def _wait(self) -> None:
        """Pause accepting for a moment."""
        self._suspend()
        if self._pause is None:
            self._pause = self._router.loop.call_later(PAUSE, self._after_pause)

    def _after_pause(self) -> None:
        self._pause = None
        self._resume()


def _most_clients() -> int:
    """The most client connections for which there are descriptors."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, limit - min(limit // RESERVED, MAX_RESERVED))
