"""Has a change of one worker's folder take effect: other settings are applied, other sources are
deployed. One change is at most one roll.

What lies on disk is compared with what was last acted upon (watched_files.py), so it does not
matter how often, and by whom, a change is noticed. What was acted upon counts as such whatever came
of it: a build that failed is not tried again before something changes.

Settings come first, for a release is made with those that are installed. While they are refused,
the sources wait.

Whoever may write the folder causes this work. So it has a share of the time (work_meter.py): a
change that comes too soon waits, and then what lies there last counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, Protocol

from tqunits.host import source_tree, watched_tree
from tqunits.host.source_tree import Sources
from tqunits.lifecycle.own_changes import MOST, OwnChanges
from tqunits.lifecycle.work_share import OF_DEPLOYS, OF_ROOT
from tqunits.manager import faults
from tqunits.manager.folder_look import SettledFolder, WatchSubject
from tqunits.manager.watched_files import Acted, WatchedFiles, scope_of
from tqunits.manager.work_meter import WorkMeter
from tqunits.manager.worker_watch import WatchTools, WorkerWatch

SOON_US: Final = 5_000_000
"""A change so soon after the end of a roll may be the new instance's."""

_NOTHING: Final = source_tree.digest_of({})
"""Of a worker without sources."""

_WHILE_AWAY: Final = "its files have changed while the manager did not watch them"


class Acts(Protocol):
    """What is done about a change."""

    async def apply(self, worker: str, cost: WorkMeter) -> str:
        """Have its settings applied, on this meter. Returns why they are not; "" when they are."""
        ...

    def deploy(self, worker: str, message: str) -> int | None:
        """Have its sources deployed: the number of the deploy; None: it was not accepted."""

    def ended_us(self, worker: str, number: int) -> int | None:
        """When a deploy ended, in µs since 1970; None: it goes on."""

    def took_us(self, worker: str, number: int) -> int | None:
        """How long a deploy took, in µs, without what it waited for others; None: it has not
        ended."""

    def runs_from_us(self, worker: str) -> int | None:
        """When what the worker runs was read from its folder, in µs since 1970; None: nothing of it
        runs."""


