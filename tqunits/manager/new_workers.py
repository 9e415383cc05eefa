"""Has new workers installed: folders below workers.directory that have a worker.yaml and are not
installed yet.

Such a folder is watched like a worker's (worker_watch.py), and installed when nothing in it changes
any more: a clone or an upload is whole then. Until it has its worker.yaml, only the way to that is
watched. The directory of all of them may be a link, be replaced, or be mounted later. What is
refused, or does not build, is tried again when something in its folder has changed, with growing
pauses, because each try is a run of root's, and whoever may write the folder can cause it. All
tries together have their share of root's time.

Whoever may make folders there can make and remove them for ever, and a folder that is made anew
remembers nothing. So all of them together have one bound on lines in the journal, and one on what
is remembered of their files: those who are installed do not suffer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

from tqunits.layout import WORKER_YAML
from tqunits.lifecycle.work_share import OF_ROOT
from tqunits.manager import faults
from tqunits.manager.few_words import FewWords
from tqunits.manager.folder_look import SettledFolder, WatchSubject
from tqunits.manager.seldom import Seldom
from tqunits.manager.source_room import SourceRoom
from tqunits.manager.work_meter import WorkMeter
from tqunits.manager.worker_watch import WatchTools, WorkerWatch
from tqunits.system import closed_folders
from tqunits.system.inotify import FolderWatch, FolderWatches
from tqunits.system.path_watch import WatchedPath
from tqunits.units import name
from tqunits.units.watch_note import WatchNote

MOST: Final = 100
"""Folders that are watched although no worker of theirs is installed. Further ones wait until one
of these is installed or gone."""

NOTE: Final = WatchNote(paths=(".",), ignore=(), without=(), debounce=500_000, max_wait=30_000_000, may_write=False)
"""How a folder is watched whose worker.yaml nobody has read yet. Its files may still arrive."""

MOST_NAMES: Final = 10_000
"""Names that are read in the folder of the workers: five times the workers that a host can have."""

MOST_FILES: Final = 100_000
"""Files of all of them that are remembered, as many as a look takes; 50 MB (source_room.py)."""

FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 300.0
"""Between two tries of one folder. Each one is twice as long as the one before."""

ApplyAll = Callable[[WorkMeter], Awaitable[str]]
"""Has root apply all of the configuration, on this meter. Returns why something is not applied."""


class NewFolder:
    """One folder that may become a worker."""

    def __init__(self, folder: Path, tools: WatchTools, try_it: Callable[[], None], *, was_left: bool) -> None:
        """`was_left`: its worker was uninstalled, so as it lies there now it is not wanted."""
        self._folder = folder
        self._tools = tools
        self._try_it = try_it
        self._loop = asyncio.get_running_loop()
        self._watch: WorkerWatch | None = None
        self._looks = Seldom(self._look)
        self._way = WatchedPath(tools.trees, folder / WORKER_YAML, self.look_again)
        self._tried = ""
        self._pause = FIRST_PAUSE_S
        self._not_before = 0.0
        self._was_left = was_left
        self._is_told = False  # that it is closed
        self._timer: asyncio.TimerHandle | None = None
        self._looks.now()

    def close(self) -> None:
        """Watch it no more."""
        self._looks.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.close()
        self._way.close()

    def look_again(self) -> None:
        """What lies there may have changed."""
        self._looks.ask()

    def _look(self) -> None:
        """Wait for its worker.yaml, and then for its end of changing. A watch that goes on counts
        its events: it is not begun anew."""
        if self._watch is not None:
            return
        with suppress(OSError):  # no watch is left: it is looked at again after a while
            self._way.watch()
        if self._has_yaml():
            self._way.close()
            subject = WatchSubject(worker=self._folder.name, source=str(self._folder / WORKER_YAML), note=NOTE)
            self._watch = WorkerWatch(subject, self._tools, self._on_found)

    def _has_yaml(self) -> bool:
        yaml = self._folder / WORKER_YAML
        try:
            yaml.stat()
        except PermissionError:
            if not self._is_told:
                self._is_told = True
                self._tools.say(
                    f"{self._folder.name} is not looked at: {closed_folders.refusal(yaml.parent).in_one_line}"
                )
            return False
        except OSError:
            return False
        return True

    def _on_found(self, found: SettledFolder) -> None:
        what = f"{found.look.digest} {found.settings}"
        if self._was_left:
            self._was_left, self._tried = False, what
        if what == self._tried:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(max(self._loop.time(), self._not_before), self._try, what)

    def _try(self, what: str) -> None:
        self._tried = what
        self._not_before = self._loop.time() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
        self._try_it()


class NewWorkers:
    """The folders that may become workers."""

    def __init__(self, directory: Path, folders: FolderWatches, tools: WatchTools, apply: ApplyAll) -> None:
        self._directory = directory
        self._folders = folders
        self._say = tools.say
        self._tools = replace(tools, say=FewWords(tools.say).say, room=SourceRoom(MOST_FILES))  # for all folders
        self._apply = apply
        self._loop = asyncio.get_running_loop()
        self._installed: Collection[str] = ()
        self._new: dict[str, NewFolder] = {}
        self._way = WatchedPath(tools.trees, directory, self.look_again)
        self._watch: FolderWatch | None = None
        self._is_other = True  # than the directory that is watched, perhaps
        self._task: asyncio.Task[None] | None = None
        self._is_asked = False  # for a run of root's that has not begun yet
        self._is_full = False
        self._trouble = ""  # why nothing new is noticed
        self.cost = WorkMeter(OF_ROOT)  # of all of them: a folder can be made anew
        self._left: Collection[str] = ()  # of workers that have just been uninstalled
        self._looks = Seldom(self._look)

    def follow(self, installed: Collection[str]) -> None:
        """These workers are installed."""
        self._left, self._installed = set(self._installed) - set(installed), installed
        self._looks.now()

    def look_again(self) -> None:
        """The directory may be another one than before, or what lies there may have changed."""
        self._is_other = True
        self._looks.ask()
        for each in self._new.values():
            each.look_again()

    def close(self) -> None:
        """Watch no more. A run of root's goes on."""
        self._looks.close()
        for each in (self._watch, self._way, *self._new.values()):
            if each is not None:
                each.close()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        """Which folders there are."""
        left, self._left = self._left, ()
        self._watch_directory()
        here = self._candidates()
        for gone in self._new.keys() - here:
            self._new.pop(gone).close()
        self._tell_full(is_full=len(here) > MOST)
        for each in sorted(here - self._new.keys())[: MOST - len(self._new)]:
            folder = self._directory / each
            self._new[each] = NewFolder(folder, self._tools, self._ask, was_left=each in left)

    def _watch_directory(self) -> None:
        """A watch that goes on counts its events: it is not begun anew."""
        before = self._watch
        if before is not None and before.alive and not self._way.is_too_busy and not self._is_other:
            return
        self._is_other = False
        try:
            self._way.watch()
            self._watch = self._folders.add(Path(os.path.realpath(self._directory)), self._looks.ask, self.look_again)
        except OSError as error:
            self._tell_trouble(error.strerror or str(error))
        else:
            self._trouble = ""
        if before is not None and before is not self._watch:
            before.close()

    def _tell_trouble(self, why: str) -> None:
        """Once: each install has it looked at anew, and whoever may move it can do so for ever."""
        if why != self._trouble:
            self._tools.say(f"new workers in {self._directory} are not noticed: {why}")
        self._trouble = why

    def _tell_full(self, *, is_full: bool) -> None:
        if is_full and not self._is_full:
            self._tools.say(
                f"{self._directory} has more than {MOST} folders that are no workers, and not all are looked at: "
                "'tqunits apply' installs those that can be; move the others away"
            )
        self._is_full = is_full

    def _candidates(self) -> set[str]:
        try:
            with os.scandir(self._directory) as found:
                first = islice(found, MOST_NAMES)
                names = {each.name for each in first if name.is_worker_name(each.name) and each.is_dir()}
        except OSError:
            return set()
        return names - set(self._installed)

    def _ask(self) -> None:
        """Several that are new at once are one run."""
        self._is_asked = True
        if self._task is None or self._task.done():
            self._task = faults.task(self._run(), "new workers are not installed")

    async def _run(self) -> None:
        while self._is_asked:
            await self.cost.wait(self._tell_pause)
            self._is_asked = False
            self._say(f"there is something new in {self._directory}, and it is installed if it can be")
            refused = await self._apply(self.cost)
            if refused:
                self._say(f"not all of it is installed: {refused}")

    def _tell_pause(self, seconds: float) -> None:
        self._say(
            f"{self._directory} has had something new so often that the next run waits {seconds:.0f} s: "
            "'tqunits apply' does it now"
        )
