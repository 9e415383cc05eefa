"""The client connections of one router process: all of them, the idle ones, and how many come from
one address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mypy_extensions import mypyc_attr

from tqunits.proxy.reactor.timers import Wheel, ticks_of
from tqunits.proxy.routes.roles import Guest
from tqunits.proxy.transport.secured import Secured

REMEMBERED = ticks_of(1_000_000)
"""How long an idle connection keeps its last head, which makes the next one cheap to parse:
browsers send requests in bursts. After that it sleeps."""

CROWD = 1000
"""With more connections than this none keeps anything between its requests, and each sleeps a tick
after the last one. What is kept takes 1.2 KiB each, and memory that so many have used for a moment
is not given back."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a client's connection."""

    address: bytes  # without the port; b"" on a Unix socket
    believed: bool  # a trusted proxy: what it says of its client is believed
    secured: Secured | None  # None: plain HTTP


def _nothing() -> None:
    """The default of `on_left`."""


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Clients:
    """The connections. Everything runs on one loop, so there are no locks."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self.here: set[Guest] = set()
        self.arriving: set[Guest] = set()  # connections before HTTP begins
        self.idle: dict[Guest, int] = {}  # idle connections -> since which tick; the longest first
        self.per_address: dict[bytes, int] = {}  # also without a limit, because a reload may set one
        self.on_left: Callable[[], None] = _nothing  # called when a client has left: there is room for another

    def __len__(self) -> int:
        """How many there are, including those before HTTP begins."""
        return len(self.here) + len(self.arriving)

    def is_crowd(self) -> bool:
        """Whether there are so many that idle connections keep nothing."""
        return len(self.here) > CROWD

    def admit(self, address: bytes, most: int) -> bool:
        """Count a connection from that address; False when there are `most` already (0: no
        limit)."""
        if not address:
            return True
        count = self.per_address.get(address, 0)
        if most and count >= most:
            return False
        self.per_address[address] = count + 1
        return True

    def release(self, address: bytes) -> None:
        """A connection from that address has ended."""
        count = self.per_address.get(address, 0)
        if count > 1:
            self.per_address[address] = count - 1
        elif count:
            del self.per_address[address]
        self.on_left()

    def awaits(self, arrival: Guest) -> None:
        """A connection is accepted, and HTTP has not begun."""
        self.arriving.add(arrival)
        self.idle[arrival] = self._wheel.tick

    def arrived(self, arrival: Guest) -> None:
        """HTTP begins on it, or it is closed."""
        self.arriving.discard(arrival)
        self.idle.pop(arrival, None)

    def joined(self, client: Guest) -> None:
        """A client has connected, and has sent something."""
        self.here.add(client)

    def joined_silent(self, asleep: Guest) -> None:
        """A client has connected, and has sent nothing yet."""
        self.here.add(asleep)
        self.idle[asleep] = self._wheel.tick

    def change(self, before: Guest, after: Guest) -> None:
        """Another object now stands for the same connection."""
        self.here.discard(before)
        self.here.add(after)
        self.idle.pop(before, None)

    def slept(self, asleep: Guest) -> None:
        """An idle connection now sleeps; it may be closed to make room for another."""
        self.idle[asleep] = self._wheel.tick - REMEMBERED
        self.on_left()

    def left(self, client: Guest, counted: bytes) -> None:
        """A client's connection is closed. `counted`: the address for which it was counted."""
        self.here.discard(client)
        self.idle.pop(client, None)
        self.release(counted)

    def may_make_room(self) -> bool:
        """Whether a connection has been idle for a second. A client that has just connected or
        asked is about to ask again."""
        return bool(self.idle) and self.idle[next(iter(self.idle))] + REMEMBERED <= self._wheel.tick

    def make_room(self) -> None:
        """Close the connection that has been idle for longest, if there is one. A request that has
        just come on it is served."""
        before = len(self)
        while self.idle and len(self) >= before:
            longest = next(iter(self.idle))
            del self.idle[longest]
            longest.drain()

    def drain(self) -> None:
        """Close idle connections."""
        for guest in (*self.here, *self.arriving):
            guest.drain()

    @property
    def tunnels(self) -> list[Guest]:
        """Connections that are open tunnels."""
        return [client for client in self.here if client.is_tunnel()]
