"""Checks of `doctor`: whether the installed workers match the configuration, run, and can be
reached only through the router.

Read-only, as in host/diagnosis.py. It opens only drop-ins and files of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tqunits.host import pauses
from tqunits.host.diagnosis import Finding, ok, problem, warning
from tqunits.host.stale_copies import changed
from tqunits.lifecycle.state import State, of_unit
from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, WorkerType, account_of
from tqunits.system.bus import UnitStatus
from tqunits.system.listeners import Listener
from tqunits.units.unitfile import Ledger
from tqunits.units.vanished import sentence


@dataclass(frozen=True, slots=True)
class InstalledWorker:
    """An installed worker: the values in its drop-in, and its user."""

    ledger: Ledger
    user: str


def drift(settings: Configuration, workers: Sequence[InstalledWorker]) -> Finding:
    """Whether each worker is installed as it is configured now."""
    installed = {worker.ledger.worker: worker.ledger.source_hash for worker in workers}
    configured = {w.name: w.source_hash for w in settings.workers if w.type is not WorkerType.STATIC}
    differences = {
        "not installed": configured.keys() - installed.keys(),
        "changed since install": {n for n in configured.keys() & installed if configured[n] != installed[n]},
        "no longer configured": installed.keys() - settings.names,
    }
    found = [f"{what}: {sentence(names)}" for what, names in differences.items() if names]
    if not found:
        return ok("drift", f"{len(installed)} workers are installed as they are configured")
    advice = "'tqunits diff --prune' shows it; 'tqunits install --now' takes it over, 'tqunits apply' removes as well"
    return warning("drift", "; ".join(found), advice)


def secrets(workers: Sequence[InstalledWorker]) -> Iterator[Finding]:
    """Files that were copied for workers and have changed since."""
    found = [f"{path} ({worker.ledger.worker})" for worker in workers for path in changed(worker.ledger.copies)]
    if found:
        advice = "'tqunits install --now' gives it to them as it is now"
        yield warning("secrets", f"changed since they were copied: {sentence(found)}", advice)


def restarting(units: Sequence[UnitStatus]) -> Iterator[Finding]:
    """Workers that crash again and again; systemd does not list them as failed. During a back-off
    systemd 252 reports a worker as stopped."""
    again = {unit.name for unit in units if of_unit(unit.active, unit.sub) is State.UNHEALTHY}
    found = again | pauses.pausing((unit.name, unit.active) for unit in units)
    if found:
        advice = "'tqunits why NAME' tells why; of the router, 'tqunits logs --router'"
        yield problem("units", f"fail again and again: {sentence(found)}", advice)


def exposed(
    workers: Sequence[InstalledWorker], listeners: Iterable[Listener], users: Mapping[int, str]
) -> Iterator[Finding]:
    """Workers that clients in the network can reach without the router.

    `users`: uid -> name. An account that several workers or other programs share does not tell
    whose socket it is; there the port does.
    """
    accounts: dict[str, list[InstalledWorker]] = {}
    for worker in workers:
        accounts.setdefault(worker.user, []).append(worker)
    found = [
        f"{owner} on port {listener.port}"
        for listener in listeners
        if not listener.is_local and (owner := _owner(listener, accounts.get(users.get(listener.uid, ""), ())))
    ]
    if found:
        message = f"listens on more than loopback, so clients pass the router by: {sentence(set(found))}"
        yield warning("exposure", message, "have it listen on 127.0.0.1 ($WORKER_PORT), or set `listen: unix`")


def _owner(listener: Listener, workers: Sequence[InstalledWorker]) -> str | None:
    """The worker that has this socket, of those that run as the socket's user."""
    for worker in workers:
        if worker.ledger.port == listener.port or worker.user == account_of(worker.ledger.worker):
            return worker.ledger.worker
    return None
