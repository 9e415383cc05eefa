"""A client's connection as its exchanges know it: what has come, what it may take, and how it ends.

RFC 9112 §9.6. It ends so that the last answer arrives. A close while the client still sends makes
TCP send a reset, which may destroy the answer before it is read. So sending ends first; then what
still comes is read for a while, and thrown away.
"""

from __future__ import annotations

import socket
from typing import Final

from tqunits.http.phases import CLIENT_PHASES
from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import NEVER, RESOLUTION, Wheel, ticks_of
from tqunits.proxy.transport.stream import Stream

SILENT: Final = ticks_of(5_000_000)
LINGERING: Final = ticks_of(30_000_000)
LONGEST: Final = ticks_of(300_000_000)
WORTH_READING: Final = int(64 * 1024 * RESOLUTION)
"""How long what nobody wants is read so that the answer arrives; who writes all before it reads
(wget, and Go's client as a rule) sees a broken pipe in its place else. Until the client ends its
side, or neither sends nor takes anything for SILENT (nginx's 5 s); for LINGERING in all (nginx's 30
s), and longer, up to LONGEST, for as long as it was more than so many bytes a tick: then 60 MB
arrive at 2 Mbit/s. It takes no place of a worker's, no memory but that of one recv, and a turn as
everybody's. There is no limit of bytes, because who is fast would reach it first: Go's server reads
256 KiB."""


HEAD: Final = CLIENT_PHASES["HEAD"]
BUSY: Final = CLIENT_PHASES["BUSY"]
TUNNEL: Final = CLIENT_PHASES["TUNNEL"]
LINGER: Final = CLIENT_PHASES["LINGER"]


class Parting(Stream):
    """A client's connection, below its exchanges."""

    __slots__ = ("ended", "hard", "input", "lingered", "phase", "silence", "since")

    def __init__(self, sock: socket.socket, poller: Poller, wheel: Wheel) -> None:
        super().__init__(sock, poller, wheel)
        self.phase = HEAD
        self.input = b""  # received, not yet looked at
        self.ended = False  # the client sends no more
        self.lingered = 0  # bytes that nobody wanted
        self.since = 0  # the tick since which it lingers
        self.silence = 0  # ticks without progress that are borne
        self.hard = NEVER  # the tick at which the whole exchange is given up

    def moved(self) -> None:
        """Something moved: nobody is given up on that makes progress."""
        self.limit(self.silence)

    def limit(self, ticks: int) -> None:
        """So long from now on, and never longer than the whole exchange may take."""
        self.touch(ticks)
        if self.deadline > self.hard:  # timeouts.request is for all of it
            self.touch(max(0, self.hard - self.wheel.tick))

    def await_request(self) -> None:
        """An answer is out, and the next request may come."""
        raise AssertionError

    def serve_next(self) -> None:
        """The same, where the next request may be here already, and nobody is looking at it."""
        raise AssertionError

    def serve_next_later(self) -> None:
        """The same in another turn of the loop, so that failures can not nest."""
        raise AssertionError

    def close_when_flushed(self) -> None:
        """Send what waits, and close."""
        self.phase = self.phase.ended
        self.ended = True
        if self.outbox:
            self.pause()
            self.shut_down()
            self.touch(self.silence)
        else:
            if self.wire is not self.sock:  # TLS has a word for it
                self.shut_down()
            self.close()

    def linger(self) -> None:
        """Close in the order that lets the answer arrive: stop sending, read on for a while,
        close."""
        self.phase = self.phase.ended
        self.input = b""
        self.hard = NEVER
        self.lingered = 0
        self.touch(SILENT)
        self.since = self.wheel.tick
        self.shut_down()
        if not self.ended:
            self.resume()
        elif not self.outbox:
            self.close()

    def discard(self, size: int) -> None:
        """Something nobody wants has come."""
        self.lingered += size
        self.linger_on()

    def linger_on(self) -> None:
        """The client is still there, sending or taking: for how long yet?"""
        left = self.since + min(LINGERING + self.lingered // WORTH_READING, LONGEST) - self.wheel.tick
        if left > 0:
            self.touch(min(left, SILENT))
        else:
            self.close()
