"""The manager's answers at its control socket (control/manager_protocol.py has the paths).

Everybody may connect, because an operator needs no group of ours; who asks is told by the kernel
(SO_PEERCRED), and decides what may be asked. All answers are made of frozen records and of what the
kernel counts for each instance, so none waits for systemd, and the number of connections is bounded
for each user: a hostile one can neither hold up the manager nor make it grow.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket
from typing import Final

from tqunits import __version__
from tqunits.control import manager_protocol, protocol
from tqunits.control.protocol import Problem
from tqunits.control.server import MAX_CLIENTS, PATIENCE, LocalServer
from tqunits.http.head import RequestHead
from tqunits.manager import file_times
from tqunits.manager.file_times import FileTimes
from tqunits.manager.recent_changes import RecentChanges
from tqunits.manager.registry import Registry
from tqunits.manager.usage import usage_of

MAX_OF_A_USER: Final = 8
"""Connections at once of a user who is neither root nor the manager itself."""

_EVERYBODY: Final = 0o666


class ManagerAnswers:
    """The server of the control socket."""

    def __init__(self, place: Path | socket, registry: Registry, events: RecentChanges) -> None:
        """`place`: the path of a new socket, or systemd's socket."""
        self._registry = registry
        self._events = events
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="files")
        self._files = FileTimes(self._thread)
        self._since = time.time_ns() // 1000
        self.server = LocalServer(
            place,
            self._answer,
            mode=_EVERYBODY,
            max_clients=MAX_CLIENTS,
            max_of_a_user=MAX_OF_A_USER,
            patience=PATIENCE,
            max_body=protocol.MAX_QUESTION,
        )

    def close(self) -> None:
        """Answer no more."""
        self.server.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, head: RequestHead, _: bytes, uid: int) -> tuple[str, bytes]:
        target = head.target.decode("latin-1")
        if head.method != b"GET":
            raise Problem(405, "use GET")
        if target == manager_protocol.RELEASE:
            found: protocol.Body = {"release": __version__, "pid": os.getpid(), "since_us": self._since}
        elif uid not in {0, os.geteuid()}:
            raise Problem(403, "only root may ask for more than /version")
        elif target == manager_protocol.INSTANCES:
            found = await self._instances()
        else:
            after, wait_us = manager_protocol.events_question(target)
            changes = await self._events.wait(after, wait_us / 1e6)
            events = [change.body() for change in changes]
            found = {"last_event": self._events.last, "since_us": self._since, "events": events}
        return protocol.JSON, protocol.encoded(found)

    async def _instances(self) -> protocol.Body:
        """All of one moment, but for the files, which are looked at first."""
        files = await self._files.of(self._registry.records.values())
        bodies = [
            {**record.body(), **usage_of(record.seen.cgroup).body(), "files": file_times.body(files.get(whose))}
            for whose, record in self._registry.records.items()
        ]
        return {"last_event": self._events.last, "instances": bodies}
