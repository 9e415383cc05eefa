"""The router as a service: from sockets and a snapshot to a process that systemd can start, reload
and stop.

SIGHUP makes it read the snapshot again (an invalid one is refused and the old one kept). SIGTERM
and SIGINT drain it: no new connections, running requests are finished, and after `timeouts.drain`
the rest is cut. It also watches the file of routes and the workers' files `serving`, answers at a
control and a leave socket, and writes a status line for `systemctl status`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

from tqunits.control.protocol import OFFER
from tqunits.control.server import ControlServer, socket_path
from tqunits.errors import TqunitsError
from tqunits.light_dataclass import dataclass
from tqunits.metrics.openmetrics import Now, render
from tqunits.proxy.commands import Commands
from tqunits.proxy.front.listener import Listeners
from tqunits.proxy.leaving import Leaving
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.log.sinks import AccessLog, parse_destination
from tqunits.proxy.lost import Lost
from tqunits.proxy.reactor import poller
from tqunits.proxy.routes.absence import Absence
from tqunits.proxy.routes.router import Router
from tqunits.proxy.serving import ServingFiles
from tqunits.routing.snapshot import Snapshot
from tqunits.system import loop as event_loop
from tqunits.system.certificates import Certificates
from tqunits.system.identity import router_name
from tqunits.system.inotify import FolderWatches
from tqunits.system.notify import Notifier
from tqunits.system.published import complaint

REPORT: Final = 5.0
"""Seconds between two lines for `systemctl status`."""

IDLE_GRACE: Final = 1.0
"""Seconds that idle connections are kept when the router stops. A request that meets a close on its
way is lost to its client (RFC 9112 §9.5). Connections in use get `Connection: close` with their
next answer, and end by that."""


TUNNEL_GRACE: Final = 5.0
"""Seconds over which tunnels are closed when the router stops. A tunnel never reports that it is
done, so waiting longer helps nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The parameters of the router."""

    sockets: Sequence[socket.socket]  # listening, non-blocking
    listening_on: Sequence[str]  # for messages
    load: Callable[[], Snapshot]  # raises TqunitsError or OSError
    routes: Path | None  # the file that `load` reads
    control: Path | socket.socket | None  # the path of a new control socket, or systemd's socket
    leave: Path | None  # the path of the leave socket; needs `serving`
    serving: Path | None  # the folder that contains a folder for each worker, with its file `serving`
    traffic: Path | None  # the traffic file (routing/traffic.py)
    unready: Path | None  # the manager's file of instances whose health checks fail (routing/unready.py)
    repair: int | None  # a descriptor to write to when a worker is lost (lost.py)
    name: str  # of this process, in the metrics
    access_log: str | None  # as in `--access-log`; None: as in the routes
    namespace: str  # of the journal that the access log is written to; "" for the journal itself
    sample: int  # one in so many requests is logged
    certificate: Path | None  # None: no TLS
    key: Path | None
    notifier: Notifier
    journal: bool  # stderr is the journal


COLLECT: Final = (5000, 20, 50)
"""gc.set_threshold(): new objects that stay, and how often each generation is passed by."""


def serve(setup: Setup) -> None:
    """Run the router until it is told to stop. Raises TqunitsError if the first snapshot is bad."""
    _raise_descriptor_limit()
    snapshot = setup.load()
    event_loop.run(lambda loop: _Service(setup, snapshot, loop).run())


def _is_compiled() -> bool:
    """Whether the data path is compiled. An extension for another Python does not count."""
    return str(poller.__file__).endswith(tuple(EXTENSION_SUFFIXES))


class _Service:
    """One run of the router."""

    def __init__(self, setup: Setup, snapshot: Snapshot, loop: asyncio.AbstractEventLoop) -> None:
        self._setup = setup
        self._loop = loop
        self._complaints = Complaints(sys.stderr, journal=setup.journal)
        self._log = self._open_log(snapshot)
        self._certificates = Certificates.load(setup.certificate, setup.key) if setup.certificate else None
        self._say_of_certificates()
        self._router = Router(
            loop,
            snapshot,
            complaints=self._complaints,
            name=router_name(),
            seed=os.urandom(8),
            log=self._log,
            certificates=self._certificates,
            ports=[port for sock in setup.sockets if (port := _port(sock))],
        )
        self._say_of_files()
        self._listeners = Listeners(setup.sockets, self._router)
        self._watches = self._watching()
        self._absence = Absence(setup.traffic, setup.unready, self._complaints)
        self._files = self._serving_files(setup.serving)
        commands = Commands(self._router, self._metrics, self._absence.is_drained).by_path()
        self._control = ControlServer(setup.control, commands, OFFER) if setup.control else None
        self._leaving = Leaving(self._files, setup.leave) if self._files and setup.leave else None
        self._stop = asyncio.Event()
        self._reported = (0, loop.time())  # requests, and when
        self._reported_rate = 0

    async def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        self._loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._watch_routes()
        if self._files is not None:
            self._files.start()
        for asked in (self._control, self._leaving):
            if asked is not None:
                await asked.server.start()
        _spare_the_collector()
        if not _is_compiled():
            python = "Python {}.{}".format(*sys.version_info)
            self._complaints.say(f"not compiled for {python}: a request costs up to twice the CPU", priority=4)
        self._listeners.start()
        self._complaints.say(f"listening on {', '.join(self._setup.listening_on)}; {self._status()}")
        self._setup.notifier.ready(self._status())
        self._sign_of_life()
        self._report()
        await self._stop.wait()
        await self._drain()

    def _open_log(self, snapshot: Snapshot) -> AccessLog | None:
        text = self._setup.access_log or ("journal" if snapshot.access_log else "none")
        destination = parse_destination(text, self._setup.namespace)
        if destination is None:
            return None
        return AccessLog.open(destination, self._loop, self._complaints.warn, self._setup.sample)

    def _switch_log(self, snapshot: Snapshot) -> None:
        """Begin or end the access log, where the routes decide about it. Raises TqunitsError."""
        if self._setup.access_log is None and snapshot.access_log != (self._log is not None):
            if self._log is not None:
                self._log.close()
            self._log = self._router.books.log = self._open_log(snapshot)

    def _say_of_certificates(self) -> None:
        for warning in self._certificates.warnings if self._certificates is not None else ():
            self._complaints.say(warning, priority=4)

    def _say_of_files(self) -> None:
        """Report folders that can not be served, and what to do: clients only get 404 there."""
        for worker in self._router.rules.snapshot.workers:
            files = worker.static
            said = complaint(files.directory, files.release) if files is not None else None
            if said is not None:
                self._complaints.say(f"worker {worker.name}: {said}", priority=4)

    def _metrics(self) -> bytes:
        router = self._router
        surges = {worker.surge for worker in router.workers.values()}
        told = (each for each in router.endpoints if each not in surges or each.in_flight or not each.draining)
        now = Now(
            connections=len(router.clients.here),
            in_flight={endpoint.label: endpoint.in_flight for endpoint in told},
            log_dropped=self._log.dropped if self._log else 0,
            certificates=self._certificates.ends if self._certificates else {},
        )
        return render(router.books.metrics, now, process=self._setup.name)

    def _watching(self) -> FolderWatches | None:
        try:
            return FolderWatches(self._loop)
        except OSError as error:
            self._complaints.say(f"nothing can be watched: {error.strerror}; see max_user_instances", priority=4)
            return None

    def _serving_files(self, folder: Path | None) -> ServingFiles | None:
        if folder is None:
            return None
        control = self._setup.control
        sockets = [path for path in (self._setup.leave, socket_path(control) if control else None) if path]
        lost = Lost(self._setup.repair, sockets, self._complaints.warn)
        return ServingFiles(folder, self._router, self._watches, self._loop, self._complaints, lost, self._absence)

    def _watch_routes(self) -> None:
        """Watch the file of routes. If it can not be watched, that is reported, and the router runs
        without."""
        if self._setup.routes is None or self._watches is None:
            return
        folder = self._setup.routes.parent
        try:
            self._watches.add(folder, self._on_routes)
        except OSError as error:
            self._complaints.say(f"{folder} can not be watched: {error.strerror}", priority=4)

    def _on_routes(self, name: str | None) -> None:
        if name is None or (self._setup.routes is not None and name == self._setup.routes.name):
            self._reload()

    def _status(self) -> str:
        workers = self._router.rules.snapshot.workers
        return f"routing {sum(len(w.routes) for w in workers)} paths to {len(workers)} workers"

    def _reload(self) -> None:
        """Read everything again. Each part that is invalid stays as it was, and does not hold up
        the others."""
        self._setup.notifier.reloading()
        steps = {
            "routes": self._reload_routes,
            "access log": self._reload_log,
            "certificates": self._reload_certificates,
        }
        refused = [what for what, step in steps.items() if not self._reloaded(what, step)]
        outcome = f"the last reload was refused, as before: {', '.join(refused)}" if refused else self._status()
        self._setup.notifier.ready(outcome)

    def _reloaded(self, what: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except (TqunitsError, OSError) as error:
            self._complaints.say(f"the last reload was refused, as before: {what}: {error}", priority=3)
            return False
        return True

    def _reload_routes(self) -> None:
        snapshot = self._setup.load()
        if snapshot != self._router.rules.snapshot:
            self._router.use(snapshot)
            self._complaints.say(f"reloaded; {self._status()}")
            self._say_of_files()
        if self._files is not None:
            self._files.look_at_all()

    def _reload_log(self) -> None:
        self._switch_log(self._router.rules.snapshot)
        if self._log is not None:
            self._log.reopen()

    def _reload_certificates(self) -> None:
        if self._certificates is not None:
            self._certificates.reload()
            self._say_of_certificates()

    def _sign_of_life(self) -> None:
        interval = self._setup.notifier.watchdog
        if interval:
            self._setup.notifier.alive()
            self._loop.call_later(interval, self._sign_of_life)

    def _report(self) -> None:
        """Connections and requests per second for `systemctl status`, while there are any."""
        requests, now = self._router.requests, self._loop.time()
        before, then = self._reported
        if requests != before or self._reported_rate:
            rate = (requests - before) / (now - then)
            self._reported_rate = requests - before
            self._setup.notifier.status(
                f"{self._status()}; {len(self._router.clients.here)} connections, {rate:.0f} requests/s"
            )
        self._reported = (requests, now)
        self._loop.call_later(REPORT, self._report)

    async def _drain(self) -> None:
        router = self._router
        router.draining = True
        self._listeners.stop()
        self._setup.notifier.stopping(f"finishing {len(router.clients.here)} connections")
        empty = asyncio.Event()
        router.clients.on_left = lambda: None if len(router.clients) else empty.set()
        if len(router.clients):
            self._loop.call_later(IDLE_GRACE, router.clients.drain)
            limit = router.rules.snapshot.timeouts.drain_us / 1e6 or None
            self._end_tunnels(TUNNEL_GRACE if limit is None else min(limit, TUNNEL_GRACE))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(empty.wait(), limit)
        if router.clients.here:
            self._complaints.say(
                f"{len(router.clients.here)} connections were cut after the drain time-out", priority=4
            )
        for client in tuple(router.clients.here):
            client.abort()
        for arrival in tuple(router.clients.arriving):
            arrival.abort()
        if self._log is not None:
            self._log.close()
        for asked in (self._control, self._leaving):
            if asked is not None:
                asked.server.close()

    def _end_tunnels(self, span: float) -> None:
        """Close tunnels one after the other over so many seconds, because their clients connect
        again and must not all come at once."""
        tunnels = self._router.clients.tunnels
        for number, client in enumerate(tunnels):
            self._loop.call_later(span * number / len(tunnels), client.close_regularly)


def _port(sock: socket.socket) -> int:
    """The port of a listening socket; 0 for a Unix socket."""
    address = sock.getsockname()
    return int(address[1]) if isinstance(address, tuple) else 0


def _spare_the_collector() -> None:
    """Requests leave no cyclic garbage, so the collector would only scan objects that stay.

    With a crowd of clients that would hold up everybody: 60 ms for 19 000 of them, and 5 ms with
    these settings.
    """
    gc.collect()
    gc.freeze()  # all present objects, for good
    gc.set_threshold(*COLLECT)


def _raise_descriptor_limit() -> None:
    """Two descriptors per exchange: the soft limit of 1024 is for programs that use select(2),
    file-nr(5)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
