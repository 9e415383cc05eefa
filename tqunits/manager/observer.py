"""Keeps the registry true: from systemd's signals and the installed files to what the registry
knows.

A signal only says that something has changed: what is true now is read, for all changed units
together, in one call and a few properties of each. So signals that come in a burst, in another
order, or twice do no harm; and as a signal may be lost (the bus is restarted), all units are looked
at every LOOK_S seconds, which costs a call, and a look at a link of each that runs.

The signals are PropertiesChanged of units, those of other programs too, whose bodies are not even
parsed; and Reloading, after which the installed files are read again.

A call to systemd blocks the event loop: for 0.1 to 0.3 ms, or as long as a daemon-reload takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.host import pauses
from tqunits.host.installed import Installed, served_folders, slots
from tqunits.host.observe import started_us
from tqunits.layout import Layout
from tqunits.lifecycle import outcome, state
from tqunits.lifecycle.state import Event
from tqunits.manager.record import NOT_SEEN, Place, Seen
from tqunits.manager.registry import Registry
from tqunits.model import Instance
from tqunits.system import invocations
from tqunits.system.bus import Bus, UnitStatus
from tqunits.system.dbus import integer, object_path
from tqunits.system.signals import Signals
from tqunits.units import name

LOOK_S: Final = 30.0
"""How often all units are looked at without a signal."""

FIRST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 5.0
"""Between two attempts to reach a bus that is away."""


class Observer:
    """The manager's eyes. Its methods run on the event loop."""

    def __init__(self, bus: Bus, layout: Layout, registry: Registry, *, say: Callable[[str], None]) -> None:
        self._bus = bus
        self._layout = layout
        self._registry = registry
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._instances: dict[bytes, Instance] = {}  # by the object path of each unit that tells about one
        self._changed: set[Instance] = set()
        self._are_files_changed = False
        self._is_flush_due = False
        self._descriptor = -1
        self._timers: list[asyncio.TimerHandle] = []
        self._retry = FIRST_RETRY_S

    def begin(self, on_placed: Callable[[], None], unready: Mapping[Instance, int]) -> None:
        """Read everything, and follow the changes from then on. `on_placed` is called each time
        that the installed files were read. `unready`: as in Registry.settle(). Raises TqunitsError
        when there is no bus."""
        self._on_placed = on_placed
        self._signals = Signals(user_mode=self._bus.user_mode)
        self._signals.on_unit_changed(self._on_unit)
        self._signals.on_signal("Reloading", self._on_reloading)
        self._follow()
        self._place()
        self._read(self._registry.records, at=0)
        self._registry.settle(unready)
        self._on_placed()
        self._later(LOOK_S, self._look)

    def close(self) -> None:
        """Follow no more."""
        self._unfollow()
        for timer in self._timers:
            timer.cancel()
        self._signals.close()

    # The signals

    def _follow(self) -> None:
        self._descriptor = self._signals.fileno()
        self._loop.add_reader(self._descriptor, self._hear)
        self._hear()

    def _unfollow(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
        self._descriptor = -1

    def _hear(self) -> None:
        if not self._signals.process():
            self._lose()

    def _lose(self) -> None:
        """The bus has gone: what it tells no more is read when it is back."""
        if self._descriptor >= 0:
            self._say("the bus is away; workers and routers run on, and it is tried again")
        self._unfollow()
        self._later(self._retry, self._renew)
        self._retry = min(self._retry * 2, LONGEST_RETRY_S)

    def _renew(self) -> None:
        try:
            self._signals.renew()
        except TqunitsError:
            self._lose()
            return
        self._retry = FIRST_RETRY_S
        self._say("the bus is back")
        self._follow()
        self._are_files_changed = True
        self._flush_soon()

    def _on_unit(self, path: bytes) -> None:
        whose = self._instances.get(path)
        if whose is not None:
            self._changed.add(whose)
            self._flush_soon()

    def _on_reloading(self, body: object) -> None:
        """systemd sends it twice: when it begins to read the unit files, and when it has read
        them."""
        if body in {(False,), False}:
            self._are_files_changed = True
            self._flush_soon()

    # What is read

    def _flush_soon(self) -> None:
        """In the next turn of the loop: a burst of signals is one look."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._descriptor < 0:
            return
        changed, self._changed = self._changed, set()
        if self._are_files_changed:
            self._are_files_changed = False
            self._place()
            changed = set(self._registry.records)
            self._loop.call_soon(self._on_placed)
        self._try_to_read(changed)

    def _try_to_read(self, changed: set[Instance]) -> None:
        try:
            self._read(changed, at=_now())
        except TqunitsError as error:
            self._say(f"systemd does not tell: {error}")
            self._changed |= changed
            self._later(LONGEST_RETRY_S, self._flush_soon)

    def _look(self) -> None:
        """Nothing has to have been told: find the units that are not as the registry has them, by
        one call and a link of each that runs."""
        if self._descriptor >= 0:
            try:
                self._changed.update(self._strayed())
            except TqunitsError as error:
                self._say(f"systemd does not tell: {error}")
            self._flush_soon()
        self._later(LOOK_S, self._look)

    def _strayed(self) -> Iterator[Instance]:
        loaded, paused = self._loaded()
        for whose, record in self._registry.records.items():
            unit, seen = name.service(whose), record.seen
            event = self._event(loaded.get(unit), unit, paused)
            if event is not seen.event or (event is Event.READY and self._invocation(unit) != seen.invocation):
                yield whose

    def _invocation(self, unit: str) -> str:
        return ("" if self._bus.user_mode else invocations.exported(unit)) or self._bus.invocation(unit)

    def _place(self) -> None:
        """Read the installed files: a few milliseconds for a hundred workers."""
        found = slots(self._layout)
        self._instances = {}
        for each in found:
            for unit in (each.unit, name.backoff(each.instance)):
                self._instances[object_path(unit)] = each.instance
        folders = served_folders(self._layout)
        self._registry.place(place_of(each, folders.get(each.worker)) for each in found)

    def _read(self, instances: Iterable[Instance], *, at: int) -> None:
        """Ask systemd about these instances. Raises TqunitsError."""
        wanted = [whose for whose in instances if whose in self._registry.records]
        if not wanted:
            return
        loaded, paused = self._loaded()
        for whose in wanted:
            unit = name.service(whose)
            is_there = unit in loaded or unit in paused
            event = self._event(loaded.get(unit), unit, paused)
            self._registry.see(whose, seen_of(self._bus, unit, event) if is_there else NOT_SEEN, at)

    def _loaded(self) -> tuple[Mapping[str, UnitStatus], frozenset[str]]:
        """All loaded units of workers, and those that wait for their next start."""
        return pauses.loaded_workers(self._bus)

    def _event(self, status: UnitStatus | None, unit: str, paused: frozenset[str]) -> Event:
        active, sub, job = (status.active, status.sub, status.job) if status else ("inactive", "dead", "")
        rests = active in {"inactive", "failed"}
        waits = unit in paused or (rests and job == "start" and self._has_exited(unit))
        return state.event_of(active, sub, job=job, comes_again=waits)

    def _has_exited(self, unit: str) -> bool:
        """Whether the unit has ended by itself: 252 has it as inactive before its pause begins."""
        whose = name.instance_of(unit)
        record = self._registry.records.get(whose) if whose else None
        return record is not None and record.seen.event is Event.EXITED

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > self._loop.time() and not timer.cancelled()]
        self._timers.append(self._loop.call_later(seconds, what))


def place_of(found: Installed, public: str | None) -> Place:
    """What the installed files say of an instance. `public`: the folder that the router serves of
    its worker."""
    ledger = found.ledger
    return Place(
        whose=found.instance,
        unit=found.unit,
        routes=ledger.routes,
        hosts=ledger.hosts,
        address=ledger.socket or (f"127.0.0.1:{ledger.port}" if ledger.port else ""),
        source=ledger.source,
        source_hash=ledger.source_hash,
        public=public,
        health=ledger.health,
        watch=ledger.watch,
        copied=tuple(copy.source for copy in ledger.copies),
        operators=ledger.operators,
        is_surge=ledger.is_surge,
        folder_use=ledger.folder_use,
    )


def seen_of(bus: Bus, unit: str, event: Event) -> Seen:
    """What systemd says of a unit that is loaded, by eight properties; of one that has ended by
    itself, how. Raises TqunitsError."""
    started = integer(bus.property_of(unit, "Unit", "ActiveEnterTimestamp", "t"))
    return Seen(
        event=event,
        invocation=bus.invocation(unit),
        pid=integer(bus.property_of(unit, "Service", "MainPID", "u")) or None,
        cgroup=bus.control_group(unit),
        begun=started_us(bus, unit) or None,
        started=started or None,
        restarts=integer(bus.property_of(unit, "Service", "NRestarts", "u")),
        result=str(bus.property_of(unit, "Service", "Result", "s")),
        cause=_cause(bus, unit) if event in {Event.EXITED, Event.GIVEN_UP} else "",
        command=bus.command(unit),
    )


def _cause(bus: Bus, unit: str) -> str:
    failure = bus.failure(unit)
    code = outcome.CODES.get(failure.main_code, "")
    return outcome.of_run(failure.result, code, failure.main_status, failure.gate_status, failure.program)


def _now() -> int:
    return time.time_ns() // 1000
