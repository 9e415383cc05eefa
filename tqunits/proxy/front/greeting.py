"""A connection before its first request: whether it uses TLS, and then the handshake.

Every address accepts both. The first byte decides (`secured.HELLO`), and it is only peeked at
(MSG_PEEK), so the next stage finds the connection unchanged. Nothing here is about HTTP, and a
client's connection (`downstream`) begins after the handshake. Without a certificate this stage is
left out.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from tqunits.proxy.front.arrival import Arrival
from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Wheel
from tqunits.proxy.transport.secured import HELLO, Secured, Step
from tqunits.system.certificates import Certificates

Done = Callable[["Greeting", Secured | None], None]
"""Takes over the socket, plain or secured. A request may be here already that the kernel does not
announce: call recv at once."""


class Greeting(Arrival):
    """One accepted connection until it is known whether it uses TLS."""

    __slots__ = ("_certificates", "_done", "_secured")

    def __init__(
        self,
        sock: socket.socket,
        certificates: Certificates,
        poller: Poller,
        wheel: Wheel,
        *,
        ticks: int,
        done: Done,
        gone: Callable[[Arrival], None],
    ) -> None:
        super().__init__(sock, poller, wheel, ticks=ticks, gone=gone)
        self._certificates = certificates
        self._done = done
        self._secured: Secured | None = None

    def on_readable(self) -> None:
        if self._secured is None:
            self._look_at_first()
        else:
            self._go_on(self._secured)

    def on_writable(self) -> None:
        assert self._secured is not None
        self._go_on(self._secured)

    def _look_at_first(self) -> None:
        try:
            first = self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        if not first:
            self.close()
        elif first != HELLO:
            self._finish()
        else:
            self.began()
            self._secured = Secured(self.sock, self._certificates.context)
            self._go_on(self._secured)

    def _go_on(self, secured: Secured) -> None:
        try:
            step = secured.handshake()
        except OSError:
            self.close()
            return
        if step is Step.DONE:
            self._finish()
        elif step is Step.READ:
            self._poller.remove_writer(self.sock)
            self._poller.add_reader(self.sock, self)
        else:  # the client's data waits, and a level-triggered reader would spin
            self._poller.remove_reader(self.sock)
            self._poller.add_writer(self.sock, self)

    def _finish(self) -> None:
        self.leave()
        self._done(self, self._secured)
