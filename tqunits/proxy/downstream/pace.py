"""Whether a client keeps up with the body it sends: who is slow holds a place of the worker, and
others wait.

A silence is ended by a deadline, but one byte now and then moves it on for ever. So a body has to
come at a rate (`proxy.min_body_rate`) that it may lag behind for a while (`timeouts.body`). What
counts is the time in which the client could have sent: not while the request waits for its worker
or for the 100 it asked for, not while the worker is the slow one, of which the kernel's full
buffers tell (back-pressure), and not what the loop itself was late. Once the answer has begun it is
a conversation, whose pace is the worker's to set: then only silences count, and `timeouts.request`.

The account is in bytes: `lead` is how many more have come than had to. It is looked at once a
second, and only of bodies that were not there with their head; so there is nothing to do for each
piece that comes. The client has to answer for all of a second or for nothing of it: who has filled
the worker's buffers in it is not slow.
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
"""Ticks that count at most between two looks: more than that the process had other things to do, or
was stopped."""

AHEAD: Final = 3
"""How often its patience a body may be ahead. A telephone that changes its network is silent for
that long, and a fast beginning does not pay for hours of next to nothing."""


@trait
class Sender:
    """Whose body it is."""

    def is_sending(self, pump: Pump) -> bool:
        """Whether the rest of that body is waited for still, and no answer has begun."""
        raise AssertionError

    def body_came(self) -> int:
        """Bytes that it has sent, as far as they are counted while a body comes."""
        raise AssertionError

    def kept_waiting(self) -> bool:
        """Whether it was who was waited for, all the time since this was asked before."""
        raise AssertionError

    def on_slow_body(self, rate: int) -> None:
        """It does not come at that rate, in bytes a second."""
        raise AssertionError

    def fail_with(self) -> None:
        """A call of ours has failed: its connection ends."""
        raise AssertionError


class Pace(Timed):
    """The account of the body that a client's connection is sending; one for all its bodies, one
    after the other."""

    __slots__ = ("_came", "_lead", "_most", "_pump", "_rate", "_sender", "_since")

    def __init__(self, sender: Sender, wheel: Wheel) -> None:
        super().__init__(wheel)
        self._sender = sender
        self._pump: Pump | None = None  # of the body that is looked at
        self._rate = 0  # bytes a second
        self._lead = 0
        self._most = 0
        self._came = 0  # bytes of it, when it was last looked at
        self._since = 0  # the tick of that

    def begin(self, pump: Pump, rate: int, grace: int) -> None:
        """The rest of a body is waited for, with so many bytes of patience; or still is, after a
        pause of ours."""
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
