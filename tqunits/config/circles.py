"""Workers that wait for each other in a circle. systemd breaks it: it leaves out the start of one unit, whichever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set

from tqunits.model import Worker

_BEGIN, _END = "tq-worker@", ".service"


def circles(workers: Iterable[Worker]) -> Iterator[tuple[str, ...]]:
    """The names of each circle, its first one again at the end; a worker is in one of them at most."""
    waits = _waits(workers)
    told: set[str] = set()
    for worker in sorted(waits):
        found = () if worker in told else _way_back(worker, waits)
        if found:
            told.update(found)
            yield found


def _way_back(start: str, waits: Mapping[str, Set[str]]) -> tuple[str, ...]:
    """The shortest way from a worker to itself, by whom it waits for."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:
        for after in sorted(waits.get(way[-1], frozenset())):
            if after == start:
                return (*way, start)
            if after not in seen:
                seen.add(after)
                ways.append((*way, after))
    return ()


def _waits(workers: Iterable[Worker]) -> Mapping[str, Set[str]]:
    """Worker -> the units that have to have started before it. That `depends` names the worker itself is said there."""
    waits: defaultdict[str, set[str]] = defaultdict(set)
    for worker in workers:
        of_settings = {_worker(unit) for unit in (*worker.depends.after, *worker.depends.requires)} - {worker.name}
        waits[worker.name] |= of_settings | {_worker(unit) for unit in _ordered(worker, "After")}
        for unit in _ordered(worker, "Before"):
            waits[_worker(unit)].add(worker.name)
    return waits


def _ordered(worker: Worker, directive: str) -> Iterator[str]:
    return (unit for _, name, value in worker.unit if name == directive for unit in value.split())


def _worker(unit: str) -> str:
    """The worker that a unit is of; any other unit stands for itself, which is no worker's name."""
    is_workers = unit.startswith(_BEGIN) and unit.endswith(_END)
    return unit.removeprefix(_BEGIN).removesuffix(_END) if is_workers else unit
