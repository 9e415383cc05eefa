"""Jobs of systemd: they are queued and waited for together; starts and restarts a number at a time
(ramp.py). `Jobs` is an iterator; AsyncJobs (async_jobs.py) has coroutines, for the few instances of
a worker; both use the same table of pending jobs.

StartUnit only queues a job, and its JobRemoved may be sent before StartUnit's reply arrives: so we
subscribe to the signals first and process them last. A signal can be lost (the bus restarts,
systemd re-executes itself): so once a second the list of jobs is read as well; a job that is
missing from it twice has ended, and its signal was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from tqunits.lifecycle.outcome import JobResult
from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY
from tqunits.system.bus import Bus
from tqunits.system.dbus import NotLoaded, Refused
from tqunits.system.ramp import Ramp, abreast
from tqunits.system.signals import Signals

OnWait = Callable[[Sequence[str]], None]
"""Called once a second with the units that are still waited for, unless a result has just come."""

_STARTS = frozenset({"StartUnit", "RestartUnit"})

TICK_S = 1.0
"""How often the list of jobs is read while no signal comes."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """One request for a job, which a caller waits for; two equal requests are still two."""

    method: str  # StartUnit, StopUnit, RestartUnit, ReloadUnit
    unit: str
    mode: str = "replace"  # org.freedesktop.systemd1(5), StartUnit()


class Pending:
    """The pending jobs and the requests for them, without I/O. systemd merges equal requests into
    one job."""

    def __init__(self) -> None:
        self._wishes: dict[str, list[Wish]] = {}  # by the object path of the job
        self._missed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self._wishes)

    def __contains__(self, wish: object) -> bool:
        """Whether the job of this request is pending."""
        return any(wish in wishes for wishes in self._wishes.values())

    def units(self) -> tuple[str, ...]:
        """The units that are waited for."""
        return tuple(wish.unit for wishes in self._wishes.values() for wish in wishes)

    def add(self, path: str, wish: Wish) -> None:
        """A job has been queued."""
        self._wishes.setdefault(path, []).append(wish)

    def take(self, path: str) -> tuple[Wish, ...]:
        """A job has ended: the requests that it was for; empty for a job of somebody else."""
        return tuple(self._wishes.pop(path, ()))

    def forget(self, wish: Wish) -> None:
        """Nobody waits for this request any more. The job goes on."""
        for path, wishes in list(self._wishes.items()):
            if wish in wishes:
                wishes.remove(wish)
            if not wishes:
                del self._wishes[path]

    def lost(self, queued: frozenset[str]) -> tuple[str, ...]:
        """Jobs that are missing from `queued` now and were missing the last time: they have ended,
        and no signal came.

        At the first time the signal may still be on its way.
        """
        missing = frozenset(self._wishes) - queued
        found = missing & self._missed
        self._missed = missing - found
        return tuple(sorted(found))


class Jobs:
    """Jobs that the command line waits for, with poll(2)."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def start(self, units: Sequence[str], *, timeout_us: int, block: bool = True) -> tuple[JobResult, ...]:
        """Start units, and wait for all of them together, at most `timeout_us` (or INFINITY).

        The failure of one unit is a result. Only errors that concern all units are raised
        (NotPermitted, TqunitsError).
        """
        return tuple(self.run("StartUnit", units, timeout_us=timeout_us, block=block))

    def stop(self, units: Sequence[str], *, timeout_us: int) -> tuple[JobResult, ...]:
        """Stop units, as `start`."""
        return tuple(self.run("StopUnit", units, timeout_us=timeout_us, block=True))

    def restart(self, units: Sequence[str], *, timeout_us: int) -> tuple[JobResult, ...]:
        """Restart units, as `start`; those that do not run are started."""
        return tuple(self.run("RestartUnit", units, timeout_us=timeout_us, block=True))

    def run(
        self, method: str, units: Sequence[str], *, timeout_us: int, block: bool, on_wait: OnWait | None = None
    ) -> Iterator[JobResult]:
        """Queue a job for each unit, and yield their results as they come."""
        if not block:
            for wish in wishes_of(method, units):
                path = queued_as(self._bus, wish)
                yield JobResult(unit=wish.unit, result="queued") if isinstance(path, str) else path
            return
        deadline = None if timeout_us >= INFINITY else time.monotonic() + timeout_us / 1e6
        with Signals(user_mode=self._bus.user_mode) as signals:
            yield from _Wait(self._bus, signals, wishes_of(method, units)).results(deadline, on_wait)


