"""Which workers take requests: each instance has a file `serving` in a folder of its own,
DIR/api/serving and DIR/api:2/serving. If the file exists, the instance gets requests. Otherwise
they go to the worker's other instances, or wait.

An instance's unit makes the file when the instance is healthy, and renames it to `leaving` before
the stop. systemd removes both with their folder when the worker has ended. So a router that has
just started knows the state too, and requests wait during a crash. A program that may write to the
folder decides for that worker only. Whether requests are sent does not depend on the content and
the type of the file. A release that it names is for the access log (served_releases.py).

If neither file exists, the worker does not run, is not healthy yet, or runs and somebody has
removed `serving`. Only systemd knows which, so it is asked through proxy/lost.py. It is not asked
about a surge (model.Worker.surge), which hardly ever runs.

The router looks at a file after an inotify event, after a question at the leave socket
(leaving.py), and every LOOK_AGAIN seconds. inotify does not report a mount over a folder, so each
look checks whether the folder is still the watched one. A folder that can not be entered belongs to
a worker with a unit of an older release: it gets requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from tqunits.layout import LEAVING, SERVING
from tqunits.model import Instance, instances_of
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.lost import Lost
from tqunits.proxy.routes.absence import Absence
from tqunits.proxy.routes.router import Router
from tqunits.proxy.served_releases import ServedReleases
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.system.files import is_absent, made_us
from tqunits.system.inotify import FolderWatch, FolderWatches, OnChange, OnGone, ignored
from tqunits.units.name import instance as read_instance

LOOK_AGAIN: Final = 2.0
"""Seconds between two looks at everything, for changes that no event has reported."""

TURN: Final = 50
"""Instances that are looked at in one turn of the loop, which takes less than a millisecond."""


Identity = tuple[int, int]


class ServingFiles:
    """The folders of all workers in the routes, as they were last seen."""

    def __init__(
        self,
        folder: Path,
        router: Router,
        watches: FolderWatches | None,
        loop: asyncio.AbstractEventLoop,
        complaints: Complaints,
        lost: Lost,
        absence: Absence,
    ) -> None:
        """`watches`: None when nothing can be watched; then the router only looks from time to
        time."""
        self._folder = folder
        self._router = router
        self._all = watches
        self._loop = loop
        self._watches: dict[Instance, tuple[FolderWatch, Identity]] = {}
        self._above: FolderWatch | None = None
        self._shared: dict[Path, FolderWatch | None] = {}  # the folders of files about all workers
        self._complaints = complaints
        self._lost = lost
        self._absence = absence
        self._releases = ServedReleases()
        self._has_complained = False

    def start(self) -> None:
        """Look at all workers now and regularly."""
        self.look_at_all()
        self._loop.call_later(LOOK_AGAIN, self._look_again)

    def look_at_all(self) -> None:
        """Look at all workers. The routes may be new, and with them workers and endpoints."""
        self._watch_above()
        here = self._instances()
        for gone in self._watches.keys() - here:
            self._watches.pop(gone)[0].close()
        self._lost.keep_only({str(instance) for instance in here})
        self._absence.keep_only(self._router.workers, here)
        self._releases.keep_only(here)
        self._keep_shared()
        self._look_at_these(here)

    def look_at(self, instance: Instance) -> bool:
        """Look whether that instance takes requests, and apply the result."""
        worker = self._router.workers.get(instance.worker)
        if worker is None:
            return False
        self._absence.obey(worker)
        endpoint = self.endpoint(instance)
        if endpoint is None:
            return False
        self._keep_watch(instance)  # first, so that no change is missed in between
        folder = self._folder / str(instance)
        leaving = os.path.lexists(folder / LEAVING)
        since_us = None if leaving else made_us(folder / SERVING)
        serving = since_us is not None
        is_due = serving or not worker.is_surge(instance.number)  # nobody misses a surge that does not run
        self._lost.see(str(instance), is_lost=is_due and not leaving and not (serving and _has_socket(endpoint)))
        self._absence.see(worker, instance, since_us=since_us)
        if serving:  # before the first request may come
            endpoint.release = self._releases.of(instance, folder / SERVING)
        takes = serving and not self._absence.is_out(instance)
        if endpoint.draining == takes:
            endpoint.undrain() if takes else endpoint.drain()
        return serving

    def endpoint(self, instance: Instance) -> Endpoint | None:
        """The endpoint of an instance; None: it is in no route."""
        worker = self._router.workers.get(instance.worker)
        if worker is None or instance.number > len(worker.endpoints):
            return None
        return worker.endpoints[instance.number - 1]

    def _instances(self) -> set[Instance]:
        """All instances that are in a route. A worker of static files only counts with its first
        instance, because orders can be about it."""
        workers = self._router.workers.values()
        return {one for worker in workers for one in instances_of(worker.name, max(1, len(worker.endpoints)))}

    def _look_at_these(self, these: Iterable[Instance]) -> None:
        for instance in these:
            self.look_at(instance)

    def _watch_above(self) -> None:
        """Watch the folder above, for new workers' folders. It does not report a mount over one."""
        self._above = self._kept(self._above, self._folder, self._on_folder)

    def _kept(
        self, watch: FolderWatch | None, folder: Path, on_change: OnChange, on_gone: OnGone = ignored
    ) -> FolderWatch | None:
        """The watch over a folder; made anew if it has ended. A folder that can not be watched is
        looked at regularly."""
        if self._all is None or (watch is not None and watch.alive):
            return watch
        with contextlib.suppress(OSError):
            return self._all.add(folder, on_change, on_gone)
        return None

    def _on_folder(self, name: str | None) -> None:
        found = None if name is None else read_instance(name)
        if name is None:
            self.look_at_all()
        elif found is not None:
            self.look_at(found)

    def _keep_watch(self, instance: Instance) -> None:
        """Watch the instance's present folder. Without one the folder above reports a new one."""
        folder = self._folder / str(instance)
        try:
            found = os.lstat(folder)
        except OSError:
            return
        identity = (found.st_dev, found.st_ino)
        known = self._watches.get(instance)
        if self._all is None or (known is not None and known[1] == identity and known[0].alive):
            return
        if known is not None:
            known[0].close()
        try:
            watch = self._all.add(folder, partial(self._on_file, instance), partial(self._on_file, instance, None))
        except OSError as error:
            self._complain(folder, error)
        else:
            self._watches[instance] = (watch, identity)

    def _complain(self, folder: Path, error: OSError) -> None:
        """Report once that a folder can not be watched. A missing or closed folder is no error."""
        if self._has_complained or isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            return
        self._has_complained = True
        what = f"{folder} can not be watched: {error.strerror}"
        hint = "; raise fs.inotify.max_user_watches" if error.errno == errno.ENOSPC else ""
        self._complaints.say(f"{what}{hint}; what comes and goes there is seen up to {LOOK_AGAIN:g} s late", priority=4)

    def _on_file(self, instance: Instance, file: str | None) -> None:
        if file in (None, SERVING, LEAVING):
            self.look_at(instance)
            self._lost.hurry(str(instance))  # its start may have just ended

    def _keep_shared(self) -> bool:
        """Watch the folders of the files about all workers, and read these; returns whether one has
        changed. The manager's folder comes and goes with the manager."""
        for folder in {place.parent for place in self._absence.places}:
            self._shared[folder] = self._kept(self._shared.get(folder), folder, self._on_shared, self._read_shared)
        return self._absence.read()

    def _on_shared(self, name: str | None) -> None:
        if name is None or any(name in {place.name, place.parent.name} for place in self._absence.places):
            self._read_shared()

    def _read_shared(self) -> None:
        """One of these files, or its folder, has come, changed or gone."""
        if self._keep_shared():
            self._look_at_these(self._instances())

    def _look_again(self) -> None:
        self._watch_above()
        self._keep_shared()
        self._take_turns(iter(self._instances()))

    def _take_turns(self, these: Iterator[Instance]) -> None:
        turn = tuple(islice(these, TURN))
        self._look_at_these(turn)
        if turn:
            self._loop.call_soon(self._take_turns, these)
        else:
            self._lost.ask()
            self._loop.call_later(LOOK_AGAIN, self._look_again)


def _has_socket(endpoint: Endpoint) -> bool:
    """Whether the file of its Unix socket exists, if it has one."""
    return not endpoint.address.path or not is_absent(endpoint.address.path)
