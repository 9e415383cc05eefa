"""Puts together all that the manager watches on disk: the folders of workers, tqunits.yaml, new
workers, and root's note of who waits for a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from tqunits.host import made_paths
from tqunits.host.installed import served_folders
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.manager.applying import Applying
from tqunits.manager.configuration_watch import ConfigurationWatch
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.few_words import FewWords
from tqunits.manager.new_workers import NewWorkers
from tqunits.manager.record import Change
from tqunits.manager.registry import Registry
from tqunits.manager.source_room import SourceRoom
from tqunits.manager.waiting_restarts import WaitingRestarts
from tqunits.manager.watch_acts import WatchActs
from tqunits.manager.watch_desk import WatchDesk
from tqunits.manager.worker_watch import WatchTools
from tqunits.system.bus import Bus
from tqunits.system.inotify import FolderWatches
from tqunits.system.mount_bell import MountBell
from tqunits.system.tree_watch import TreeWatches

RETRY_S: Final = 1.0
"""Until a worker is looked at again that waits for a restart, and is being deployed."""

REMOTE_THREADS: Final = 4
"""For folders of other hosts, and for each first look: so many may hang, and others go on."""

EVENTS_LOST: Final = (
    "more has changed at once than the kernel's queue of events holds (fs.inotify.max_queued_events): "
    "all watched folders are looked at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOrders:
    """What tqunits.yaml says of the host, as the manager's command line has it."""

    workers: Path  # the folder of the workers' folders
    takes_new: bool  # a new folder there is installed
    applies_configuration: bool  # a change of tqunits.yaml is applied


class Watching:
    """All watches. Its methods run on the event loop."""

    def __init__(
        self,
        bus: Bus,
        layout: Layout,
        registry: Registry,
        deploys: Deploys,
        orders: WatchOrders,
        say: Callable[[str], None],
    ) -> None:
        """Raises OSError when the user has no inotify instance left."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._layout = layout
        self._registry = registry
        overflow = partial(FewWords(say).say, EVENTS_LOST)
        self._trees, self._folders = TreeWatches(loop, on_overflow=overflow), FolderWatches(loop)
        threads = {"watch": 1, "slow": 1, "remote": REMOTE_THREADS, "new": 1}
        self._threads = [ThreadPoolExecutor(most, thread_name_prefix=each) for each, most in threads.items()]
        tools = WatchTools(
            trees=self._trees,
            local=self._threads[0],
            slow=self._threads[1],
            remote=self._threads[2],
            results=partial(made_paths.read, layout=layout),
            say=say,
            room=SourceRoom(),
        )
        applying = Applying(bus, layout)
        acts = WatchActs(deploys, applying, registry, layout, say)
        self.desk = WatchDesk(registry, acts, layout, tools, self._look)
        self._waiting = WaitingRestarts(registry, acts, layout, say)
        self._retry: asyncio.TimerHandle | None = None
        self._state = self._folders.add(Path(layout.state), self._on_state)
        self._mounts = MountBell(loop, self._on_mount)
        everything = partial(applying.apply, None)
        self._configuration = (
            ConfigurationWatch(layout, self._folders, self._trees, everything, say)
            if orders.applies_configuration
            else None
        )
        new = self._threads[3]  # whoever may make folders holds up no look at those who are installed
        of_new = replace(tools, local=new, slow=new, remote=new)
        self._new = NewWorkers(orders.workers, self._folders, of_new, everything) if orders.takes_new else None
        self._waiting.read()

    def follow(self) -> None:
        """Other workers may be installed than before, or watched in another way."""
        self.desk.follow()
        if self._new is not None:
            self._new.follow({*(whose.worker for whose in self._registry.records), *served_folders(self._layout)})
        self._look()

    @property
    def unapplied(self) -> str:
        """Why tqunits.yaml, as it is, is not applied by itself; "" where it is."""
        return self._configuration.unapplied() if self._configuration is not None else ""

    def on_change(self, _: Change) -> None:
        """The state of an instance has changed: its worker may be free for a restart."""
        self._look()

    def close(self) -> None:
        """Watch no more."""
        for each in (self._configuration, self._new, self.desk, self._mounts, self._trees, self._folders):
            if each is not None:
                each.close()
        if self._retry is not None:
            self._retry.cancel()
        for thread in self._threads:
            thread.shutdown(wait=False, cancel_futures=True)

    def _on_state(self, name: str | None) -> None:
        """A file of root's has changed."""
        if name in {None, self._layout.ledger.name}:
            self.desk.follow()
        if name in {None, self._layout.waiting.name}:
            self._waiting.read()
            self._look()

    def _on_mount(self) -> None:
        """Each path may lead to another file system."""
        self.desk.look_again()
        if self._configuration is not None:
            self._configuration.look_soon()
        if self._new is not None:
            self._new.look_again()

    def _look(self) -> None:
        """Have those restarted who wait for it, once they are not being deployed."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._waiting.look(self.desk.workers, self.desk.acting):
            self._retry = self._loop.call_later(RETRY_S, self._look)
