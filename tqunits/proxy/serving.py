"""Which workers take requests: each has a file `serving` in its own folder, DIR/NAME/serving.
There: serve; else hold.

The worker's unit makes the file when the worker is healthy, and renames it to `leaving` before the
worker is stopped; systemd takes both away with their folder when the worker has ended. So a router
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
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.lost import Lost
from tqunits.proxy.routes.absence import Absence
from tqunits.proxy.routes.router import Router
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.system.files import is_absent, made_us
from tqunits.system.inotify import FolderWatch, FolderWatches, OnChange

LOOK_AGAIN: Final = 2.0
"""Seconds between two looks at everything, for what nobody has told."""

TURN: Final = 50
"""Workers that are looked at in one turn of the loop: less than a millisecond."""


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
        self._watches: dict[str, tuple[FolderWatch, Identity]] = {}
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
        for name in set(self._watches) - set(self._router.workers):
            self._watches.pop(name)[0].close()
        self._lost.keep_only(self._router.workers)
        self._absence.keep_only(self._router.workers)
        self._keep_traffic()
        for name in self._router.workers:
            self.look_at(name)

    def look_at(self, name: str) -> bool:
        """See whether that worker takes requests, and act by it."""
        worker = self._router.workers.get(name)
        if worker is None:
            return False
        self._absence.obey(worker)
        if not worker.endpoints:
            return False
        self._keep_watch(name)  # first, so that no change falls in between
        leaving = os.path.lexists(self._folder / name / LEAVING)
        since_us = None if leaving else made_us(self._folder / name / SERVING)
        serving = since_us is not None
        self._lost.see(name, is_lost=not leaving and not (serving and _have_sockets(worker.endpoints)))
        self._absence.see(worker, since_us=since_us)
        for endpoint in worker.endpoints:
            if endpoint.draining == serving:
                endpoint.undrain() if serving else endpoint.drain()
        return serving

    def endpoints(self, name: str) -> tuple[Endpoint, ...]:
        """Those of a worker."""
        worker = self._router.workers.get(name)
        return worker.endpoints if worker is not None else ()

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
        if name is None:
            self.look_at_all()
        elif name in self._router.workers:
            self.look_at(name)

    def _keep_watch(self, name: str) -> None:
        """Watch the folder that is there now; without one, the folder above tells when it comes."""
        folder = self._folder / name
        try:
            found = os.lstat(folder)
        except OSError:
            return
        identity = (found.st_dev, found.st_ino)
        known = self._watches.get(name)
        if self._all is None or (known is not None and known[1] == identity and known[0].alive):
            return
        if known is not None:
            known[0].close()
        try:
            watch = self._all.add(folder, partial(self._on_file, name), partial(self._on_file, name, None))
        except OSError as error:
            self._complain(folder, error)
        else:
            self._watches[name] = (watch, identity)

    def _complain(self, folder: Path, error: OSError) -> None:
        """Once: what can not be watched is looked at all the same. One that has gone, or is closed,
        is no trouble."""
        if self._has_complained or isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            return
        self._has_complained = True
        what = f"{folder} can not be watched: {error.strerror}"
        hint = "; raise fs.inotify.max_user_watches" if error.errno == errno.ENOSPC else ""
        self._complaints.say(f"{what}{hint}; what comes and goes there is seen up to {LOOK_AGAIN:g} s late", priority=4)

    def _on_file(self, name: str, file: str | None) -> None:
        if file in (None, SERVING, LEAVING):
            self.look_at(name)
            self._lost.hurry(name)  # its start has just ended, for one

    def _keep_traffic(self) -> None:
        """Watch who is stopped, and see it now."""
        place = self._absence.place
        if place is not None:
            self._traffic = self._kept(self._traffic, place.parent, self._on_traffic)
            self._absence.read()

    def _on_traffic(self, name: str | None) -> None:
        place = self._absence.place
        if place is not None and name in (None, place.name) and self._absence.read():
            for worker in self._router.workers:
                self.look_at(worker)

    def _look_again(self) -> None:
        self._watch_above()
        self._keep_traffic()
        self._take_turns(iter(tuple(self._router.workers)))

    def _take_turns(self, names: Iterator[str]) -> None:
        turn = tuple(islice(names, TURN))
        for name in turn:
            self.look_at(name)
        if turn:
            self._loop.call_soon(self._take_turns, names)
        else:
            self._lost.ask()
            self._loop.call_later(LOOK_AGAIN, self._look_again)


def _have_sockets(endpoints: Iterable[Endpoint]) -> bool:
    """Whether the files of those that listen on a Unix socket are there."""
    return not any(endpoint.address.path and is_absent(endpoint.address.path) for endpoint in endpoints)
