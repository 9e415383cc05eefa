"""Accepts deploys, rollbacks and builds, and carries them out: one at a time for each worker, as
many workers at once as `manager.max_parallel_rolls` says, one build at a time on the host.

What is asked for is written down before it is answered. The newest wins: one that waits for its
worker's turn is superseded by the next. A manager that was killed goes on with what it finds
unfinished; every step can be taken twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from tqunits.control.deploy_protocol import DeployOrder
from tqunits.control.protocol import Problem
from tqunits.errors import TqunitsError
from tqunits.host import release_links, release_manifests
from tqunits.host.running_release import running_release
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord
from tqunits.lifecycle.release import FOLDER, BuildRequest, is_release_id
from tqunits.lifecycle.state import State
from tqunits.manager.announcements import Announcements
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.harvests import DeployFailed
from tqunits.manager.roll import Hands, Roll

_RESTS = frozenset({State.STOPPED, State.FAILED})


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
        accepted = tuple(self._accept(worker, order, actor, releases[worker]) for worker in order.workers)
        for record in accepted:
            self._run_soon(record.worker)
        return accepted

    async def prune(self, workers: Collection[str]) -> Mapping[str, Sequence[str]]:
        """Remove releases that are too many and not in use. Raises Problem."""
        return {worker: await self._prune(worker) for worker in workers}

    async def _prune(self, worker: str) -> Sequence[str]:
        layout = self._hands.layout
        stable = release_links.stable_of(layout, worker)
        if stable is None:
            return ()
        before = {each.release for each in release_manifests.all_of(layout, worker)}
        try:
            await self._hands.harvests.point(worker, {}, stable)
        except DeployFailed as error:
            raise Problem(503, f"{worker}: {error}") from None
        return sorted(before - {each.release for each in release_manifests.all_of(layout, worker)})

    def _accept(self, worker: str, order: DeployOrder, actor: str, release: str | None) -> DeployRecord:
        waiting = [each for each in self.log.unfinished() if each.worker == worker]
        record = self.log.open(worker, order, actor, release=release)
        for each in waiting:
            if each.outcome is DeployOutcome.WAITING:
                self.log.end(
                    worker, each.number, DeployOutcome.SUPERSEDED, f"number {record.number} came before its turn"
                )
        return record

    def _release_of(self, worker: str, order: DeployOrder) -> str | None:
        """The release that an order means; None: the one that is to be made. Raises Problem."""
        if not self._hands.replicas(worker):
            raise Problem(404, f"not installed: {worker}")
        if order.kind is not DeployKind.ROLLBACK:
            return None
        here = {each.release for each in release_manifests.all_of(self._hands.layout, worker)}
        present = release_links.runs_of(self._hands.layout, worker).get(1)
        if order.release is not None:
            if order.release not in here:
                raise Problem(409, f"{worker} has no release {order.release}: 'tqunits history {worker}' lists them")
            return order.release
        done = (each for each in self.log.of(worker, 1000) if each.was_stable and each.kind is not DeployKind.BUILD)
        found = next((each.release for each in done if each.release in here and each.release != present), None)
        if found is None:
            raise Problem(409, f"{worker} has no release before the present one that was stable")
        return found

    def _run_soon(self, worker: str) -> None:
        task = self._tasks.get(worker)
        if task is None or task.done():
            self._tasks[worker] = asyncio.get_running_loop().create_task(self._work_off(worker))

    async def _work_off(self, worker: str) -> None:
        """Carry out what waits for this worker, one after the other."""
        while waiting := [each for each in self.log.unfinished() if each.worker == worker]:
            await self._carry_out(waiting[0])

    async def _carry_out(self, record: DeployRecord) -> None:
        worker, number = record.worker, record.number
        try:
            outcome, is_stable = await self._perform(record)
        except DeployFailed as error:
            self.log.end(worker, number, DeployOutcome.FAILED, error.message, error.hint or "")
        except TqunitsError as error:
            self.log.end(worker, number, DeployOutcome.FAILED, str(error), error.hint or "")
        else:
            self.log.end(worker, number, outcome, is_stable=is_stable)
        ended = self.log.get(worker, number)
        self._journal.say(_told(ended))

    async def _perform(self, record: DeployRecord) -> tuple[DeployOutcome, bool]:
        """How it ends, and whether its release has shown that it is healthy. Raises
        TqunitsError."""
        worker, number, was_begun = record.worker, record.number, record.begun_us is not None
        before = dict.fromkeys(self._runs(worker), record.before or FOLDER) if was_begun else self._runs(worker)
        first = next(iter(before.values()), FOLDER)
        begun = self.log.begin(worker, number, first if is_release_id(first) else None)
        if begun.release is None:
            begun = await self._make(begun)
        release = begun.release
        if release is None:  # a result without a release answers no build
            raise DeployFailed("no release was made")
        if record.kind is DeployKind.BUILD:
            return DeployOutcome.DONE, False
        is_there = self._all_run(worker, release)
        if is_there and not was_begun:
            return DeployOutcome.UNCHANGED, False
        async with self._rolls:
            say = _Steps(self.log, worker, number)
            is_stable = await Roll(self._hands, worker, say, before).to(release, is_there=is_there)
        return DeployOutcome.DONE, is_stable

    async def _make(self, record: DeployRecord) -> DeployRecord:
        """Have its release made. Raises DeployFailed."""
        worker, number = record.worker, record.number
        async with self._builds:
            self.log.step(worker, number, "build", "its sources are looked at, and built where they have changed")
            made = await self._hands.harvests.make(worker, BuildRequest(record.actor, record.message), {})
        if made.release is None:
            raise DeployFailed("no release was made")
        record = self.log.made(worker, number, made.release, made.revision, is_dirty=made.is_dirty)
        what = "is made" if made.is_new else "is there already: its sources are the same"
        self.log.step(worker, number, "take", f"release {made.release} {what}")
        if made.left:
            names = ", ".join(made.left)
            self.log.step(worker, number, "note", f"not in the release, because not everybody may read it: {names}")
        return record

    def _runs(self, worker: str) -> Mapping[int, str]:
        """Instance -> what it runs at its next start as things are."""
        links = release_links.runs_of(self._hands.layout, worker)
        numbers = (each.place.whose.number for each in self._hands.replicas(worker))
        return {number: links.get(number, FOLDER) for number in numbers}

    def _all_run(self, worker: str, release: str) -> bool:
        """Whether there is nothing to do: all instances that run have this release, and those that
        do not will."""
        if any(run != release for run in self._runs(worker).values()):
            return False
        runtime = self._hands.layout.runtime
        running = [each for each in self._hands.replicas(worker) if each.state not in _RESTS]
        return all(running_release(each.place.whose, runtime) == release for each in running)


class _Steps:
    """Writes down the steps of one deploy."""

    def __init__(self, log: DeployLog, worker: str, number: int) -> None:
        self._log, self._worker, self._number = log, worker, number

    def __call__(self, what: str, text: str, instance: int | None) -> None:
        self._log.step(self._worker, self._number, what, text, instance)


def _told(record: DeployRecord) -> str:
    """One line for the journal."""
    what = f"{record.kind.value} {record.number} of {record.worker} by {record.actor}: {record.outcome.value}"
    release = f", release {record.release}" if record.release else ""
    return f"{what}{release}" + (f": {record.why}" if record.why else "")
