"""The manager as a service: it follows what systemd does with the workers, checks their health, and
tells both.

systemd stays the only supervisor: workers and routers run on without the manager, and a start of
the manager changes none of them. What it knows comes from systemd and the installed files, so after
a crash it knows the same again. It asks systemd for the restart of an instance that has failed its
health checks, and for what an operator of a worker wants (operating.py); polkit decides whether it
may. Without the right it observes, and says so.
"""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path
from socket import socket

from tqunits.errors import NotPermitted, TqunitsError
from tqunits.host.observe import running_routers
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.manager import watch_body
from tqunits.manager.announcements import SOCKET, Announcements
from tqunits.manager.answering import ManagerAnswers
from tqunits.manager.checks import HealthChecks
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.deploy_files import DeployFiles
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.hands import Hands
from tqunits.manager.harvests import Harvests
from tqunits.manager.idle_watch import IdleWatch
from tqunits.manager.instance_metrics import MeasuredWatch
from tqunits.manager.metrics_endpoint import MetricsEndpoint
from tqunits.manager.observer import Observer
from tqunits.manager.punctual_restarts import PunctualRestarts
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.recent_changes import RecentChanges
from tqunits.manager.record import Change, InstanceRecord, summary
from tqunits.manager.registry import Registry
from tqunits.manager.router_status import Routers
from tqunits.manager.scraping import Scraping
from tqunits.manager.watching import Watching, WatchOrders
from tqunits.model import Instance
from tqunits.system import loop as event_loop
from tqunits.system.bus import Bus
from tqunits.system.files import made_us
from tqunits.system.notify import Notifier
from tqunits.system.watch_limits import limit_of
from tqunits.units.environment import leaving_file, serving_file


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerSetup:
    """The parameters of the manager."""

    layout: Layout
    user_mode: bool
    control: Path | socket  # the path of a new control socket, or systemd's socket
    notifier: Notifier
    is_journal: bool  # stderr is the journal
    rolls: int  # workers that are replaced at once
    workers: Path  # the folder of the workers' folders
    takes_new: bool  # a new folder there is installed
    applies_configuration: bool  # a change of tqunits.yaml is applied
    metrics: str | None = None  # 127.0.0.1:PORT or [::1]:PORT, where it answers GET /metrics


def manage(setup: ManagerSetup) -> None:
    """Run the manager until it is told to stop. Raises TqunitsError when there is no systemd to
    ask."""
    with Bus(user_mode=setup.user_mode) as bus:
        event_loop.run(lambda loop: _Manager(setup, bus, loop).run())


