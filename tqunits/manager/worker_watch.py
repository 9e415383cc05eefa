"""Watches the folder of one worker, and tells what lies there, each time that it may have changed
and is quiet again.

An event of the kernel says no more than "look". What is true is found by a look at all of the
folder, in a thread (folder_look.py). So lost events, an overflow, and a folder that was away
do no harm: the next look finds everything. Where the kernel tells nothing (another host's file
system, no watch left) it is looked again and again, and this is said.

A folder that is gone or has become empty, a worker.yaml that is gone, and what can not be read are
never told as what lies there: a disk may be missing, and a checkout may be running.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from enum import StrEnum
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.lifecycle.settling import REST, LastLook, Unrest, look_at, may_put_off
from tqunits.lifecycle.work_share import OF_FLOODS, OF_QUESTIONS
from tqunits.light_dataclass import dataclass
from tqunits.manager.few_words import FewWords
from tqunits.manager.folder_look import FolderLook, SettledFolder, WatchSubject
from tqunits.manager.source_room import SourceRoom
from tqunits.manager.work_meter import WorkMeter
from tqunits.printable import printable
from tqunits.system.path_watch import WatchedPath
from tqunits.system.tree_watch import MAX_RATE, TreeWatches

SLOW_US: Final = 1_000_000
"""µs of a CPU: a look that takes more is a slow one. One at 20 000 files takes a fifth of that."""

CHECKOUT_S: Final = 0.1
"""Between two looks whether git has ended."""

MOST_WHY: Final = 500
"""Characters of a reason, which may name paths."""

POLL_S: Final = 2.0
"""Between two looks where the kernel tells nothing; more where a look takes long (settling.py)."""


class WatchState(StrEnum):
    """How a watch stands."""

    BEGINS = "begins"  # its first look is not finished
    WATCHES = "watches"  # the kernel tells of changes
    POLLS = "polls"  # the kernel does not: it is looked again and again
    BROKEN = "broken"  # nothing can be told of what lies there; it is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTools:
    """What all watches of a manager share."""

    trees: TreeWatches
    local: Executor  # for looks
    slow: Executor  # for the looks of those of which one has taken long
    remote: Executor  # for those that another host may hold up
    results: Callable[[str], Collection[str]]  # of a worker: paths in its folder that its builds have made
    say: Callable[[str], None]
    room: SourceRoom  # for what is known of sources


class WorkerWatch:
    """The watch of one worker. Its methods run on the event loop."""

    def __init__(
        self,
        subject: WatchSubject,
        tools: WatchTools,
        on_found: Callable[[SettledFolder], None],
        *,
        had_sources: bool = False,
    ) -> None:
        """`had_sources`: whether there were some when an earlier watch looked."""
        self.subject = subject
        self.why = ""  # why it polls, or is broken
        self.last_event_us: int | None = None  # µs since 1970
        self.last_path: str | None = None  # that this event was about
        self.held_since: int | None = None  # µs; the first look that was put off, because git is at work
        self._tools = tools
        self._on_found = on_found
        self._loop = asyncio.get_running_loop()
        self._tree = tools.trees.tree(self._on_event)
        self._ways = [WatchedPath(tools.trees, each, self.look_again) for each in subject.settings]
        self._found: SettledFolder | None = None
        self._had_sources = had_sources
        self._unrest: Unrest | None = None
        self._last: LastLook | None = None
        self._is_broken = False
        self._is_remote = True  # until it was looked at
        self._is_slow = False
        self._questions, self.floods = WorkMeter(OF_QUESTIONS), WorkMeter(OF_FLOODS)
        self._words = FewWords(tools.say)
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.look_again()

    @property
    def folders(self) -> int:
        """How many folders the kernel watches."""
        return self._tree.folders

    @property
    def state(self) -> WatchState:
        """How it stands."""
        if self._is_broken:
            return WatchState.BROKEN
        if self._found is None:
            return WatchState.BEGINS
        return WatchState.POLLS if self.why else WatchState.WATCHES

    @property
    def rests(self) -> bool:
        """Whether nothing has happened since it was told what lies there."""
        return self._unrest is None and self._task is None

    def close(self) -> None:
        """Watch no more."""
        for each in (self._timer, self._task):
            if each is not None:
                each.cancel()
        self._tree.close()
        for way in self._ways:
            way.close()
        self._tools.room.leave(self)

    def look_again(self) -> None:
        """Something may have changed."""
        self._on_event(None)

    def _on_event(self, path: str | None) -> None:
        if path is not None:
            if self._found is not None and not self.subject.is_setting(path) and self._is_ignored(path, self._found):
                return
            self.last_event_us, self.last_path = time.time_ns() // 1000, path
        now = _now()
        self._unrest = Unrest(self._unrest.first if self._unrest is not None else now, now)
        self._arm()

    def _is_ignored(self, path: str, found: SettledFolder) -> bool:
        """Not if it counts as a file, or as a folder: an event does not tell which it is.

        A question may take long, for its texts are a stranger's. Who asks too much is looked at
        instead: that is done in a thread, and has a bound.
        """
        if self._questions.pause_s:
            return False
        begin = time.thread_time_ns()
        is_ignored = all(found.look.rules.is_ignored(path, is_folder=each) for each in (False, True))
        self._questions.charge((time.thread_time_ns() - begin) // 1000)
        return is_ignored

    def _arm(self) -> None:
        """Look when it is time. A look that goes on is followed by another one."""
        if self._unrest is None or (self._task is not None and not self._task.done()):
            return
        note = self.subject.note
        due = look_at(self._unrest, self._last, debounce=note.debounce, max_wait=note.max_wait)
        pause = self.floods.pause_s
        if pause:
            self._tell_trouble(f"more than {MAX_RATE} changes in a second, again and again", is_broken=False)
        self._later(max((due - _now()) / 1e6, pause))

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, seconds), self._begin)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._look())
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        """Look again where the kernel does not say when, and if something has changed meanwhile."""
        if task.cancelled():
            return
        if (fault := task.exception()) is not None:  # else nothing would ever be noticed again
            self._loop.call_exception_handler({"message": "a watch has met a fault of tqunits", "exception": fault})
            self._tell_trouble(f"tqunits has a fault: {fault!r}", is_broken=True)
        if self.why and self._unrest is None:
            self._timer = self._loop.call_later(POLL_S, self.look_again)
        self._task = None
        self._arm()

    async def _look(self) -> None:
        begun, self._unrest = self._unrest, None
        if self._tree.is_too_busy or any(way.is_too_busy for way in self._ways):
            self.floods.charge(0)
        tree, ways = self._tree.begin_look(), [(each, each.begin_look()) for each in self._ways]
        known = self._found.look.sources if self._found is not None else {}
        may_wait = may_put_off(self.held_since, _now())
        looking = FolderLook(self.subject, known, self._tools.results, tree, ways, may_wait=may_wait)
        try:
            found = await self._loop.run_in_executor(self._thread(), looking.perform)
        except (TqunitsError, OSError) as error:
            self.held_since = None
            self._fail(error)
        else:
            if found is None:
                self._unrest = Unrest(_now(), _now())
                self.held_since = self.held_since or _now()
                await asyncio.sleep(CHECKOUT_S)
                return
            self.held_since = None
            for renewal in (tree, *(each for _, each in ways)):
                renewal.end()
            if not self._saw_half(begun, looking.took):
                self._succeed(found)
        finally:
            self._last = LastLook(took=looking.took, ended=_now())
            self._is_slow = self._is_slow or looking.took > SLOW_US

    def _thread(self) -> Executor:
        """Who was slow once waits for others that were, and not the others for him."""
        if self._is_remote:
            return self._tools.remote
        return self._tools.slow if self._is_slow else self._tools.local

    def _saw_half(self, begun: Unrest | None, took: int) -> bool:
        """Whether something has changed during the look, so that it may have seen the first files
        of a change only, and there is time for another look."""
        if begun is None or self._unrest is None or _now() + REST * took > begun.first + self.subject.note.max_wait:
            return False
        self._unrest = Unrest(begun.first, self._unrest.last)
        return True

    def _fail(self, error: Exception) -> None:
        self._tell_trouble(error.in_one_line if isinstance(error, TqunitsError) else str(error), is_broken=True)

    def _succeed(self, found: SettledFolder) -> None:
        if self._had_sources and not found.look.sources:
            self._tell_trouble("its folder has become empty, and what runs stays", is_broken=True)
            return
        self._is_remote = found.is_remote
        try:
            self._tools.room.take(self, found.look.rows)
        except TqunitsError as error:
            self._fail(error)
            return
        self._found, self._had_sources = found, bool(found.look.sources)
        self._tell_trouble(found.unwatched, is_broken=False)
        self._on_found(found)

    def _tell_trouble(self, why: str, *, is_broken: bool) -> None:
        """Say once what is the matter, and when it is over. Whoever may write the folder can have
        it begin and end for ever."""
        worker, why = self.subject.worker, printable(why[:MOST_WHY])[:MOST_WHY]
        if why and why != self.why:
            what = "changes of its files are not noticed" if is_broken else "its folder is looked at every few seconds"
            self._words.say(f"{worker}: {what}: {why}")
        elif self.why and not why:
            self._words.say(f"{worker}: changes of its files are noticed again")
        self.why, self._is_broken = why, is_broken


def _now() -> int:
    """µs, of the event loop's clock."""
    return time.monotonic_ns() // 1000
