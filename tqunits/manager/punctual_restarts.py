"""A failed worker is started again when its delay is over, and not up to 250 ms later.

RestartSec= is a timer of systemd's event loop with the default accuracy: one that is due waits for
up to 250 ms, so that timers elapse together (sd_event_add_time(3)). No setting changes that. But
whenever systemd wakes up, it runs all timers that are due. So it gets a message at that moment,
which asks for nothing. Without the manager the worker is started by systemd all the same.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.lifecycle.state import Event
from tqunits.manager.record import Change
from tqunits.system.bus import Bus
from tqunits.system.dbus import integer
from tqunits.units import name

_AFTER_S: Final = 0.002
"""After the moment: if the message comes too early, it does nothing. uvloop counts whole
milliseconds."""

_LONGEST_S: Final = 3600.0
"""Of a delay: in a longer one nobody misses a quarter of a second."""


class PunctualRestarts:
    """Follows the instances that have ended by themselves. Used on the event loop."""

    def __init__(self, bus: Bus, loop: asyncio.AbstractEventLoop) -> None:
        self._bus = bus
        self._loop = loop

    def on_change(self, change: Change) -> None:
        """A subscriber of the registry."""
        if change.event is not Event.EXITED:
            return
        with suppress(TqunitsError):  # it is late, then
            seconds = self._until_start(name.service(change.whose))
            if 0 < seconds <= _LONGEST_S:
                self._loop.call_later(seconds + _AFTER_S, self._wake)

    def _until_start(self, unit: str) -> float:
        """Seconds until the delay of this unit is over. It began when the unit's state changed."""
        delay = integer(self._bus.property_of(unit, "Service", "RestartUSec", "t"))
        since = integer(self._bus.property_of(unit, "Unit", "StateChangeTimestampMonotonic", "t"))
        return (since + delay - time.monotonic_ns() // 1000) / 1_000_000

    def _wake(self) -> None:
        with suppress(TqunitsError):
            self._bus.wake()
