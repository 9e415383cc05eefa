"""Accepts deploys, rollbacks, builds and restarts, and carries them out: one at a time for each
worker, as many workers at once as `manager.max_parallel_rolls` says, one build at a time on the
host.

What is asked for is written down before it is answered. The newest wins: one that waits for its
worker's turn is superseded by the next (lifecycle/deploy_rules.py). A manager that was killed goes
on with what it finds unfinished; every step can be taken twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Final

from tqunits.control.deploy_protocol import DeployOrder, Pruned
from tqunits.control.protocol import Problem
from tqunits.errors import TimedOut, TqunitsError
from tqunits.host import release_links, release_manifests
from tqunits.lifecycle.deploy_rules import MOST_KEPT, joined, superseded
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord
from tqunits.lifecycle.release import FOLDER, BuildRequest, HarvestResult, is_release_id
from tqunits.lifecycle.way_back import ways_back
from tqunits.manager.announcements import Announcements
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.deploy_sentences import left_out, told, unprunable, waits_for
from tqunits.manager.files_switch import FilesSwitch
from tqunits.manager.folder_deploy import FolderDeploy, no_release
from tqunits.manager.hands import Hands
from tqunits.manager.harvests import DeployFailed
from tqunits.manager.release_goal import ReleaseGoal
from tqunits.manager.restart_goal import RestartGoal
from tqunits.manager.roll import Goal, Roll, Say

_FAULT_HINT: Final = "'journalctl -u tq-manager' has where; what an instance runs, 'tqunits ls' shows"


class Deploys:
    """The deploys of the host. Its methods run on the event loop."""

    def __init__(self, hands: Hands, log: DeployLog, journal: Announcements, *, rolls: int) -> None:
        """`rolls`: workers that are replaced at once."""
        self.log = log
        self._hands = hands
        self._journal = journal
        self._builds = asyncio.Semaphore(1)
        self._rolls = asyncio.Semaphore(rolls)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def resume(self) -> None:
        """Go on with what an earlier manager has not finished."""
        for record in self.log.unfinished():
            if record.outcome is DeployOutcome.RUNNING:
                self.log.step(record.worker, record.number, "note", "the manager was started again, and goes on")
            self._run_soon(record.worker)

    def close(self) -> None:
        """Go on with nothing. What is not finished is taken up by the next manager."""
        for task in self._tasks.values():
            task.cancel()

    def accept(self, order: DeployOrder, actor: str) -> tuple[DeployRecord, ...]:
        """Write an order down. Raises Problem, and then nothing was accepted."""
        releases = {worker: self._release_of(worker, order) for worker in order.workers}
        accepted = tuple(self._accept(worker, order, actor, release) for worker, release in releases.items())
        for record in accepted:
            self._run_soon(record.worker)
        return accepted

    async def prune(self, workers: Collection[str], *, clear: bool) -> Mapping[str, Pruned]:
        """Remove releases that are too many and not in use, and with `clear` the caches of builds.
        Raises Problem; at once for a worker that is being deployed or restarted, which needs a
        release that no link may name yet."""
        for record in self.log.unfinished():
            if record.worker in workers:
                raise Problem(409, unprunable(record))
        return {worker: await self._prune(worker, clear=clear) for worker in workers}

    async def _prune(self, worker: str, *, clear: bool) -> Pruned:
        layout = self._hands.layout
        stable = release_links.stable_of(layout, worker)
        if self._pending(worker) or (stable is None and not clear):
            return Pruned()  # a deploy that was accepted meanwhile prunes itself
        before = self._releases(worker)
        try:
            had_caches = await self._hands.harvests.prune(worker, stable, clear=clear)
        except TqunitsError as error:
            raise Problem(503, f"{worker}: {error}") from None
        return Pruned(tuple(sorted(before - self._releases(worker))), had_caches)

    def _accept(self, worker: str, order: DeployOrder, actor: str, release: str | None) -> DeployRecord:
        pending = self._pending(worker)
        if (same := joined(order.kind, pending)) is not None:
            return same
        record = self.log.open(worker, order, actor, release=release)
        for each in superseded(order.kind, pending):
            why = f"number {record.number} came before its turn"
            self.log.end(worker, each.number, DeployOutcome.SUPERSEDED, why)
        running = next((each for each in pending if each.outcome is DeployOutcome.RUNNING), None)
        if running is not None:
            self.log.step(worker, record.number, "note", waits_for(running, time.time_ns() // 1000))
        return self.log.get(worker, record.number)

    def _release_of(self, worker: str, order: DeployOrder) -> str | None:
        """The release that an order names; None: it is made, or chosen, when it is its turn.
        Raises Problem."""
        if not self._hands.is_installed(worker):
            raise Problem(404, f"not installed: {worker}")
        if order.kind is DeployKind.RESTART and not self._hands.replicas(worker):
            raise Problem(404, f"{worker} is files that the routers serve: nothing of it runs")
        if order.kind is not DeployKind.ROLLBACK:
            return None
        if self._hands.folder_use(worker) is not None:
            raise Problem(409, no_release(worker))
        if order.release is not None:
            if order.release not in self._releases(worker):
                raise Problem(409, f"{worker} has no release {order.release}: 'tqunits history {worker}' lists them")
            return order.release
        if not self._pending(worker) and self._earlier(worker) is None:
            raise Problem(409, f"{worker} has no release before the present one that was stable")
        return None

    def _earlier(self, worker: str) -> str | None:
        """The last release that was stable before the present one, and is still there."""
        here = self._releases(worker)
        present = release_links.runs_of(self._hands.layout, worker).get(1)
        ways = ways_back(reversed(self.log.of(worker, MOST_KEPT)), present)
        return next((release for release in ways if release in here), None)

    def _run_soon(self, worker: str) -> None:
        task = self._tasks.get(worker)
        if task is None or task.done():
            self._tasks[worker] = asyncio.get_running_loop().create_task(self._work_off(worker))

    async def _work_off(self, worker: str) -> None:
        """Carry out what waits for this worker, one after the other."""
        while waiting := self._pending(worker):
            async with self._turn(waiting[0].kind):
                if not self.log.get(worker, waiting[0].number).outcome.is_ended:
                    await self._carry_out(waiting[0])

    def _turn(self, kind: DeployKind) -> AbstractAsyncContextManager[object]:
        """What it has to wait for before it begins. A restart is nothing but a roll, so until there
        is room for one it can still be joined and superseded."""
        return self._rolls if kind is DeployKind.RESTART else nullcontext()

    async def _carry_out(self, record: DeployRecord) -> None:
        worker, number = record.worker, record.number
        try:
            outcome, is_stable = await self._perform(record)
        except TqunitsError as error:
            await self._hands.stay_while_host_ends()
            is_slow = isinstance(error, TimedOut)
            self.log.end(worker, number, DeployOutcome.FAILED, error.message, error.hint or "", is_slow=is_slow)
        except Exception as error:  # else it would run for ever, and no other deploy of the worker after it
            self._report(error)
            self.log.end(worker, number, DeployOutcome.FAILED, f"tqunits has a fault: {error!r}", _FAULT_HINT)
        else:
            self.log.end(worker, number, outcome, is_stable=is_stable)
        self._journal.say(told(self.log.get(worker, number)))

    def _report(self, error: Exception) -> None:
        """Have asyncio write where it was raised: to stderr, which is the journal."""
        fault = {"message": "a deploy has met a fault of tqunits", "exception": error}
        asyncio.get_running_loop().call_exception_handler(fault)

    async def _perform(self, record: DeployRecord) -> tuple[DeployOutcome, bool]:
        """How it ends, and whether its release has shown that it is healthy. Raises
        TqunitsError."""
        worker, number, was_begun = record.worker, record.number, record.begun_us is not None
        self._require_installed(worker)
        before = dict.fromkeys(self._runs(worker), record.before or FOLDER) if was_begun else self._runs(worker)
        first = next(iter(before.values()), FOLDER)
        runs = self._hands.runs(worker) if record.kind is DeployKind.RESTART else ()
        begun = self.log.begin(worker, number, first if is_release_id(first) else None, runs)
        if record.kind is DeployKind.RESTART:
            await self._roll(begun, RestartGoal(self._hands, worker, begun.replaces))
            if not was_begun and not self._hands.running(worker):  # after a boot it may not run yet
                raise DeployFailed("does not run any more", hint=f"'tqunits start {worker}' starts it")
            return DeployOutcome.DONE, False
        folder = FolderDeploy(self._hands, self.log, begun)
        folder.refuse_release()
        found = await self._found(begun, folder)
        self._require_installed(worker)
        is_new = found.is_new or was_begun
        if found.in_folder and (goal := folder.take(found)) is not None:
            await self._run_folder(folder, goal)
            is_new = is_new or bool(self.log.get(worker, number).replaces)
        if found.release is None or record.kind is DeployKind.BUILD:
            return (DeployOutcome.DONE if is_new else DeployOutcome.UNCHANGED), False
        return await self._run(record, found.release, before)

    async def _found(self, record: DeployRecord, folder: FolderDeploy) -> HarvestResult:
        """Have its release made, or choose it, and write it down; or have its folder built. Raises
        TqunitsError."""
        if record.release is not None:
            return HarvestResult(number=0, release=record.release)
        if record.kind is not DeployKind.ROLLBACK:
            return folder.found() or await self._make(record)
        earlier = self._earlier(record.worker)
        if earlier is None:
            raise DeployFailed("no release before the present one was stable")
        self.log.made(record.worker, record.number, earlier, None, is_dirty=None)
        return HarvestResult(number=0, release=earlier)

    async def _run_folder(self, folder: FolderDeploy, goal: RestartGoal) -> None:
        """Have all instances run what lies in the worker's folder. Raises TqunitsError."""
        async with self._room(folder.record):
            await folder.run_command()
            await self._roll(folder.record, goal)

    async def _run(self, record: DeployRecord, release: str, before: Mapping[int, str]) -> tuple[DeployOutcome, bool]:
        """Have the worker run a release that is there. Raises TqunitsError."""
        worker, is_unchanged = record.worker, self._is_unchanged(record, release)
        files = self._hands.files_alone(worker)
        if files is not None:
            switch = FilesSwitch(self._hands, files, self._say_of(record))
            is_served = await switch.to(release, is_made=record.kind is not DeployKind.ROLLBACK, is_next=is_unchanged)
            return (DeployOutcome.UNCHANGED if is_unchanged else DeployOutcome.DONE), is_served
        if is_unchanged and not self._hands.running(worker):
            self.log.step(worker, record.number, "note", "does not run; its next start runs this release")
            return DeployOutcome.UNCHANGED, False
        if is_unchanged and release_links.stable_of(self._hands.layout, worker) == release:
            return DeployOutcome.UNCHANGED, True
        async with self._room(record):
            goal, say = ReleaseGoal(self._hands, worker, release, before), self._say_of(record)
            if record.needs_command and set(before.values()) != {release}:
                await goal.run_command(say)
            await self._roll(record, goal)
            is_stable = await goal.remember(say)
        return (DeployOutcome.UNCHANGED if is_unchanged else DeployOutcome.DONE), is_stable

    def _room(self, record: DeployRecord) -> asyncio.Semaphore:
        """What a roll of a deploy has to wait for."""
        if self._rolls.locked():
            text = "waits: as many workers are being replaced as manager.max_parallel_rolls says"
            self.log.step(record.worker, record.number, "note", text)
        return self._rolls

    async def _roll(self, record: DeployRecord, goal: Goal) -> None:
        await Roll(self._hands, record.worker, self._say_of(record), goal).perform()

    def _say_of(self, record: DeployRecord) -> Say:
        return partial(self.log.step, record.worker, record.number)

    def _is_unchanged(self, record: DeployRecord, release: str) -> bool:
        """Whether all instances that run had this release before, and those that do not will."""
        is_next = all(run == release for run in self._runs(record.worker).values())
        return record.begun_us is None and is_next and not self._hands.lacking(record.worker, release)

    async def _make(self, record: DeployRecord) -> HarvestResult:
        """Have its release made, and written down; in development mode its folder is built. Raises
        TqunitsError."""
        worker, number = record.worker, record.number
        self.log.step(worker, number, "build", "its sources are looked at, and built where they have changed")
        made = await self._made(worker, number, BuildRequest(record.actor, record.message))
        if made.in_folder:
            return made
        if made.release is None:  # a result without a release answers no build
            raise DeployFailed("no release was made")
        self.log.made(worker, number, made.release, made.revision, is_dirty=made.is_dirty)
        what = "is made" if made.is_new else "is there already: its sources are the same"
        self.log.step(worker, number, "take", f"release {made.release} {what}")
        if made.left:
            self.log.step(worker, number, "note", left_out(made))
        if made.hint:
            self.log.step(worker, number, "note", made.hint)
        return made

    async def _made(self, worker: str, number: int, asked: BuildRequest) -> HarvestResult:
        """The release of its sources. While another worker is built, it is looked first whether it
        is there: what has not changed waits for nobody."""
        if self._builds.locked():
            found = await self._hands.harvests.make(worker, replace(asked, only_look=True))
            if found.release is not None or found.in_folder:
                return found
            self.log.step(worker, number, "note", "waits until another worker is built: one is at a time")
        async with self._builds:
            return await self._hands.harvests.make(worker, asked)

    def _require_installed(self, worker: str) -> None:
        """It may have been uninstalled meanwhile. Raises DeployFailed."""
        if not self._hands.is_installed(worker):
            raise DeployFailed("it is not installed any more")

    def _pending(self, worker: str) -> Sequence[DeployRecord]:
        """Its deploys that have not ended, the oldest first."""
        return self.log.pending(worker)

    def _releases(self, worker: str) -> Set[str]:
        """Those that are there."""
        return {each.release for each in release_manifests.all_of(self._hands.layout, worker)}

    def _runs(self, worker: str) -> Mapping[int, str]:
        """Instance -> what it runs at its next start as things are."""
        in_folder = self._hands.folder_use(worker) is not None  # then a link from before means nothing
        links = {} if in_folder else release_links.runs_of(self._hands.layout, worker)
        return {number: links.get(number, FOLDER) for number in self._hands.numbers(worker)}
