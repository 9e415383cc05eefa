"""A fault of ours in one connection: it is said, that connection ends, and nobody else notices.

Whatever is called from the loop (a reader, a writer, a deadline) is called through a place that
catches everything, and that place is here to end what failed; else a connection whose time-outs are
off would stay for ever, told nothing.
"""

from __future__ import annotations

import asyncio

from tqunits.proxy.reactor.watched import Watched


def give_up(loop: asyncio.AbstractEventLoop, who: Watched, error: Exception) -> None:
    """Say what went wrong, and end it."""
    loop.call_exception_handler({"message": "a connection failed", "exception": error})
    try:
        who.on_fault()
    except Exception as another:
        loop.call_exception_handler({"message": "a connection could not be ended", "exception": another})