class _Wait:
    """One wait of the command line. It subscribes to the signals before anything is queued."""

    def __init__(self, bus: Bus, signals: Signals, wishes: Sequence[Wish]) -> None:
        self._bus = bus
        self._signals = signals
        are_starts = all(wish.method in _STARTS for wish in wishes)
        self._ramp = Ramp(wishes, abreast=abreast() if are_starts else len(wishes))
        self._pending = Pending()
        self._ended: list[tuple[Wish, str]] = []
        signals.on_job_removed(self._removed)

    def results(self, deadline: float | None, on_wait: OnWait | None) -> Iterator[JobResult]:
        """Queue the jobs, and give their results as they come, until no job is pending or the
        deadline is over: what has no result then is still waiting. Who is interrupted waits no
        more, but all jobs go on."""
        try:
            yield from self._until(deadline, on_wait)
        except (KeyboardInterrupt, GeneratorExit):
            tuple(self._queue(self._ramp.rest()))
            raise
        yield from self._queue(self._ramp.rest())
        yield from (JobResult(unit=unit, result="waiting") for unit in self._pending.units())

    def _until(self, deadline: float | None, on_wait: OnWait | None) -> Iterator[JobResult]:
        while True:
            yield from self._queue(self._ramp.due(time.monotonic(), self._pending.__contains__))
            self._signals.process()
            if not (self._pending or self._ended or self._ramp):
                return
            now = time.monotonic()
            self._listen(now + TICK_S if deadline is None else min(now + TICK_S, deadline))
            if self._ended:
                yield from self._heard()
                continue
            if deadline is not None and time.monotonic() >= deadline:
                return
            for path in self._pending.lost(self._bus.queued()):
                yield from (guessed(self._bus, wish) for wish in self._pending.take(path))
            if on_wait:
                on_wait((*self._pending.units(), *(wish.unit for wish in self._ramp.wanted)))

    def _queue(self, wishes: Iterable[Wish]) -> Iterator[JobResult]:
        """Queue the jobs; the results of those that systemd refuses."""
        for wish in wishes:
            path = queued_as(self._bus, wish)
            if isinstance(path, str):
                self._pending.add(path, wish)
            else:
                yield path

    def _removed(self, path: str, result: str) -> None:
        self._ended += ((wish, result) for wish in self._pending.take(path))

    def _listen(self, until: float) -> None:
        """Wait until one of our jobs has ended. Signals of other jobs come here too."""
        while not self._ended and (left := until - time.monotonic()) > 0:
            self._signals.wait(left)

    def _heard(self) -> Iterator[JobResult]:
        ended, self._ended = self._ended, []
        yield from (told(self._bus, wish, result) for wish, result in ended)


def wishes_of(method: str, units: Sequence[str], mode: str = "replace") -> list[Wish]:
    """One request for each unit."""
    return [Wish(method, unit, mode) for unit in dict.fromkeys(units)]


def queued_as(bus: Bus, wish: Wish) -> str | JobResult:
    """Queue a job; returns its object path, or a result at once when systemd refuses it.

    A target is started alone. Otherwise its start would start all that it wants at once, and would
    wait until no unit that is ordered before it has a start job: for ever, if two of them fail
    again and again.
    """
    is_alone = wish.method == "StartUnit" and wish.unit.endswith(".target")
    try:
        return bus.queue(wish.method, wish.unit, "ignore-dependencies" if is_alone else wish.mode)
    except Refused as refusal:
        is_done = wish.method == "StopUnit" and isinstance(refusal, NotLoaded)  # a unit that is not loaded does not run
        return JobResult(unit=wish.unit, result="done" if is_done else "refused", message=refusal.message)


def guessed(bus: Bus, wish: Wish) -> JobResult:
    """The result of a job whose signal was lost, from the state of its unit."""
    state = bus.property_of(wish.unit, "Unit", "ActiveState", "s")
    wanted = {"inactive", "failed"} if wish.method == "StopUnit" else {"active", "reloading"}
    return told(bus, wish, "done" if state in wanted else "failed")


def told(bus: Bus, wish: Wish, result: str) -> JobResult:
    """The result of a job; for a service that has failed with the reason, which is read at once."""
    outcome = JobResult(unit=wish.unit, result=result)
    if result in {"failed", "timeout"} and wish.unit.endswith(".service"):
        return replace(outcome, failure=bus.failure(wish.unit))
    return outcome
