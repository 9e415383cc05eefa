"""The ledger on this host: read where a drop-in is lost (units/ledger.py has its format; install
writes it).

Whoever removes workers has the ledger forget them first, or they would come back. All of it happens
under the lock.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import ledger, name
from tqunits.units.ledger import LedgerEntry
from tqunits.units.observed import ObservedFile


def forget(layout: Layout, workers: Collection[str]) -> None:
    """These workers are to be removed."""
    before = _text(layout)
    if before is not None and any(entry.worker in workers for entry in ledger.load(before).values()):
        files.write_atomically(_path(layout), ledger.without(before, workers), ledger.MODE)


def lost(layout: Layout) -> tuple[LedgerEntry, ...]:
    """The instances that are installed, and whose drop-in somebody has taken away.

    Whoever may not read the ledger knows nothing, as where there is none.
    """
    entries = ledger.load(_text(layout)).values()
    return tuple(e for e in entries if e.drop_in is not None and files.is_absent(_drop_in(e, layout)))


def put_back(layout: Layout, bus: Bus) -> tuple[Path, ...]:
    """Put back each drop-in that is lost; gives their paths.

    It gets the time of the ledger, which was written after it: who was started since then has what
    it says, and needs no restart. Of who was started before nobody knows, for the ledger tells of
    others too: that is a restart too many at worst.
    """
    entries = lost(layout)
    time_ns = _written(layout) if entries else 0
    for entry in entries:
        path = _drop_in(entry, layout)
        files.write_atomically(path, entry.drop_in or "", 0o644)
        os.utime(path, ns=(time_ns, time_ns))
    if entries:
        bus.reload_daemon()
    return tuple(_drop_in(entry, layout) for entry in entries)


def put_back_later(layout: Layout) -> Mapping[PurePosixPath, ObservedFile]:
    """Those drop-ins as they will lie there then."""
    entries = lost(layout)
    modified = _written(layout) // 1000 if entries else 0
    return {
        PurePosixPath(_drop_in(entry, layout)): ObservedFile(content=entry.drop_in or "", modified=modified)
        for entry in entries
    }


def _drop_in(entry: LedgerEntry, layout: Layout) -> Path:
    return Path(name.drop_in(name.service(entry.whose), layout.units))


def _path(layout: Layout) -> Path:
    return Path(layout.ledger)


def _written(layout: Layout) -> int:
    """When, in ns since 1970. One from a backup may be of before its time; nobody sets the other
    one back."""
    found = _path(layout).stat()
    return max(found.st_mtime_ns, found.st_ctime_ns)


def _text(layout: Layout) -> str | None:
    try:
        return files.read_regular(_path(layout), ledger.MAX_LEDGER).decode("utf-8", "surrogateescape")
    except (OSError, TqunitsError):
        return None
