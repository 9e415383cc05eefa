"""A connection before its first request: what its stages have in common (front/welcome.py has their
order)."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Timed, Wheel
from tqunits.proxy.routes.roles import Guest


class Arrival(Timed, Guest):
    """One accepted connection until it is known how to go on with it.

    Exactly one of two things happens, once: the stage hands the socket on, or it closes it and
    calls `gone`.
    """

    __slots__ = ("_begun", "_gone", "_poller", "_ticks", "sock")

    def __init__(
        self, sock: socket.socket, poller: Poller, wheel: Wheel, *, ticks: int, gone: Callable[[Arrival], None]
    ) -> None:
        """`sock` is non-blocking; `ticks`: how long all of it may take from the first byte on."""
        super().__init__(wheel)
        self.sock = sock
        self._poller = poller
        self._ticks = ticks
        self._gone = gone
        self._begun = False

    def start(self, idle_ticks: int) -> None:
        """Wait so long for the first byte. Raises what the poller does."""
        self._poller.add_reader(self.sock, self)
        self.touch(idle_ticks)

    def on_readable(self) -> None:
        """There is something to receive, or an end, or an error."""
        raise AssertionError

    def began(self) -> None:
        """The first byte of what this stage is for has come."""
        if not self._begun:
            self._begun = True
            self.touch(self._ticks)

    def drain(self) -> None:
        """The router stops: whoever has said nothing yet loses nothing."""
        if not self._begun:
            self.close()

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        """Give it up."""
        self.forget()
        self._poller.close_socket(self.sock)
        self._gone(self)

    def on_fault(self) -> None:
        """A call of ours has failed."""
        self.close()

    def expire(self) -> None:
        """Too slow."""
        self.close()

    def leave(self) -> None:
        """The socket is another's from now on."""
        self.forget()
        self._poller.remove_reader(self.sock)
        self._poller.remove_writer(self.sock)
