"""What is kept of the installed workers: their ports, and which instances there are. The drop-ins
that lie on the host are the record (unitfile.Ledger)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from tqunits.model import Instance
from tqunits.units import name, unitfile
from tqunits.units.observed import ObservedFile
from tqunits.units.unitfile import Ledger

Files = Mapping[PurePosixPath, ObservedFile]


def kept_ports(files: Files) -> dict[Instance, int]:
    """Instance -> port, of replicas and surges."""
    return {whose: found.port for whose, found in _ledgers(files) if found.port is not None}


def kept_instances(files: Files) -> dict[str, list[Instance]]:
    """Worker -> its replicas, in the order of their numbers."""
    found: dict[str, list[Instance]] = {}
    for whose in sorted({whose for whose, ledger in _ledgers(files) if not ledger.is_surge}):
        found.setdefault(whose.worker, []).append(whose)
    return found


def kept_surges(files: Files) -> frozenset[Instance]:
    """The instances that are surges."""
    return frozenset(whose for whose, ledger in _ledgers(files) if ledger.is_surge)


def _ledgers(files: Files) -> Iterator[tuple[Instance, Ledger]]:
    for path, file in files.items():
        whose, found = name.instance_of(name.unit_at(path)), unitfile.ledger(file.content)
        if whose is not None and found is not None:
            yield whose, found
