"""Accepting connections: in batches, within the limit, and without spinning when descriptors run
out.

accept(2) fails for reasons of its own: what the client did (ECONNABORTED and the network's errors),
which is for the next call; and what the process or the host lacks (EMFILE, ENFILE, ENOBUFS,
ENOMEM), where the connection stays in the backlog and the socket stays readable, so that trying at
once again would spin. Then accepting pauses for a moment.

It does not come to that by clients alone: some descriptors are left for what serves those that are
there.
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
"""Connections accepted per turn of the loop: a flood of them does not hold up those that stand, and
a burst does not all go to one of the processes that share the socket, where kept connections would
stay."""

PAUSE: Final = 0.1
"""Seconds until accepting is tried again when there was nothing left to accept with."""

RESERVED: Final = 4
MAX_RESERVED: Final = 1024
"""One in so many descriptors, and at most so many, are not for clients but for connections to
workers, files and pipes: without these, who is connected is not served, and that is worse than to
wait for a connection."""

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
        """It is no connection, and does not end: it is tried again."""
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
        """Accept; if there are not the descriptors for all that the routes allow, say so."""
        for listening in self._listening:
            if listening.sock.family != socket.AF_UNIX:  # what it accepts has that from it
                listening.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        allowed = self._router.rules.snapshot.max_connections
        if self._most < allowed:
            self._router.complaints.say(f"descriptors for {self._most} connections, not for {allowed}", priority=4)
        self._resume()

    def stop(self) -> None:
        """Accept no more. The sockets stay as they are: systemd's keep their backlog for the
        successor."""
        self._stopped = True
        self._suspend()
        if self._pause is not None:
            self._pause.cancel()
        for listening in self._listening:
            listening.sock.close()

    def _resume(self) -> None:
        if self._accepting or self._stopped or self._pause is not None:
            return
        if self._full() and not self._router.clients.idle:  # none may be closed for another
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
        """Whoever comes is served, and who has been idle for longest goes, as if its time were
        over."""
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
        except Exception as error:  # one connection is lost by it, and not all that come later
            sock.close()
            context = {"message": "a connection could not be taken", "exception": error}
            self._router.loop.call_exception_handler(context)

    def _exhausted(self, error: OSError) -> None:
        self._router.books.metrics.accept_pauses += 1
        self._router.complaints.warn(f"can not accept connections: {error.strerror}; waiting")
        self._wait()

    def _wait(self) -> None:
        """Accept nothing for a moment."""
        self._suspend()
        if self._pause is None:
            self._pause = self._router.loop.call_later(PAUSE, self._after_pause)

    def _after_pause(self) -> None:
        self._pause = None
        self._resume()


def _most_clients() -> int:
    """How many connections of clients there are descriptors for."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, limit - min(limit // RESERVED, MAX_RESERVED))
