"""Tasks that nobody waits for: a fault that nobody foresaw is said when it happens, as of all else
that runs on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


def task(work: Coroutine[object, object, None], what: str) -> asyncio.Task[None]:
    """Do it. `what`: is said with the fault."""
    loop = asyncio.get_running_loop()

    def end(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and (fault := ended.exception()) is not None:
            loop.call_exception_handler({"message": what, "exception": fault})

    found = loop.create_task(work)
    found.add_done_callback(end)
    return found