class _Manager:
    """One run of the manager."""

    def __init__(self, setup: ManagerSetup, bus: Bus, loop: asyncio.AbstractEventLoop) -> None:
        self._setup = setup
        self._bus = bus
        self._loop = loop
        self._journal = Announcements(SOCKET if setup.is_journal else None)
        self._registry = Registry()
        self._events = RecentChanges()
        self._is_refused = False  # polkit has refused the last restart: said once
        self._stop = asyncio.Event()
        punctual = PunctualRestarts(bus, loop)
        for subscriber in (self._journal.change, self._events.add, self._on_change, punctual.on_change):
            self._registry.subscribe(subscriber)

    async def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        say = self._journal.say
        observer = Observer(self._bus, self._setup.layout, self._registry, say=say)
        routers = Routers(self._setup.layout, self._proxies)
        readiness = ReadinessFile(Path(self._setup.layout.unready), self._registry, say=say)
        idle = IdleWatch(routers.works)
        checks = HealthChecks(
            self._registry,
            restart=self._restart,
            work=routers.work,
            is_held=self._is_held,
            is_idle=idle.is_idle,
            say=say,
        )
        deploys = self._deploys(readiness, routers)
        watching = self._watching(deploys)
        commands = ManagerAnswers(
            self._setup.control,
            self._registry,
            self._events,
            readiness,
            self._bus,
            self._journal,
            deploys,
            watching,
            runtime=self._setup.layout.runtime,
        )
        observer.begin(lambda: self._on_placed(checks, readiness, watching), readiness.out)
        idle.start(checks.wake)
        if deploys is not None:
            deploys.resume()
        await commands.server.start()
        metrics = self._metrics(routers, watching)
        if metrics is not None:
            await metrics.start()
        self._setup.notifier.ready(self._status())
        self._sign_of_life()
        await self._stop.wait()
        self._setup.notifier.stopping("ending; workers and routers run on")
        if watching is not None:
            watching.close()
        if deploys is not None:
            deploys.close()
        idle.close()
        checks.close()
        observer.close()
        commands.close()
        if metrics is not None:
            metrics.close()

    def _deploys(self, readiness: ReadinessFile, routers: Routers) -> Deploys | None:
        """None with --user: there a worker runs from its folder."""
        layout, say = self._setup.layout, self._journal.say
        if self._setup.user_mode:
            return None
        hands = Hands(
            bus=self._bus,
            layout=layout,
            registry=self._registry,
            readiness=readiness,
            routers=routers,
            harvests=Harvests(self._bus, layout),
            is_host_ending=self._is_host_ending,
        )
        log = DeployLog(DeployFiles(layout), say)
        return Deploys(hands, log, self._journal, rolls=self._setup.rolls)

    def _watching(self, deploys: Deploys | None) -> Watching | None:
        """None with --user, and where the user has no inotify instance left: the manager does the
        rest of its work."""
        if deploys is None:
            return None
        say, setup = self._journal.say, self._setup
        orders = WatchOrders(
            workers=setup.workers, takes_new=setup.takes_new, applies_configuration=setup.applies_configuration
        )
        try:
            watching = Watching(self._bus, setup.layout, self._registry, deploys, orders, say)
        except OSError as error:
            limit = limit_of(error)
            say(f"changes of files are not noticed: {error if limit is None else f'{limit} ({limit.hint})'}")
            return None
        self._registry.subscribe(watching.on_change)
        return watching

    def _metrics(self, routers: Routers, watching: Watching | None) -> MetricsEndpoint | None:
        if self._setup.metrics is None:
            return None
        watches = list[MeasuredWatch] if watching is None else partial(watch_body.measured, watching.desk)
        scraping = Scraping(self._registry, self._events, routers, watches, self._setup.layout.runtime)
        return MetricsEndpoint(self._setup.metrics, scraping.text, self._journal.say)

    def _on_placed(self, checks: HealthChecks, readiness: ReadinessFile, watching: Watching | None) -> None:
        """The installed files were read again."""
        checks.follow_all()
        readiness.write()
        if watching is not None:
            watching.follow()
        self._events.wake()

    def _is_held(self, whose: Instance) -> bool:
        """Whether an instance that runs lacks its file `serving`, and is not about to stop."""
        runtime = self._setup.layout.runtime
        return all(made_us(path(whose, runtime)) is None for path in (serving_file, leaving_file))

    def _restart(self, record: InstanceRecord, reason: str) -> bool:
        """Queue a restart, and wait for nothing: the signals tell what comes of it."""
        whose = record.place.whose
        try:
            self._bus.queue("RestartUnit", record.place.unit)
        except NotPermitted:
            if not self._is_refused:
                self._journal.say(f"{whose} is not restarted: polkit lets this user restart nothing; {reason}")
            self._is_refused = True
            return False
        except TqunitsError as error:
            self._journal.say(f"{whose} is not restarted: {error}; {reason}")
            return False
        self._is_refused = False
        self._journal.say(f"{whose} is restarted: {reason}")
        return True

    def _proxies(self) -> tuple[str, ...]:
        try:
            return running_routers(self._bus)
        except TqunitsError:
            return ()

    def _is_host_ending(self) -> bool:
        try:
            return self._bus.is_host_ending()
        except TqunitsError:
            return False

    def _on_change(self, _: Change) -> None:
        self._setup.notifier.status(self._status())

    def _status(self) -> str:
        """One line for `systemctl status`."""
        return summary(self._registry.records.values())

    def _sign_of_life(self) -> None:
        interval = self._setup.notifier.watchdog
        if interval:
            self._setup.notifier.alive()
            self._loop.call_later(interval, self._sign_of_life)
