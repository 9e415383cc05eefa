"""Workers that wait for each other in a circle. systemd would break the circle by leaving out the
start of one unit, which may be any of them.

Every worker whose YAML has written a part of the circle is refused. The author of a part need not
be the worker that waits: a worker may order itself before another one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import pairwise

from tqunits.model import Worker
from tqunits.units import name
from tqunits.units.refusal import Refusal, refusal

Waits = Mapping[str, Mapping[str, Set[str]]]
"""Worker -> the workers that must start before it -> the workers whose YAML says so."""


def refusals(workers: Iterable[Worker]) -> Iterator[Refusal]:
    """The refusals: at the authors that are not root's workers, if there are any, otherwise at all
    authors."""
    named = {worker.name: worker for worker in workers}
    waits = waits_of(named.values())
    for circle in circles(waits):
        authors = {author for waiter, awaited in pairwise(circle) for author in waits[waiter][awaited]}
        requests = {author for author in authors if named[author].not_roots is not None}
        for author in sorted(requests or authors):
            message = f"{' waits for '.join(circle)}: systemd would leave out the start of one of them"
            hint = "remove one of these dependencies"
            settings = ("depends.after", "depends.requires", "unit")
            yield refusal(named[author], message, hint, *settings, item=_part(author, circle, waits))


def _part(author: str, circle: tuple[str, ...], waits: Waits) -> str | None:
    """The unit of the other worker in the author's part of the circle."""
    for waiter, awaited in pairwise(circle):
        if author in waits[waiter][awaited]:
            return name.service(awaited if author == waiter else waiter)
    return None


def circles(waits: Waits) -> Iterator[tuple[str, ...]]:
    """The names of each circle, with the first one again at the end. A worker is in one circle at
    most."""
    told: set[str] = set()
    for worker in sorted(_knotted(waits)):
        found = () if worker in told else _way_back(worker, waits)
        if found:
            told.update(found)
            yield found


def _knotted(waits: Waits) -> Set[str]:
    """Workers that wait, directly or not, for a worker in a circle. Usually there are none."""
    left = set(waits)
    while free := {worker for worker in left if not left & waits[worker].keys()}:
        left -= free
    return left


def _way_back(start: str, waits: Waits) -> tuple[str, ...]:
    """The shortest way along the waits from a worker to itself."""
    came_from: dict[str, str] = {}
    reached = [start]
    for waiter in reached:
        for awaited in sorted(waits.get(waiter, {})):
            if awaited == start:
                return (*_way(start, waiter, came_from), start)
            if awaited not in came_from:
                came_from[awaited] = waiter
                reached.append(awaited)
    return ()


def _way(start: str, end: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))


def waits_of(workers: Iterable[Worker]) -> Waits:
    """Who waits for whom, in these workers' YAML. A worker that `depends` on itself is left out:
    another check reports it."""
    waits: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for worker in workers:
        of_settings = {_worker(unit) for unit in (*worker.depends.after, *worker.depends.requires)} - {worker.name}
        for awaited in of_settings | {_worker(unit) for unit in _ordered(worker, "After")}:
            waits[worker.name][awaited].add(worker.name)
        for unit in _ordered(worker, "Before"):
            waits[_worker(unit)][worker.name].add(worker.name)
    return waits


def _ordered(worker: Worker, wanted: str) -> Iterator[str]:
    return (unit for _, directive, value in worker.unit if directive == wanted for unit in value.split())


def _worker(unit: str) -> str:
    """The worker that a unit is a process of; any other unit stands for itself, which is no
    worker's name."""
    found = name.worker_of(unit) if name.is_worker(unit) else None
    return found or unit
