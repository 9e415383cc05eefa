"""The registry: the one place where the manager's knowledge of instances changes. No I/O, no clock.

Facts come from systemd (`see`), from the installed files (`place`) and from health checks
(`checked`); the table of lifecycle/state.py makes states of them. Readers get frozen records, so
nobody sees half of a change, and nobody waits for it. Subscribers get each change of a state, in
order.

A start that was missed is a change too: if a unit that runs has another invocation than before, its
new run begins with what systemd says now, and what was known of the checks of the old run is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from tqunits.lifecycle import state
from tqunits.lifecycle.state import OF_CHECKS, Event
from tqunits.manager.record import Change, Checked, InstanceRecord, Place, Seen
from tqunits.model import Instance

Subscriber = Callable[[Change], None]
"""Gets each change. It must not change the registry."""


class Registry:
    """All instances that are installed."""

    def __init__(self) -> None:
        self._records: dict[Instance, InstanceRecord] = {}
        self._subscribers: list[Subscriber] = []
        self._changes = 0
        self._is_settled = False

    @property
    def records(self) -> Mapping[Instance, InstanceRecord]:
        """What is known now, by instance. The mapping shows later changes; the records are
        frozen."""
        return MappingProxyType(self._records)

    def operators(self) -> Mapping[str, Collection[str]]:
        """Worker -> its operators, as its first instance's drop-in has them."""
        places = (record.place for record in self._records.values())
        return {each.whose.worker: each.operators for each in places if each.operators and each.whose.number == 1}

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell each later change."""
        self._subscribers.append(subscriber)

    def place(self, places: Iterable[Place]) -> None:
        """These instances are installed, and no others. What is known of one that stays is
        kept."""
        before = self._records
        here = {place.whose: place for place in sorted(places, key=lambda place: place.whose)}
        self._records = {
            whose: replace(before[whose], place=place) if whose in before else InstanceRecord(place=place)
            for whose, place in here.items()
        }

    def see(self, whose: Instance, seen: Seen, at: int) -> None:
        """systemd has said this of the instance's unit."""
        record = self._records.get(whose)
        if record is None or record.seen == seen:
            return
        is_new_run = seen.invocation != record.seen.invocation
        is_news = seen.event is not record.seen.event or (is_new_run and seen.event is Event.READY)
        unseen = seen.restarts > record.seen.restarts and record.seen.event is not Event.EXITED
        record = replace(record, seen=seen, check=None if is_new_run else record.check)
        self._records[whose] = record
        if unseen and seen.event is not Event.EXITED:
            self._happen(record, Event.EXITED, "it ended by itself, and was started again", at)
            record = self._records[whose]
        if is_news:
            self._happen(record, seen.event, seen.cause, at)

    def checked(self, whose: Instance, invocation: str, check: Checked, event: Event | None) -> None:
        """A health check of this run has ended. `event`: PASSED or MISSED, where it decides about
        the state."""
        record = self._records.get(whose)
        if record is None or record.seen.invocation != invocation or record.seen.event is not Event.READY:
            return  # the answer of a run that has ended meanwhile
        record = replace(record, check=check)
        self._records[whose] = record
        if event is not None:
            self._happen(record, event, check.cause, check.at + check.elapsed)

    def restarted(self, whose: Instance) -> None:
        """The manager has asked systemd to restart the instance."""
        record = self._records.get(whose)
        if record is not None:
            self._records[whose] = replace(record, requested_restarts=record.requested_restarts + 1)

    def settle(self, unready: Mapping[Instance, int] = MappingProxyType({})) -> None:
        """What was seen up to now was there before the manager: it is no change. From now on
        changes are told. `unready`: the instances that an earlier manager has taken out of the
        traffic, and when (µs); those that have not started since are unhealthy until a check has
        passed. One that is not checked can not have failed: a roll has taken it out."""
        for whose, since in unready.items():
            record = self._records.get(whose)
            if record is None or not record.place.is_checked:
                continue
            if record.seen.event is Event.READY and (record.seen.started or 0) < since:
                self._happen(record, Event.MISSED, "", since)
        self._is_settled = True

    def _happen(self, record: InstanceRecord, event: Event, cause: str, at: int) -> None:
        after = state.after(record.state, event)
        whose = record.place.whose
        if after is record.state and event in OF_CHECKS:
            return
        self._records[whose] = replace(record, state=after, since=at)
        if not self._is_settled:
            return
        self._changes += 1
        change = Change(
            number=self._changes,
            at=at,
            whose=whose,
            event=event,
            before=record.state,
            after=after,
            cause=cause,
            is_surge=record.place.is_surge,
        )
        for subscriber in self._subscribers:
            subscriber(change)
