"""Jobs of systemd: queued all at once, then waited for together. `Jobs` iterates, `AsyncJobs` is awaited.

StartUnit only queues a job, and its JobRemoved may be sent before StartUnit's reply arrives: so the signals are asked
for first and looked at last. A signal can be lost (the bus restarts, systemd re-executes itself): so once a second the
list of jobs is read as well, and what is twice not in it has ended unheard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tqunits.errors import TqunitsError
from tqunits.lifecycle.outcome import JobResult
from tqunits.model import INFINITY
from tqunits.system.bus import Bus
from tqunits.system.connection import NotLoaded, Refused
from tqunits.system.signals import Signals

OnWait = Callable[[Sequence[str]], None]
"""Told once a second which units are still waited for, unless a result has just come."""

_TICK_S = 1.0  # how often the list of jobs is read while no signal comes


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What somebody wants of a unit, and waits for; two equal ones are still two."""

    method: str  # StartUnit, StopUnit, RestartUnit, ReloadUnit
    unit: str


class Pending:
    """The jobs that are waited for, and for whom: pure. systemd merges equal wishes into one job."""

    def __init__(self) -> None:
        self._wishes: dict[str, list[Wish]] = {}  # by the object path of the job
        self._missed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self._wishes)

    def units(self) -> tuple[str, ...]:
        """The units that are waited for."""
        return tuple(wish.unit for wishes in self._wishes.values() for wish in wishes)

    def add(self, path: str, wish: Wish) -> None:
        """A job has been queued."""
        self._wishes.setdefault(path, []).append(wish)

    def take(self, path: str) -> tuple[Wish, ...]:
        """A job has ended: whose it was; nobody's when it is a stranger's."""
        return tuple(self._wishes.pop(path, ()))

    def forget(self, wish: Wish) -> None:
        """Nobody waits for this any more. The job goes on."""
        for path, wishes in list(self._wishes.items()):
            if wish in wishes:
                wishes.remove(wish)
            if not wishes:
                del self._wishes[path]

    def lost(self, queued: frozenset[str]) -> tuple[str, ...]:
        """Jobs that are not among the `queued`, now and the last time: they have ended, and no signal came.

        The first time the signal may still be on its way.
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
        """Start units: all jobs are queued first, then waited for together, at most `timeout_us` (or INFINITY).

        A unit's failure is a result; only what concerns all of them is raised (NotPermitted, TqunitsError).
        """
        return tuple(self.run("StartUnit", units, timeout_us=timeout_us, block=block))

    def stop(self, units: Sequence[str], *, timeout_us: int, block: bool = True) -> tuple[JobResult, ...]:
        """Stop units, as `start`."""
        return tuple(self.run("StopUnit", units, timeout_us=timeout_us, block=block))

    def restart(self, units: Sequence[str], *, timeout_us: int, block: bool = True) -> tuple[JobResult, ...]:
        """Restart units, as `start`; those that do not run are started."""
        return tuple(self.run("RestartUnit", units, timeout_us=timeout_us, block=block))

    def reload(self, units: Sequence[str], *, timeout_us: int, block: bool = True) -> tuple[JobResult, ...]:
        """Have units read their configuration again, as `start`."""
        return tuple(self.run("ReloadUnit", units, timeout_us=timeout_us, block=block))

    def run(
        self, method: str, units: Sequence[str], *, timeout_us: int, block: bool, on_wait: OnWait | None = None
    ) -> Iterator[JobResult]:
        """Queue a job for each unit, and give their results as they come."""
        if not block:
            for wish in _wishes(method, units):
                path = _queue(self._bus, wish)
                yield JobResult(unit=wish.unit, result="queued") if isinstance(path, str) else path
            return
        deadline = None if timeout_us >= INFINITY else time.monotonic() + timeout_us / 1e6
        with Signals(user_mode=self._bus.user_mode) as signals:
            wait = _Wait(self._bus, signals)
            yield from wait.refused(_wishes(method, units))
            yield from wait.results(deadline, on_wait)
            yield from wait.waiting()


class _Wait:
    """One wait of the command line. It listens from the beginning, before anything is queued."""

    def __init__(self, bus: Bus, signals: Signals) -> None:
        self._bus = bus
        self._signals = signals
        self._pending = Pending()
        self._ended: list[tuple[Wish, str]] = []
        signals.on_job_removed(self._removed)

    def refused(self, wishes: Iterable[Wish]) -> Iterator[JobResult]:
        """Queue the jobs; the results of those that systemd does not take."""
        for wish in wishes:
            path = _queue(self._bus, wish)
            if isinstance(path, str):
                self._pending.add(path, wish)
            else:
                yield path

    def waiting(self) -> Iterator[JobResult]:
        """Those that were not waited for to the end."""
        yield from (JobResult(unit=unit, result="waiting") for unit in self._pending.units())

    def results(self, deadline: float | None, on_wait: OnWait | None) -> Iterator[JobResult]:
        """Results as they come, until none is pending or it is too late; what is left is still waiting."""
        self._signals.process()
        while self._pending or self._ended:
            now = time.monotonic()
            self._listen(now + _TICK_S if deadline is None else min(now + _TICK_S, deadline))
            if self._ended:
                yield from self._heard()
                continue
            if deadline is not None and time.monotonic() >= deadline:
                return
            for path in self._pending.lost(self._bus.queued()):
                yield from (_guess(self._bus, wish) for wish in self._pending.take(path))
            if on_wait:
                on_wait(self._pending.units())

    def _removed(self, path: str, result: str) -> None:
        self._ended += ((wish, result) for wish in self._pending.take(path))

    def _listen(self, until: float) -> None:
        """Wait until one of our jobs has ended: others' signals come here, too."""
        while not self._ended and (left := until - time.monotonic()) > 0:
            self._signals.wait(left)

    def _heard(self) -> Iterator[JobResult]:
        ended, self._ended = self._ended, []
        yield from (_result(self._bus, wish, result) for wish, result in ended)


