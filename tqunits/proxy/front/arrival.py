"""A connection before its first request: what its stages have in common (front/welcome.py has their
order)."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Timed, Wheel
from tqunits.proxy.routes.roles import Guest


class Arrival(Timed, Guest):
    """One accepted connection before HTTP begins.

    Exactly one of two things happens, once: the stage hands the socket on, or closes it and calls
    `gone`.
    """

    __slots__ = ("_begun", "_gone", "_poller", "_ticks", "sock")

    def __init__(
        self, sock: socket.socket, poller: Poller, wheel: Wheel, *, ticks: int, gone: Callable[[Arrival], None]
    ) -> None:
        """`sock` is non-blocking. `ticks`: the longest time for the whole stage after its first
        byte."""
        super().__init__(wheel)
        self.sock = sock
        self._poller = poller
        self._ticks = ticks
        self._gone = gone
        self._begun = False

    def start(self, idle_ticks: int) -> None:
        """Wait so many ticks for the first byte. Raises the poller's errors."""
        self._poller.add_reader(self.sock, self)
        self.touch(idle_ticks)

    def on_readable(self) -> None:
        """There is something to receive, or an end, or an error."""
        raise AssertionError

    def began(self) -> None:
        """The first byte of this stage has come."""
        if not self._begun:
            self._begun = True
            self.touch(self._ticks)

    def drain(self) -> None:
        """The router stops: a client that has sent nothing loses nothing."""
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
        """The deadline is over."""
        self.close()

    def leave(self) -> None:
        """The socket is given to another object."""
        self.forget()
        self._poller.remove_reader(self.sock)
        self._poller.remove_writer(self.sock)
