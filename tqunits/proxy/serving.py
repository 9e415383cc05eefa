"""Which workers take requests: each instance has a file `serving` in a folder of its own,
DIR/api/serving and DIR/api:2/serving. There: serve; else hold, or leave it to the worker's others.

An instance's unit makes the file when it is healthy, and renames it to `leaving` before it is
stopped; systemd takes both away with their folder when the worker has ended. So a router
that starts at any moment knows as well, and requests wait through a crash. Whoever may write to the
folder decides for that worker alone. What is in a file, and what kind of file it is, does not
matter: it is never opened.

Neither file: the worker does not run, or has not got healthy yet, or somebody has removed `serving`
from one that runs. Only systemd knows which, so it is asked by way of proxy/lost.py.

What tells that a file came or went: inotify, a question at the leave socket (leaving.py), and a
look every LOOK_AGAIN seconds. A mount over a folder is not told by inotify, so each look asks
whether the folder is still the one that is watched. A folder that can not be entered is that of a
worker whose unit is of an older release: it is served.
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
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.system.files import is_absent, made_us
from tqunits.system.inotify import FolderWatch, FolderWatches, OnChange
from tqunits.units.name import instance as read_instance

LOOK_AGAIN: Final = 2.0
"""Seconds between two looks at everything, for what nobody has told."""

TURN: Final = 50
"""Instances that are looked at in one turn of the loop: less than a millisecond."""


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
        """`watches`: None where nothing can be watched; then a look is all there is."""
        self._folder = folder
        self._router = router
        self._all = watches
        self._loop = loop
        self._watches: dict[Instance, tuple[FolderWatch, Identity]] = {}
        self._above: FolderWatch | None = None
        self._traffic: FolderWatch | None = None
        self._complaints = complaints
        self._lost = lost
        self._absence = absence
        self._has_complained = False

    def start(self) -> None:
        """Look at all workers now, and again and again."""
        self.look_at_all()
        self._loop.call_later(LOOK_AGAIN, self._look_again)

    def look_at_all(self) -> None:
        """The routes may be new, and with them workers and endpoints."""
        self._watch_above()
        here = self._instances()
        for gone in self._watches.keys() - here:
            self._watches.pop(gone)[0].close()
        self._lost.keep_only({str(instance) for instance in here})
        self._absence.keep_only(self._router.workers, here)
        self._keep_traffic()
        self._look_at_these(here)

    def look_at(self, instance: Instance) -> bool:
        """See whether that one takes requests, and act by it."""
        worker = self._router.workers.get(instance.worker)
        if worker is None:
            return False
        self._absence.obey(worker)
        endpoint = self.endpoint(instance)
        if endpoint is None:
            return False
        self._keep_watch(instance)  # first, so that no change falls in between
        folder = self._folder / str(instance)
        leaving = os.path.lexists(folder / LEAVING)
        since_us = None if leaving else made_us(folder / SERVING)
        serving = since_us is not None
        self._lost.see(str(instance), is_lost=not leaving and not (serving and _has_socket(endpoint)))
        self._absence.see(worker, instance, since_us=since_us)
        takes = serving and not self._absence.is_drained(instance)
        if endpoint.draining == takes:
            endpoint.undrain() if takes else endpoint.drain()
        return serving

    def endpoint(self, instance: Instance) -> Endpoint | None:
        """Where that one listens; None: it is in no route."""
        worker = self._router.workers.get(instance.worker)
        if worker is None or instance.number > len(worker.endpoints):
            return None
        return worker.endpoints[instance.number - 1]

    def _instances(self) -> set[Instance]:
        """All that are in a route; of a worker that is files alone, the first is there to be
        ordered."""
        workers = self._router.workers.values()
        return {one for worker in workers for one in instances_of(worker.name, max(1, len(worker.endpoints)))}

    def _look_at_these(self, these: Iterable[Instance]) -> None:
        for instance in these:
            self.look_at(instance)

    def _watch_above(self) -> None:
        """Folders of workers that come; a mount over one does not show here."""
        self._above = self._kept(self._above, self._folder, self._on_folder)

    def _kept(self, watch: FolderWatch | None, folder: Path, on_change: OnChange) -> FolderWatch | None:
        """The watch over a folder, anew where it has ended; what can not be watched is looked at
        all the same."""
        if self._all is None or (watch is not None and watch.alive):
            return watch
        with contextlib.suppress(OSError):
            return self._all.add(folder, on_change)
        return None

    def _on_folder(self, name: str | None) -> None:
        found = None if name is None else read_instance(name)
        if name is None:
            self.look_at_all()
        elif found is not None:
            self.look_at(found)

    def _keep_watch(self, instance: Instance) -> None:
        """Watch the folder that is there now; without one, the folder above tells when it comes."""
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
        """Once: what can not be watched is looked at all the same. One that has gone, or is closed,
        is no trouble."""
        if self._has_complained or isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            return
        self._has_complained = True
        what = f"{folder} can not be watched: {error.strerror}"
        hint = "; raise fs.inotify.max_user_watches" if error.errno == errno.ENOSPC else ""
        self._complaints.say(f"{what}{hint}; what comes and goes there is seen up to {LOOK_AGAIN:g} s late", priority=4)

    def _on_file(self, instance: Instance, file: str | None) -> None:
        if file in (None, SERVING, LEAVING):
            self.look_at(instance)
            self._lost.hurry(str(instance))  # its start has just ended, for one

    def _keep_traffic(self) -> None:
        """Watch who is stopped, and see it now."""
        place = self._absence.place
        if place is not None:
            self._traffic = self._kept(self._traffic, place.parent, self._on_traffic)
            self._absence.read()

    def _on_traffic(self, name: str | None) -> None:
        place = self._absence.place
        if place is not None and name in (None, place.name) and self._absence.read():
            self._look_at_these(self._instances())

    def _look_again(self) -> None:
        self._watch_above()
        self._keep_traffic()
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
    """Whether its file is there, if it listens on a Unix socket."""
    return not endpoint.address.path or not is_absent(endpoint.address.path)
