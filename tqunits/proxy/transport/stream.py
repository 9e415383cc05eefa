"""A non-blocking socket: the common part of a client's and a worker's connection.

It uses raw descriptors and their readiness (reactor/poller.py), because `loop.sock_*` costs three
times as much per request, and a transport hides the back-pressure. A send is tried at once. What
the kernel does not take waits, and meanwhile its producer does not read: so never more waits than
what one `recv` gave (RECEIVE) and a head, in each direction.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Timed, Wheel
from tqunits.proxy.transport.relay import Relay

RECEIVE: Final = (64 + 8) * 1024
"""The most bytes that one connection holds in one direction: 64 KiB of a body, which many programs
write at once, and the head before it. With 64 KiB in all such a message took two turns, and a fifth
more CPU."""

UNCOPIED: Final = 16 * 1024
"""From so many bytes on it is cheaper to give the kernel two pieces than to join them."""

_RESET: Final = struct.pack("ii", 1, 0)


class Wire(Protocol):
    """What the bytes go through: a socket, or TLS on it."""

    def recv(self, size: int, /) -> bytes:
        """As socket.recv."""
        ...

    def send(self, data: bytes, /) -> int:
        """As socket.send."""
        ...

    def shutdown(self, how: int, /) -> None:
        """As socket.shutdown."""
        ...


def received(wire: Wire) -> bytes | None:
    """Received data, b"" for an end or an error; None when there is nothing yet."""
    try:
        return wire.recv(RECEIVE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Stream(Timed):
    """One connected (or connecting) socket. Subclasses define what happens when it is readable and
    when it is flushed."""

    __slots__ = ("closed", "outbox", "poller", "postponed", "reading", "relay", "shut", "sock", "was_full", "wire")

    def __init__(self, sock: socket.socket, poller: Poller, wheel: Wheel) -> None:
        super().__init__(wheel)
        self.sock = sock
        self.poller = poller
        self.wire: Wire = sock  # or TLS on it; bound methods would cost 72 bytes each
        self.outbox: bytes = b""  # data that the kernel has not taken yet
        self.was_full = False  # the kernel has not taken all at once at some time since the caller has reset it
        self.reading = False
        self.postponed = False  # received data is processed in a later turn of the loop
        self.relay: Relay | None = None  # the relay that reads for this stream meanwhile
        self.shut = False  # the sending side ends when the outbox is empty
        self.closed = False

    def write(self, data: bytes) -> bool:
        """Send what can be sent now, the rest later. False: this side is broken."""
        if self.outbox:
            self.outbox += data
            return True
        try:
            sent = self.wire.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < len(data):
            self._keep(data[sent:])
        return True

    def write_both(self, head: bytes, body: bytes | memoryview) -> bool:
        """The same for two pieces, in one send. A large body is not copied."""
        if self.outbox or self.wire is not self.sock or len(body) < UNCOPIED:
            return self.write(head + body)
        try:
            sent = self.sock.sendmsg((head, body))
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < len(head) + len(body):
            self._keep(head[sent:] + body[max(0, sent - len(head)) :])
        return True

    def _keep(self, rest: bytes) -> None:
        """Keep what the kernel has not taken."""
        self.outbox = rest
        self.was_full = True
        self.poller.add_writer(self.sock, self)

    def resume(self) -> None:
        """Read (again)."""
        if not self.reading and not self.closed:
            self.reading = True
            self.poller.add_reader(self.sock, self)

    def pause(self) -> None:
        """Stop reading: the kernel's buffer fills, and the other end waits."""
        if self.reading:
            self.reading = False
            self.poller.remove_reader(self.sock)

    def postpone(self) -> None:
        """Leave the received data for a later turn of the loop (`on_turn`), and read nothing before
        that."""
        self.pause()
        if not self.postponed:
            self.postponed = True
            self.poller.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.postponed = False
        if not self.closed:
            self.on_turn()

    def shut_down(self) -> None:
        """End the sending side after everything is sent; go on reading."""
        self.shut = True
        if not self.outbox:
            with contextlib.suppress(OSError):
                self.wire.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close it now; waiting data is lost."""
        if self.closed:
            return
        self.closed = True
        self.forget()
        self.reading = False
        self.poller.close_socket(self.sock)
        self.outbox = b""

    def part(self) -> None:
        """Release the socket, which another object now owns."""
        self.closed = True
        self.forget()

    def reset(self) -> None:
        """Close with a reset, so that the other end can not take it for a regular end."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()

    def on_readable(self) -> None:
        """There is something to receive, or the end."""
        raise AssertionError

    def on_turn(self) -> None:
        """Another turn has come for the postponed data."""
        raise AssertionError

    def on_flushed(self) -> None:
        """Everything that waited is sent."""
        raise AssertionError

    def on_broken(self) -> None:
        """The other end is gone while data waited for it."""
        raise AssertionError

    def on_writable(self) -> None:
        """There is room for waiting data."""
        try:
            sent = self.wire.send(self.outbox)
        except BlockingIOError:
            return
        except OSError:
            self.poller.remove_writer(self.sock)
            self.outbox = b""
            self.on_broken()
            return
        self.outbox = self.outbox[sent:]
        if not self.outbox:
            self.poller.remove_writer(self.sock)
            if self.shut:
                self.shut_down()
            self.on_flushed()
        elif sent:
            self.on_progress()

    def on_progress(self) -> None:
        """Some of the waiting data was sent: the other end is slow, not dead."""
