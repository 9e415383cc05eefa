"""Adds up what all router processes have counted, so that no sum falls while the manager runs.

A process that was started again counts from 0, and one that does not answer counts nothing at all.
Whoever reads the sum would take its fall for a restart of everything, and the next sum for so many
new requests. So the last numbers of each process are kept, and those of its ended runs are added to
what it counts now. A manager that is started again begins with what the processes count then.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tqunits.metrics.exposition_reader import MAX_NAMES, RouterNumbers

MAX_PROCESSES: Final = 64
"""As many as `proxy.processes` may be."""


class Totals:
    """The numbers of all processes of the host."""

    def __init__(self) -> None:
        self._last: dict[str, RouterNumbers] = {}  # by process
        self._ended = RouterNumbers()  # of runs that have ended

    def take(self, process: str, found: RouterNumbers) -> None:
        """A process has told its numbers. Raises ValueError where there are too many processes."""
        before = self._last.get(process)
        if before is None and len(self._last) >= MAX_PROCESSES:
            raise ValueError(f"more than {MAX_PROCESSES} processes")
        if before is not None and _has_begun_anew(before, found):
            self._end(before)
        self._last[process] = found

    def all(self, answered: Collection[str]) -> RouterNumbers:
        """The sums. What stands at the moment is told by the processes that have just answered."""
        found = RouterNumbers()
        for each in (self._ended, *self._last.values()):
            found.metrics.add(each.metrics)
            found.log_dropped += each.log_dropped
        for process in answered:
            _add_moment(found, self._last[process])
        return found

    def _end(self, run: RouterNumbers) -> None:
        """Keep the numbers of a run that is over; of as many workers as one process may have."""
        known = self._ended.metrics.workers
        for name in list(run.metrics.workers):
            if name not in known and len(known) >= MAX_NAMES:
                del run.metrics.workers[name]
        self._ended.metrics.add(run.metrics)
        self._ended.log_dropped += run.log_dropped


def _has_begun_anew(before: RouterNumbers, after: RouterNumbers) -> bool:
    """Whether a number has fallen, which none does while its process runs."""
    later = after.metrics.workers
    return (
        after.log_dropped < before.log_dropped
        or _falls(before.metrics.numbers(), after.metrics.numbers())
        or any(
            name not in later or _falls(worker.numbers(), later[name].numbers())
            for name, worker in before.metrics.workers.items()
        )
    )


def _falls(before: list[int], after: list[int]) -> bool:
    return any(now < then for then, now in zip(before, after, strict=True))


def _add_moment(found: RouterNumbers, process: RouterNumbers) -> None:
    found.connections += process.connections
    for endpoint, count in process.in_flight.items():
        found.in_flight[endpoint] = found.in_flight.get(endpoint, 0) + count
    for certificate, ends in process.certificates.items():  # a process may still have the one before
        found.certificates[certificate] = min(ends, found.certificates.get(certificate, ends))