class AsyncJobs:
    """Jobs that coroutines wait for. Use it in an `async with`, on the loop that it is entered on.

    Only the waiting is asynchronous. A call to systemd itself holds the loop up: some tenths of a millisecond, but for
    as long as a daemon-reload takes that has begun before. A bus that was restarted is connected to again.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._pending = Pending()
        self._answers: dict[Wish, asyncio.Future[JobResult]] = {}
        self._ended: list[tuple[str, str]] = []  # object path, result
        self._descriptor = -1  # the one that is watched
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> AsyncJobs:
        self._loop = asyncio.get_running_loop()
        self._signals = Signals(user_mode=self._bus.user_mode)
        self._signals.on_job_removed(lambda path, result: self._ended.append((path, result)))
        self._watch()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._unwatch()
        if self._timer:
            self._timer.cancel()
        for answer in self._answers.values():
            answer.cancel()
        self._signals.close()

    async def start(self, units: Sequence[str], *, timeout_us: int = INFINITY) -> tuple[JobResult, ...]:
        """Start units, as `Jobs.start`; results are in the order of the units."""
        return await self.run("StartUnit", units, timeout_us=timeout_us)

    async def stop(self, units: Sequence[str], *, timeout_us: int = INFINITY) -> tuple[JobResult, ...]:
        """Stop units, as `start`."""
        return await self.run("StopUnit", units, timeout_us=timeout_us)

    async def restart(self, units: Sequence[str], *, timeout_us: int = INFINITY) -> tuple[JobResult, ...]:
        """Restart units, as `start`; those that do not run are started."""
        return await self.run("RestartUnit", units, timeout_us=timeout_us)

    async def reload(self, units: Sequence[str], *, timeout_us: int = INFINITY) -> tuple[JobResult, ...]:
        """Have units read their configuration again, as `start`."""
        return await self.run("ReloadUnit", units, timeout_us=timeout_us)

    async def run(self, method: str, units: Sequence[str], *, timeout_us: int) -> tuple[JobResult, ...]:
        """Queue a job for each unit, and wait for all of them. Who is cancelled no longer waits; the jobs go on."""
        wishes = _wishes(method, units)
        try:
            answers = [self._ask(wish) for wish in wishes]
            if answers:
                await asyncio.wait(answers, timeout=None if timeout_us >= INFINITY else timeout_us / 1e6)
            return tuple(
                answer.result() if answer.done() else JobResult(unit=wish.unit, result="waiting")
                for wish, answer in zip(wishes, answers, strict=True)
            )
        finally:
            for wish in wishes:
                self._pending.forget(wish)
                self._answers.pop(wish, None)

    def _ask(self, wish: Wish) -> asyncio.Future[JobResult]:
        if self._descriptor < 0:
            self._renew()
        answer: asyncio.Future[JobResult] = self._loop.create_future()
        path = _queue(self._bus, wish)
        if isinstance(path, JobResult):
            answer.set_result(path)
            return answer
        self._pending.add(path, wish)
        self._answers[wish] = answer
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK_S, self._look)
        return answer

    def _watch(self) -> None:
        """Have the loop watch the descriptor, and deliver what came before it did."""
        self._descriptor = self._signals.fileno()
        self._loop.add_reader(self._descriptor, self._hear)
        self._hear()

    def _unwatch(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
        self._descriptor = -1

    def _hear(self) -> None:
        """Something has come, or the connection has gone."""
        if not self._signals.process():
            self._unwatch()
        ended, self._ended = self._ended, []
        for path, result in ended:
            for wish in self._pending.take(path):
                self._answer(wish, result)

    def _answer(self, wish: Wish, result: str | None) -> None:
        """Wake who waits for this; without a result it is guessed."""
        answer = self._answers.pop(wish)
        try:
            told = _guess(self._bus, wish) if result is None else _result(self._bus, wish, result)
        except TqunitsError as error:
            _fail(answer, error)
        else:
            answer.set_result(told)

    def _look(self) -> None:
        """A second has passed: read the list of jobs, and connect again where the bus has gone."""
        self._timer = None
        try:
            if self._descriptor < 0:
                self._renew()
            lost = self._pending.lost(self._bus.queued())
        except TqunitsError as error:
            self._give_up(error)
            return
        for path in lost:
            for wish in self._pending.take(path):
                self._answer(wish, None)
        if self._pending:
            self._timer = self._loop.call_later(_TICK_S, self._look)

    def _renew(self) -> None:
        self._signals.renew()
        self._watch()

    def _give_up(self, error: TqunitsError) -> None:
        """Nobody can tell what became of the jobs: there is no bus."""
        self._pending = Pending()
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            _fail(answer, error)


def _fail(answer: asyncio.Future[JobResult], error: TqunitsError) -> None:
    answer.set_exception(error)
    answer.exception()  # who waits for several is told the first: asyncio need not complain that the others went unread


def _wishes(method: str, units: Sequence[str]) -> list[Wish]:
    return [Wish(method, unit) for unit in dict.fromkeys(units)]


def _queue(bus: Bus, wish: Wish) -> str | JobResult:
    """Queue a job; its object path, or a result at once when systemd takes none."""
    try:
        return bus.queue(wish.method, wish.unit)
    except Refused as refusal:
        is_done = wish.method == "StopUnit" and isinstance(refusal, NotLoaded)  # what is not loaded does not run
        return JobResult(unit=wish.unit, result="done" if is_done else "refused", message=refusal.message)


def _guess(bus: Bus, wish: Wish) -> JobResult:
    """How a job has ended whose signal was lost, by the state of its unit."""
    state = bus.property_of(wish.unit, "Unit", "ActiveState", "s")
    wanted = {"inactive", "failed"} if wish.method == "StopUnit" else {"active", "reloading"}
    return _result(bus, wish, "done" if state in wanted else "failed")


def _result(bus: Bus, wish: Wish, result: str) -> JobResult:
    outcome = JobResult(unit=wish.unit, result=result)
    if result in {"failed", "timeout"} and wish.unit.endswith(".service"):
        return replace(outcome, failure=bus.failure(wish.unit))
    return outcome
