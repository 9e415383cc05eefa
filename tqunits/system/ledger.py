"""The ledger on this host: read where a drop-in is lost (units/ledger.py has its format; install writes it).

Whoever removes workers has the ledger forget them first, or they would come back. All of it happens under the lock.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.model import Layout
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import ledger, name
from tqunits.units.ledger import Entry


def forget(layout: Layout, workers: Collection[str]) -> None:
    """These workers are to be removed."""
    before = _text(layout)
    if before is not None and any(w in workers for w in ledger.load(before)):
        files.write_atomically(_path(layout), ledger.without(before, workers), ledger.MODE)


def lost(layout: Layout) -> tuple[Entry, ...]:
    """The workers that are installed, and whose drop-in somebody has taken away.

    Whoever may not read the ledger knows nothing, as where there is none.
    """
    entries = ledger.load(_text(layout)).values()
    return tuple(e for e in entries if e.drop_in is not None and files.is_absent(_drop_in(e, layout)))


def put_back(layout: Layout, bus: Bus) -> tuple[Path, ...]:
    """Put back each drop-in that is lost; gives their paths. What runs is older than the file then."""
    entries = lost(layout)
    for entry in entries:
        files.write_atomically(_drop_in(entry, layout), entry.drop_in or "", 0o644)
    if entries:
        bus.reload_daemon()
    return tuple(_drop_in(entry, layout) for entry in entries)


def _drop_in(entry: Entry, layout: Layout) -> Path:
    return Path(name.drop_in(name.service(entry.worker), layout.units))


def _path(layout: Layout) -> Path:
    return Path(layout.state) / name.LEDGER_FILE


def _text(layout: Layout) -> str | None:
    try:
        return files.read_regular(_path(layout), ledger.MAX_LEDGER).decode("utf-8", "surrogateescape")
    except (OSError, TqunitsError):
        return None
