"""Which worker gets which port: once assigned, a port is kept for the worker's life.

A port that moves breaks whatever an administrator has written about it (a firewall rule, a monitor), and would need a
restart of an unchanged worker. So the installed drop-ins are the memory: what they say is kept, whatever happens to
the range, and only a worker without a port gets a new one: the lowest that is free.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tqunits.errors import ConfigurationError, Diagnostic, Severity
from tqunits.model import Configuration, Listen, Worker, WorkerType


def assign_ports(
    configuration: Configuration, kept: Mapping[str, int], *, busy: Collection[int] = frozenset()
) -> dict[str, int]:
    """Worker name -> port, for every worker that listens on TCP.

    `kept` has the ports of the installed workers, also of those that are no longer configured: these stay reserved
    until they are removed. `busy` are ports that other programs of the host listen on now: nobody gets them anew.

    Raises ConfigurationError when `workers.port_range` has no port left.
    """
    workers = [w for w in configuration.workers if w.listen is Listen.TCP and w.type is not WorkerType.STATIC]
    pinned = {w.name: w.port for w in workers if w.port is not None}
    ports = pinned | _still_valid(workers, kept, frozenset(pinned.values()))
    reserved = {*ports.values(), *kept.values(), *busy}
    low, high = configuration.server.workers.port_range
    free = (port for port in range(low, high + 1) if port not in reserved)
    for worker in workers:
        if worker.name not in ports:
            port = next(free, None)
            if port is None:
                raise ConfigurationError([_exhausted(configuration, worker)])
            ports[worker.name] = port
    return {worker.name: ports[worker.name] for worker in workers}


def _still_valid(workers: list[Worker], kept: Mapping[str, int], pinned: Collection[int]) -> dict[str, int]:
    """The kept ports of unpinned workers; one that another worker has pinned since is given up."""
    return {w.name: kept[w.name] for w in workers if w.port is None and w.name in kept and kept[w.name] not in pinned}


def _exhausted(configuration: Configuration, worker: Worker) -> Diagnostic:
    low, high = configuration.server.workers.port_range
    origin = configuration.server.origins.get("workers.port_range")
    return Diagnostic(
        severity=Severity.ERROR,
        message=f"no port is left in {low}-{high} for worker {worker.name!r}",
        mark=origin.mark if origin else None,
        hint="widen workers.port_range in tqunits.yaml, or remove workers that are gone with 'tqunits apply'",
    )
