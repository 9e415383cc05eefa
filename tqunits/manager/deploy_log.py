"""All deploys of the host: each change of one is written down and told to those who wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from tqunits.control.deploy_protocol import DeployOrder
from tqunits.lifecycle.deploy_rules import surplus
from tqunits.lifecycle.deploys import MAX_STEPS, MAX_TEXT, DeployOutcome, DeployRecord, DeployStep
from tqunits.manager.deploy_files import DeployFiles

_ROOM: Final = MAX_STEPS - 20
"""Steps of a deploy that are written down: a worker with a hundred instances has more, and the last
ones tell how it ended."""


class DeployLog:
    """The deploys of each worker, by their numbers."""

    def __init__(self, files: DeployFiles, say: Callable[[str], None]) -> None:
        self._files = files
        self._say = say
        self._records = {worker: list(deploys) for worker, deploys in files.load().items()}
        self._number = max((each.number for deploys in self._records.values() for each in deploys), default=0)
        self._events: dict[int, int] = {}  # number of a deploy -> of its last change
        self._last_event = 0
        self._news = asyncio.Event()

    @property
    def last_event(self) -> int:
        """The number of the last change since the manager's start."""
        return self._last_event

    def unfinished(self) -> tuple[DeployRecord, ...]:
        """Those that have not ended, the oldest first."""
        return tuple(sorted(self._all(lambda each: not each.outcome.is_ended), key=_number))

    def pending(self, worker: str) -> tuple[DeployRecord, ...]:
        """The same of one worker. The others are not looked at: a host has up to 60000 records, and
        an order may be for a thousand workers."""
        return tuple(each for each in self._records.get(worker, ()) if not each.outcome.is_ended)

    def of(
        self, worker: str | None, most: int, is_his: Callable[[str], bool] = lambda _: True
    ) -> tuple[DeployRecord, ...]:
        """The last deploys of a worker, or (None) of all workers that are his; the newest first."""
        found = self._all(lambda each: worker in {None, each.worker} and is_his(each.worker))
        return tuple(sorted(found, key=_number, reverse=True)[:most])

    def get(self, worker: str, number: int) -> DeployRecord:
        """One of them, as it is now. Raises LookupError."""
        return self._records[worker][self._place(worker, number)]

    def open(self, worker: str, order: DeployOrder, actor: str, *, release: str | None) -> DeployRecord:
        """Write down what was asked for."""
        self._number += 1
        record = DeployRecord(
            number=self._number,
            worker=worker,
            kind=order.kind,
            actor=actor,
            message=order.message,
            asked_us=_now(),
            release=release,
        )
        deploys = self._records.setdefault(worker, [])
        deploys.append(record)
        for number in surplus(deploys):
            del deploys[self._place(worker, number)]
            self._events.pop(number, None)
        self._changed(record)
        return record

    def begin(self, worker: str, number: int, before: str | None, runs: Sequence[str] = ()) -> DeployRecord:
        """It is its turn. `runs`: those that a restart ends; one that was begun already keeps
        its own."""
        record = self.get(worker, number)
        if record.begun_us is None:
            record = replace(record, begun_us=_now(), replaces=tuple(runs))
        return self._put(replace(record, outcome=DeployOutcome.RUNNING, before=before))

    def made(self, worker: str, number: int, release: str, revision: str | None, *, is_dirty: bool | None) -> None:
        """Its release is there."""
        self._put(replace(self.get(worker, number), release=release, revision=revision, is_dirty=is_dirty))

    def taken(self, worker: str, number: int, runs: Sequence[str]) -> None:
        """What its instances run lies in the worker's folder. `runs`: those that began before, and
        are to end."""
        self._put(replace(self.get(worker, number), replaces=tuple(runs)))

    def step(self, worker: str, number: int, what: str, text: str, instance: int | None = None) -> None:
        """The next step is about to be taken."""
        record = self.get(worker, number)
        if len(record.steps) < _ROOM or what in {"back", "stable", "note"}:
            steps = (*record.steps, DeployStep(at_us=_now(), what=what, text=text[:MAX_TEXT], instance=instance))
            self._put(replace(record, steps=steps[-MAX_STEPS:]))

    def end(
        self,
        worker: str,
        number: int,
        outcome: DeployOutcome,
        why: str = "",
        hint: str = "",
        *,
        is_stable: bool = False,
        is_slow: bool = False,
    ) -> None:
        """It has ended. `is_stable`: all instances were healthy on its release. `is_slow`: one did
        not get healthy in time."""
        record = self.get(worker, number)
        ended = replace(record, outcome=outcome, ended_us=_now(), why=why[:MAX_TEXT], hint=hint[-MAX_TEXT:])
        self._put(replace(ended, was_stable=is_stable, is_slow=is_slow))

    def changed_since(self, event: int, numbers: Collection[int]) -> Sequence[tuple[int, DeployRecord]]:
        """Those of these deploys that have changed since an event, each with its last event. With
        0, and with an event that has not happened, all of them."""
        if event > self._last_event:
            event = 0
        found = [(self._events.get(each.number, 0), each) for each in self._all(lambda each: each.number in numbers)]
        return sorted(((at, each) for at, each in found if at > event or not event), key=lambda pair: pair[0])

    async def wait(self, event: int, numbers: Collection[int], seconds: float) -> Sequence[tuple[int, DeployRecord]]:
        """The same, once there are some, or when the time is over."""
        until = time.monotonic() + seconds
        while not (found := self.changed_since(event, numbers)):
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                break
        return found

    def _all(self, is_meant: Callable[[DeployRecord], bool]) -> list[DeployRecord]:
        return [each for deploys in self._records.values() for each in deploys if is_meant(each)]

    def _place(self, worker: str, number: int) -> int:
        return next(place for place, each in enumerate(self._records[worker]) if each.number == number)

    def _put(self, record: DeployRecord) -> DeployRecord:
        self._records[record.worker][self._place(record.worker, record.number)] = record
        self._changed(record)
        return record

    def _changed(self, record: DeployRecord) -> None:
        self._last_event += 1
        self._events[record.number] = self._last_event
        try:
            self._files.save(record.worker, self._records[record.worker])
        except OSError as error:
            self._say(f"the deploys of {record.worker} are not written down: {error}")
        self._news.set()
        self._news = asyncio.Event()


def _number(record: DeployRecord) -> int:
    return record.number


def _now() -> int:
    return time.time_ns() // 1000
