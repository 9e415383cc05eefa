"""Which workers have a surge: one more instance, which a roll starts on the new release, so that
the worker never has less than its replicas. Install writes its units; only the manager starts it.

A surge is a help, and takes nothing from anybody. Its port is the highest free one, so that the
ports of the replicas are what they would be without it; and where no port is left, the worker has
no surge and its rolls do without. A user's own service manager has none: rolls are for hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, Instance, Listen, Worker
from tqunits.units.ports import free_ports


@dataclass(frozen=True, slots=True)
class Surges:
    """The configuration whose workers have their surges, and the ports of all instances."""

    configuration: Configuration
    ports: Mapping[Instance, int]


def with_surges(
    configuration: Configuration,
    ports: Mapping[Instance, int],
    kept: Mapping[Instance, int],
    *,
    busy: Collection[int] = frozenset(),
) -> Surges:
    """Give each worker that runs a surge, if it can have one.

    `ports`: those of the replicas. `kept`: those of the installed instances, which keep them.
    `busy`: those of other programs.
    """
    surging = {worker.name: replace(worker, has_surge=True) for worker in configuration.running()}
    given = _given([w for w in surging.values() if w.listen is Listen.TCP], configuration, ports, kept, busy)
    has_none = {w.name for w in surging.values() if w.listen is Listen.TCP and w.surge not in given}
    workers = (surging.get(w.name, w) if w.name not in has_none else w for w in configuration.workers)
    return Surges(replace(configuration, workers=tuple(workers)), {**ports, **given})


def _given(
    workers: Collection[Worker],
    configuration: Configuration,
    ports: Mapping[Instance, int],
    kept: Mapping[Instance, int],
    busy: Collection[int],
) -> Mapping[Instance, int]:
    """The ports of the surges: that of before, unless a replica has needed it, or a new one."""
    wanted = [worker.surge for worker in workers if worker.surge is not None]
    taken = {*ports.values()}
    given = {whose: kept[whose] for whose in wanted if whose in kept and kept[whose] not in taken}
    free = free_ports(configuration.server, {*taken, *kept.values(), *busy}, downwards=True)
    for whose in wanted:
        port = None if whose in given else next(free, None)
        if port is not None:
            given[whose] = port
    return given
