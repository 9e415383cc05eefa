"""Whether a client sends its body fast enough: a slow client holds a place of the worker, for which
others wait.

A silence ends with a deadline, but a single byte now and then would move the deadline on for ever.
So a body must come at a rate (`proxy.min_body_rate`); it may be late by `timeouts.body`. Only time
counts in which the client could have sent: not while the request waits for its worker or for a 100,
not while the worker is slow (then the kernel's buffers are full), and not delays of the loop
itself. After the answer has begun, the worker decides the speed: then only silences and
`timeouts.request` count.

The account is in bytes: `lead` is how many more have come than had to. It is checked once a second,
and only for bodies that did not come with their head, so nothing has to be done for each piece. A
second counts completely or not at all: in a second in which the worker's buffers were full the
client was not slow.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import trait

from tqunits.http.pump import Pump
from tqunits.proxy.reactor.timers import RESOLUTION, Timed, Wheel

PER_SECOND: Final = int(1 / RESOLUTION)
"""Ticks."""

LOOK: Final = PER_SECOND
"""Ticks between two looks at one body."""

LATE: Final = 2 * LOOK
"""The most ticks that count between two looks. In a longer time the process was busy or stopped."""

AHEAD: Final = 3
"""How far a body may be ahead, as a multiple of its allowance. A telephone that changes its network
is silent for about that long; and a fast beginning must not pay for hours of almost nothing."""


@trait
class Sender:
    """The client whose body is measured."""

    def is_sending(self, pump: Pump) -> bool:
        """Whether the rest of that body is still waited for, and no answer has begun."""
        raise AssertionError

    def body_came(self) -> int:
        """The bytes of the body received so far."""
        raise AssertionError

    def kept_waiting(self) -> bool:
        """Whether the client alone was waited for, all the time since the last call."""
        raise AssertionError

    def on_slow_body(self, rate: int) -> None:
        """The body comes more slowly than this rate, in bytes a second."""
        raise AssertionError

    def fail_with(self) -> None:
        """A call of ours has failed: end the connection."""
        raise AssertionError


class Pace(Timed):
    """The account of the body that a client is sending. One object for all bodies of a
    connection."""

    __slots__ = ("_came", "_lead", "_most", "_pump", "_rate", "_sender", "_since")

    def __init__(self, sender: Sender, wheel: Wheel) -> None:
        super().__init__(wheel)
        self._sender = sender
        self._pump: Pump | None = None  # of the measured body
        self._rate = 0  # bytes a second
        self._lead = 0
        self._most = 0
        self._came = 0  # its bytes at the last look
        self._since = 0  # the tick of the last look

    def begin(self, pump: Pump, rate: int, grace: int) -> None:
        """The rest of a body is waited for, with `grace` bytes of allowance; or it is still waited
        for, after a pause of ours."""
        if self._pump is pump:
            return
        self._pump = pump
        self._rate = rate
        self._lead = grace
        self._most = grace * AHEAD
        self._came = self._sender.body_came()
        self.touch(LOOK)
        self._since = self.wheel.tick

    def expire(self) -> None:
        """See how much has come since the last look."""
        sender, pump = self._sender, self._pump
        if pump is None or not sender.is_sending(pump):
            self._pump = None
            return
        span, self._since = self.wheel.tick - self._since, self.wheel.tick
        before, self._came = self._came, sender.body_came()
        lead = self._lead + self._came - before
        if sender.kept_waiting():
            lead -= self._rate * min(span, LATE) // PER_SECOND
        self._lead = min(lead, self._most)
        if self._lead < 0:
            self._pump = None
            sender.on_slow_body(self._rate)
        else:
            self.touch(LOOK)

    def on_fault(self) -> None:
        """A call of ours has failed."""
        self._sender.fail_with()
