"""Jobs of systemd for coroutines, with the table of jobs.py.

It is a file of its own because asyncio costs a command 20 ms, and the command line has no
coroutines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tqunits.errors import TqunitsError
from tqunits.lifecycle.outcome import JobResult
from tqunits.model import INFINITY
from tqunits.system.bus import Bus
from tqunits.system.jobs import TICK_S, Pending, Wish, guessed, queued_as, told, wishes_of
from tqunits.system.signals import Signals


class AsyncJobs:
    """Jobs that coroutines wait for. Use it in an `async with`, on the loop on which it is entered.

    Only the waiting is asynchronous. A call to systemd itself blocks the loop: for some tenths of a
    millisecond, or as long as a running daemon-reload takes. After a restart of the bus it connects
    again.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._pending = Pending()
        self._answers: dict[Wish, asyncio.Future[JobResult]] = {}
        self._ended: list[tuple[str, str]] = []  # object path, result
        self._descriptor = -1  # the watched descriptor
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

    async def run(
        self, method: str, units: Sequence[str], *, timeout_us: int, mode: str = "replace"
    ) -> tuple[JobResult, ...]:
        """Queue a job for each unit, and wait for all of them. A cancelled caller no longer waits;
        the jobs go on. `mode`: of systemd's StartUnit()."""
        wishes = wishes_of(method, units, mode)
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
        path = queued_as(self._bus, wish)
        if isinstance(path, JobResult):
            answer.set_result(path)
            return answer
        self._pending.add(path, wish)
        self._answers[wish] = answer
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._look)
        return answer

    def _watch(self) -> None:
        """Have the loop watch the descriptor, and deliver what came before."""
        self._descriptor = self._signals.fileno()
        self._loop.add_reader(self._descriptor, self._hear)
        self._hear()

    def _unwatch(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
        self._descriptor = -1

    def _hear(self) -> None:
        """A message has come, or the connection is gone."""
        if not self._signals.process():
            self._unwatch()
        ended, self._ended = self._ended, []
        for path, result in ended:
            for wish in self._pending.take(path):
                self._answer(wish, result)

    def _answer(self, wish: Wish, result: str | None) -> None:
        """Wake the coroutine that waits for this job. Without a result it is guessed."""
        answer = self._answers.pop(wish)
        try:
            came = guessed(self._bus, wish) if result is None else told(self._bus, wish, result)
        except TqunitsError as error:
            _fail(answer, error)
        else:
            answer.set_result(came)

    def _look(self) -> None:
        """Once a second: read the list of jobs, and connect again if the bus has gone."""
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
            self._timer = self._loop.call_later(TICK_S, self._look)

    def _renew(self) -> None:
        self._signals.renew()
        self._watch()

    def _give_up(self, error: TqunitsError) -> None:
        """There is no bus any more, so the outcome of the jobs can not be known."""
        self._pending = Pending()
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            _fail(answer, error)


def _fail(answer: asyncio.Future[JobResult], error: TqunitsError) -> None:
    answer.set_exception(error)
    answer.exception()  # the waiting coroutine gets the first exception; asyncio must not report the others as unread
