"""A fault of ours in one connection: it is said, that connection ends, and nobody else notices.

Whatever is called from the loop (a reader, a writer, a deadline) is called through a place that catches everything, and
that place is here to end what failed; else a connection whose time-outs are off would stay for ever, told nothing.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Fallible(Protocol):
    """What may fail alone."""

    def on_fault(self) -> None:
        """A call of ours has failed: nothing that is known of this connection can be relied on, so it ends."""


def give_up(loop: asyncio.AbstractEventLoop, who: Fallible, error: Exception) -> None:
    """Say what went wrong, and end it."""
    loop.call_exception_handler({"message": "a connection failed", "exception": error})
    try:
        who.on_fault()
    except Exception as another:
        loop.call_exception_handler({"message": "a connection could not be ended", "exception": another})