class WatchedWorker:
    """A worker that is watched."""

    def __init__(
        self, subject: WatchSubject, tools: WatchTools, kept: WatchedFiles, acts: Acts, on_rest: Callable[[], None]
    ) -> None:
        """`on_rest` is called when there is nothing more to be done."""
        self.subject = subject
        self.refused = ""  # why its settings are not applied
        self._kept = kept
        self._acts = acts
        self._tools = tools
        self._say = tools.say
        self._acted = kept.load(subject.worker)
        self._found: SettledFolder | None = None
        self._on_rest = on_rest
        self._made_of: str | None = None
        self._is_acting = False
        self._task: asyncio.Task[None] | None = None
        self._number: int | None = None  # of the last deploy
        self._sources: Sources | None = None  # that were last acted upon; None: an earlier manager did
        self._before: Sources = {}  # what was last acted upon while it was watched in another way
        self._seen: Sources | None = None  # at the last change: while it is suspended, more than was acted upon
        self._own = OwnChanges()
        self.applies, self.deploys = WorkMeter(OF_ROOT), WorkMeter(OF_DEPLOYS)
        self._uncharged: list[int] = []  # deploys that have not ended yet
        self.watch = self._begun()

    @property
    def suspended(self) -> str:
        """The file for whose changes it is not replaced any more, because it may be the worker that
        writes it; "" while changes count."""
        return self._own.culprit

    @property
    def rests(self) -> bool:
        """Whether all is done about what has changed, as far as that is known."""
        return self.watch.rests and not self._is_acting

    @property
    def pause_s(self) -> float:
        """Seconds until something is done about the next change: the changes before it have caused
        too much work."""
        return max(self.applies.pause_s, self.deploys.pause_s)

    def follow(self, subject: WatchSubject, made_of: str) -> None:
        """It may be watched in another way from now on. What was begun goes on, and what it has
        caused stays on its meters. `made_of`: what tells the settings that are installed from
        others."""
        is_installed_anew, self._made_of = made_of != self._made_of, made_of
        if subject != self.subject:
            self.watch.close()
            self._keep_due(subject)
            self._before = self._sources or {}
            self.subject, self._found, self._sources = subject, None, None
            self._own = OwnChanges()
            self.watch = self._begun()
        if is_installed_anew and self.refused:
            self._ask_again()

    def close(self) -> None:
        """Watch no more. What was begun goes on."""
        self.watch.close()
        if self._task is not None:
            self._task.cancel()

    def _ask_again(self) -> None:
        """Somebody else has installed other settings: what was refused may be in effect now. What
        was wrong may have been in another file, such as a grant in tqunits.yaml."""
        if self._acted is not None and not self._is_acting:
            self._acted = replace(self._acted, settings="")
            self._act_soon()

    def _keep_due(self, subject: WatchSubject) -> None:
        """A change that is not acted upon yet stays one when other files count: the first look at
        those would take what lies there for what runs, where no file is newer than that."""
        found, acted = self._found, self._acted
        if found is None or acted is None or self.suspended or scope_of(subject.note) == acted.scope:
            return
        if found.look.digest != acted.sources:
            self._remember(replace(acted, sources=""))

    def _begun(self) -> WorkerWatch:
        had_sources = self._acted is not None and self._acted.sources not in {"", _NOTHING}
        return WorkerWatch(self.subject, self._tools, self._on_found, had_sources=had_sources)

    def _on_found(self, found: SettledFolder) -> None:
        self._found = found
        scope = scope_of(self.subject.note)
        if self._acted is None or self._acted.scope != scope:
            self._remember(self._first(found, scope))
        self._before = {}
        if self._sources is None and self._acted is not None and self._acted.sources == found.look.digest:
            self._sources = found.look.sources
        self._act_soon()

    def _first(self, found: SettledFolder, scope: str) -> Acted:
        """What counts as acted upon where nothing was, or where other files count than then: what
        lies there, unless it has changed since it was read for what runs."""
        since, acted = self._acts.runs_from_us(self.subject.worker), self._acted
        is_newer = since is not None and _newest_us(found.look.sources, self._before) > since
        is_due = is_newer or (acted is not None and not acted.sources)
        settings = found.settings if acted is None else acted.settings
        return Acted("" if is_due else found.look.digest, settings, scope)

    def _act_soon(self) -> None:
        if not self._is_acting:
            self._is_acting = True
            self._task = faults.task(self._act(), "a change of a worker's files is not acted upon")

    async def _act(self) -> None:
        try:
            await self._catch_up()
        finally:
            self._is_acting = False
        self._on_rest()

    async def _catch_up(self) -> None:
        """Act until what lies there is what was acted upon. It may change meanwhile."""
        while (found := self._found) is not None and (acted := self._acted) is not None:
            if found.settings != acted.settings:
                if not await self.applies.wait(self._tell_pause):
                    await self._apply(found, acted)
            elif found.look.digest != acted.sources and not self.refused:
                self._charge()
                if not await self.deploys.wait(self._tell_pause):
                    self._deploy(found, acted)
                    break
            else:
                break

    def _tell_pause(self, seconds: float) -> None:
        worker = self.subject.worker
        self._say(
            f"{worker}: its files change so often that the next change waits {seconds:.0f} s: "
            f"'tqunits apply {worker}' and 'tqunits deploy {worker}' wait for nothing"
        )

    def _charge(self) -> None:
        """Put the deploys on the meter that have ended."""
        took = {number: self._acts.took_us(self.subject.worker, number) for number in self._uncharged}
        self._uncharged = [number for number in self._uncharged if took[number] is None]
        for each in took.values():
            if each is not None:
                self.deploys.charge(each)

    async def _apply(self, found: SettledFolder, acted: Acted) -> None:
        worker = self.subject.worker
        self._say(f"{worker}: its worker.yaml has changed, and is applied")
        self.refused = await self._acts.apply(worker, self.applies)
        acted = self._acted or acted  # the settings may have come with another `watch`, by which was looked already
        if self.refused:
            self._say(f"{worker}: its worker.yaml is not applied, and what is installed stays: {self.refused}")
            self._acted = replace(acted, settings=found.settings)  # another manager asks once more why
        else:
            self._remember(replace(acted, settings=found.settings))

    def _deploy(self, found: SettledFolder, acted: Acted) -> None:
        worker, before, now = self.subject.worker, self._sources, found.look.sources
        if self.subject.note.may_write and self._is_its_own(now):
            return
        message = _WHILE_AWAY if before is None else watched_tree.change_in_words(before, now)
        number = self._acts.deploy(worker, message)
        if number is not None:
            self._number, self._sources = number, now
            self._uncharged.append(number)
            self._remember(replace(acted, sources=found.look.digest))

    def _is_its_own(self, now: Sources) -> bool:
        """Whether nothing is done for this change, because it may be the worker's own."""
        since, self._seen = self._seen if self.suspended else self._sources, now
        changed = () if since is None else source_tree.changed_paths(since, now)
        if self._number is not None and (changed or not self.suspended):
            self._suspect(changed, self._number)
        return bool(self.suspended)

    def _suspect(self, changed: Collection[str], number: int) -> None:
        worker, was_suspended = self.subject.worker, bool(self.suspended)
        self._own = self._own.after(changed, is_soon=was_suspended or self._is_soon(number))
        if self.suspended and not was_suspended:
            self._say(
                f"{worker} is suspended: {watched_tree.shortened(self.suspended)} has changed right after each of "
                f"the last {MOST} replacements, and the worker may write its folder; changes of it do nothing until "
                f"another file changes, and 'tqunits deploy {worker}' deploys it nevertheless"
            )

    def _is_soon(self, number: int) -> bool:
        ended = self._acts.ended_us(self.subject.worker, number)
        return ended is None or time.time_ns() // 1000 - ended < SOON_US

    def _remember(self, acted: Acted) -> None:
        self._acted = acted
        try:
            self._kept.save(self.subject.worker, acted)
        except OSError as error:
            self._say(f"{self.subject.worker}: what was done is not written down, and may be done once more: {error}")


def _newest_us(sources: Sources, known: Sources) -> int:
    """When a source was changed last, in µs since 1970; nobody can set that time. Those do not
    count that are `known` with the same content: a file that was copied over itself is new."""
    new = (each for path, each in sources.items() if path not in known or known[path].is_what != each.is_what)
    return max((max(each.modified, each.changed) for each in new), default=0) // 1000
