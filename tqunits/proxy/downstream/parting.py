"""The client's connection below its exchanges: what has come, its deadlines, and how it ends.

RFC 9112 §9.6: it must end so that the last answer arrives. If the connection is closed while the
client still sends, TCP sends a reset, which may destroy the answer before it is read. So first
sending ends; then what still comes is read for a while, and discarded.
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
"""The rate, in bytes, above which discarded data is still read after LINGERING. A client that sends
everything before it reads (wget, and usually Go's client) would otherwise see a broken pipe instead
of the answer. Reading ends when the client ends its side, or neither sends nor takes anything for
SILENT (nginx's 5 s); after LINGERING in all (nginx's 30 s); or later, up to LONGEST, as long as
more than this rate comes: then 60 MB arrive at 2 Mbit/s. It holds no place of a worker, no memory
but that of one recv, and takes turns like every connection. There is no limit of bytes, because
fast clients would reach it first: Go's server reads 256 KiB."""


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
        self.ended = False  # the client has ended its side
        self.lingered = 0  # discarded bytes
        self.since = 0  # the tick since which it lingers
        self.silence = 0  # ticks without progress that are allowed
        self.hard = NEVER  # the tick at which the whole exchange is given up

    def moved(self) -> None:
        """Something moved: start the deadline again."""
        self.limit(self.silence)

    def limit(self, ticks: int) -> None:
        """Set the deadline so many ticks from now, but not later than that of the whole
        exchange."""
        self.touch(ticks)
        if self.deadline > self.hard:  # timeouts.request is for all of it
            self.touch(max(0, self.hard - self.wheel.tick))

    def await_request(self) -> None:
        """An answer was sent; the next request may come."""
        raise AssertionError

    def serve_next(self) -> None:
        """The same, where the next request may be in `input` already."""
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
            if self.wire is not self.sock:  # TLS sends close_notify
                self.shut_down()
            self.close()

    def linger(self) -> None:
        """Close so that the answer arrives: stop sending, read for a while, close."""
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
        """Data that is discarded has come."""
        self.lingered += size
        self.linger_on()

    def linger_on(self) -> None:
        """The client still sends or takes data: decide how long to wait."""
        left = self.since + min(LINGERING + self.lingered // WORTH_READING, LONGEST) - self.wheel.tick
        if left > 0:
            self.touch(min(left, SILENT))
        else:
            self.close()
