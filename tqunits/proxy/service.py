"""The router as a service: from sockets and a snapshot to a process that systemd can start, reload and stop.

SIGHUP reads the snapshot again (a bad one is refused and the old one kept); SIGTERM and SIGINT drain: no new
connections, what runs is finished, and after `timeouts.drain` what is left is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tqunits.errors import TqunitsError
from tqunits.proxy.complaints import Complaints
from tqunits.proxy.listener import Listeners
from tqunits.proxy.router import Router
from tqunits.routing.snapshot import Snapshot
from tqunits.system import loop as event_loop
from tqunits.system.notify import Notifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the router is started with."""

    sockets: Sequence[socket.socket]  # listening, non-blocking
    listening_on: Sequence[str]  # for people
    load: Callable[[], Snapshot]  # raises TqunitsError or OSError
    notifier: Notifier
    journal: bool  # stderr is the journal


def serve(setup: Setup) -> None:
    """Run the router until it is told to stop. Raises TqunitsError if the first snapshot is bad."""
    _raise_descriptor_limit()
    snapshot = setup.load()
    event_loop.run(lambda loop: _Service(setup, snapshot, loop).run())


class _Service:
    """One run of the router."""

    def __init__(self, setup: Setup, snapshot: Snapshot, loop: asyncio.AbstractEventLoop) -> None:
        self._setup = setup
        self._loop = loop
        self._complaints = Complaints(sys.stderr, journal=setup.journal)
        self._router = Router(
            loop, snapshot, complaints=self._complaints, via=pseudonym(socket.gethostname()), seed=os.urandom(8)
        )
        self._listeners = Listeners(setup.sockets, self._router, loop)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        self._loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._listeners.start()
        self._complaints.say(f"listening on {', '.join(self._setup.listening_on)}; {self._status()}")
        self._setup.notifier.ready(self._status())
        self._sign_of_life()
        await self._stop.wait()
        await self._drain()

    def _status(self) -> str:
        workers = self._router.snapshot.workers
        return f"routing {sum(len(w.routes) for w in workers)} paths to {len(workers)} workers"

    def _reload(self) -> None:
        self._setup.notifier.reloading()
        try:
            self._router.use(self._setup.load())
            outcome = self._status()
            self._complaints.say(f"reloaded; {outcome}")
        except (TqunitsError, OSError) as error:
            outcome = "the last reload was refused; the routes of before are kept"
            self._complaints.say(f"{outcome}: {error}", priority=3)
        self._setup.notifier.ready(outcome)

    def _sign_of_life(self) -> None:
        interval = self._setup.notifier.watchdog
        if interval:
            self._setup.notifier.alive()
            self._loop.call_later(interval, self._sign_of_life)

    async def _drain(self) -> None:
        router = self._router
        router.draining = True
        self._listeners.stop()
        self._setup.notifier.stopping(f"finishing {len(router.clients)} connections")
        empty = asyncio.Event()
        router.on_left = lambda: None if router.clients else empty.set()
        for client in tuple(router.clients):
            client.drain()
        if router.clients:
            limit = router.snapshot.timeouts.drain_us
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(empty.wait(), limit / 1e6 if limit else None)
        if router.clients:
            self._complaints.say(f"{len(router.clients)} connections were cut after the drain time-out", priority=4)
        for client in tuple(router.clients):
            client.abort()


def pseudonym(host: str) -> bytes:
    """This host's router in Via: the same for all router processes of a host, so that they see each other's loops."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in host)
    return f"tqunits-{safe or 'host'}".encode("ascii")


def _raise_descriptor_limit() -> None:
    """Two descriptors per exchange: the soft limit of 1024 is for programs that use select(2), file-nr(5)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
