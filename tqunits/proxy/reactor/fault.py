"""An unexpected exception in one connection: it is reported, that connection ends, and the others
go on.

All calls from the loop (a reader, a writer, a deadline) catch every exception and end the
connection with this function. Otherwise a connection without a deadline would stay for ever.
"""

from __future__ import annotations

import asyncio

from tqunits.proxy.reactor.watched import Watched


def give_up(loop: asyncio.AbstractEventLoop, who: Watched, error: Exception) -> None:
    """Report the exception, and end the connection."""
    loop.call_exception_handler({"message": "a connection failed", "exception": error})
    try:
        who.on_fault()
    except Exception as another:
        loop.call_exception_handler({"message": "a connection could not be ended", "exception": another})
