"""The notes in a worker's drop-in: what `unitfile.ledger` reads back."""

from __future__ import annotations

from collections.abc import Iterable

from tqunits.model import Worker
from tqunits.units import failure_pause, folder_note, health_note, quote, unitfile
from tqunits.units.unitfile import Assignment, Copy


def assignments(
    worker: Worker,
    port: int | None,
    socket: str | None,
    *,
    copies: Iterable[Copy],
    watch: str | None,
    operators: Iterable[str],
    restart_hash: str,
    enabled: bool,
) -> Iterable[Assignment]:
    """The section [X-Tqunits] of an instance. `watch`: the note about its worker's files; None:
    they are not watched."""
    rows: list[tuple[str, str]] = [
        ("Worker", worker.name),
        ("Source", str(worker.source)),
        (unitfile.SOURCE_HASH, worker.source_hash),
        ("Socket", socket) if socket else ("Port", str(port)),
        *(("Route", route) for route in worker.routes),
        *(("Host", host) for host in worker.hosts),
        *(("Copy", unitfile.copy_note(copy)) for copy in copies),
        ("Backoff", failure_pause.note(worker.restart)),
        ("Health", health_note.note(worker.health)),
        *([("Watch", watch)] if watch is not None else []),
        *((unitfile.FOLDER_USE, use.value) for use in [folder_note.use_of(worker)] if use is not None),
        *(("Operator", operator) for operator in operators),
        ("Enabled", quote.boolean(value=enabled)),
        ("RestartHash", restart_hash),
    ]
    return [Assignment(unitfile.LEDGER, key, quote.text(value)) for key, value in rows]
