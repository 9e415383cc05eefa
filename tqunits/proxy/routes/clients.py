"""The connections of clients in one router process: who is here, who is idle, and how many come
from one address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mypy_extensions import mypyc_attr

from tqunits.proxy.reactor.timers import Wheel, ticks_of
from tqunits.proxy.routes.roles import Guest
from tqunits.proxy.transport.secured import Secured

REMEMBERED = ticks_of(1_000_000)
"""How long an idle connection remembers its last head, which makes the next one cheap to read:
browsers come in bursts. After that it sleeps."""

CROWD = 1000
"""Connections beyond which none remembers anything between its requests, and each sleeps a tick
after the last: what is kept for each is 1.2 KiB, and memory that so many have had for a moment does
not come back."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who sits at the other end of a client's connection."""

    address: bytes  # without port; b"" on a Unix socket
    believed: bool  # what it says of the client it speaks for
    secured: Secured | None  # None: plain HTTP


def _nothing() -> None:
    """Nobody waits for room."""


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Clients:
    """Everything runs on one loop, so nothing here is locked."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self.here: set[Guest] = set()
        self.arriving: set[Guest] = set()  # connections that have not shown yet how they speak
        self.idle: dict[Guest, int] = {}  # since which tick those are that may be; the longest first
        self.per_address: dict[bytes, int] = {}  # also without a limit: one may come
        self.on_left: Callable[[], None] = _nothing  # a client has gone: there is room for another

    def __len__(self) -> int:
        """How many there are, those included that have just come."""
        return len(self.here) + len(self.arriving)

    def is_crowd(self) -> bool:
        """Whether there are so many that nothing is kept for one that is idle."""
        return len(self.here) > CROWD

    def admit(self, address: bytes, most: int) -> bool:
        """Count a connection from that address; False when it has as many as it may (0: any
        number)."""
        if not address:
            return True
        count = self.per_address.get(address, 0)
        if most and count >= most:
            return False
        self.per_address[address] = count + 1
        return True

    def release(self, address: bytes) -> None:
        """A connection from that address has gone."""
        count = self.per_address.get(address, 0)
        if count > 1:
            self.per_address[address] = count - 1
        elif count:
            del self.per_address[address]
        self.on_left()

    def awaits(self, arrival: Guest) -> None:
        """A connection says how it speaks, or nothing yet."""
        self.arriving.add(arrival)
        self.idle[arrival] = self._wheel.tick

    def arrived(self, arrival: Guest) -> None:
        """It has said so, or is closed."""
        self.arriving.discard(arrival)
        self.idle.pop(arrival, None)

    def joined(self, client: Guest) -> None:
        """A client has connected, and says something."""
        self.here.add(client)

    def joined_silent(self, asleep: Guest) -> None:
        """A client has connected, and says nothing yet."""
        self.here.add(asleep)
        self.idle[asleep] = self._wheel.tick

    def change(self, before: Guest, after: Guest) -> None:
        """It is the same connection."""
        self.here.discard(before)
        self.here.add(after)
        self.idle.pop(before, None)

    def slept(self, asleep: Guest) -> None:
        """One that was idle for a while sleeps now: it may make room for another."""
        self.idle[asleep] = self._wheel.tick - REMEMBERED
        self.on_left()

    def left(self, client: Guest, counted: bytes) -> None:
        """A client's connection is closed; `counted`: the address that it counts for."""
        self.here.discard(client)
        self.idle.pop(client, None)
        self.release(counted)

    def may_make_room(self) -> bool:
        """Whether one has been idle for a second: who has just connected, or asked, is about to
        ask."""
        return bool(self.idle) and self.idle[next(iter(self.idle))] + REMEMBERED <= self._wheel.tick

    def make_room(self) -> None:
        """Close the connection that has been idle for longest, if one is. A request that has just
        come is served."""
        before = len(self)
        while self.idle and len(self) >= before:
            longest = next(iter(self.idle))
            del self.idle[longest]
            longest.drain()

    def drain(self) -> None:
        """Close connections that nobody uses."""
        for guest in (*self.here, *self.arriving):
            guest.drain()

    @property
    def tunnels(self) -> list[Guest]:
        """Connections that have become tunnels, and stand."""
        return [client for client in self.here if client.is_tunnel()]
