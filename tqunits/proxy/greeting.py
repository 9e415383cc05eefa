"""A connection before its first request: does it speak TLS, and if so, the handshake.

Every address speaks both. The first byte tells (`secure.HELLO`), and it is only looked at (MSG_PEEK), so whoever goes
on finds the connection as it came. Nothing here is about HTTP, and a client's connection (`downstream`) knows nothing
of handshakes: it begins when this is done. Without a certificate there is no greeting at all.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from tqunits.proxy.certificates import Certificates
from tqunits.proxy.secure import HELLO, Secured, Step
from tqunits.proxy.timers import Timed, Wheel

Done = Callable[["Greeting", socket.socket, Secured | None], None]
"""The connection is its taker's from now on; plain, or secured. There may be a request already that the kernel does
not announce: receive at once."""


class Greeting(Timed):
    """One accepted connection until it is known how it speaks."""

    __slots__ = ("_certificates", "_done", "_gone", "_loop", "_secured", "_sock", "_ticks")

    def __init__(
        self,
        sock: socket.socket,
        certificates: Certificates,
        loop: asyncio.AbstractEventLoop,
        wheel: Wheel,
        *,
        done: Done,
        gone: Callable[[Greeting], None],
    ) -> None:
        """`sock` is non-blocking. Exactly one of `done` and `gone` is called, once; after `gone` it is closed."""
        super().__init__(wheel)
        self._sock = sock
        self._certificates = certificates
        self._loop = loop
        self._done = done
        self._gone = gone
        self._secured: Secured | None = None
        self._ticks = 0

    def begin(self, idle_ticks: int, handshake_ticks: int) -> None:
        """Wait so long for the first byte, and so long from then on for the end of the handshake."""
        self._ticks = handshake_ticks
        self.touch(idle_ticks)
        self._loop.add_reader(self._sock, self._on_first)

    def drain(self) -> None:
        """The router stops: a client that has said nothing yet loses nothing."""
        if self._secured is None:
            self.close()

    def close(self) -> None:
        """Give it up."""
        self._leave()
        self._sock.close()
        self._gone(self)

    def expire(self) -> None:
        """Too slow."""
        self.close()

    def _on_first(self) -> None:
        try:
            first = self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        if not first:
            self.close()
        elif first != HELLO:
            self._finish()
        else:
            self._secured = self._certificates.secure(self._sock)
            self.touch(self._ticks)
            self._loop.add_reader(self._sock, self._on_ready)
            self._on_ready()

    def _on_ready(self) -> None:
        assert self._secured is not None
        try:
            step = self._secured.handshake()
        except OSError:
            self.close()
            return
        if step is Step.DONE:
            self._finish()
        elif step is Step.READ:
            self._loop.remove_writer(self._sock)
            self._loop.add_reader(self._sock, self._on_ready)
        else:  # what the client sends waits, or a level-triggered reader would spin
            self._loop.remove_reader(self._sock)
            self._loop.add_writer(self._sock, self._on_ready)

    def _finish(self) -> None:
        self._leave()
        self._done(self, self._sock, self._secured)

    def _leave(self) -> None:
        self.forget()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
