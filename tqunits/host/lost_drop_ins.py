"""Finds and restores drop-ins that somebody has removed, by the ledger of this host
(units/ledger.py has its format; install writes it).

A removal of workers first removes them from the ledger; otherwise they would come back. All of this
runs under the lock.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from tqunits.host.ledger_file import ledger_text
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.system.bus import Bus
from tqunits.units import ledger, name
from tqunits.units.ledger import LedgerEntry
from tqunits.units.observed import ObservedFile


def forget(layout: Layout, workers: Collection[str]) -> None:
    """Remove these workers from the ledger, before they are removed from the host."""
    before = ledger_text(layout)
    if before is not None and any(entry.worker in workers for entry in ledger.load(before).values()):
        files.write_atomically(_path(layout), ledger.without(before, workers), ledger.MODE)


def lost(layout: Layout) -> tuple[LedgerEntry, ...]:
    """The installed instances whose drop-in somebody has removed.

    Empty when there is no ledger, or we may not read it.
    """
    entries = ledger.load(ledger_text(layout)).values()
    return tuple(e for e in entries if e.drop_in is not None and files.is_absent(_drop_in(e, layout)))


def put_back(layout: Layout, bus: Bus) -> tuple[Path, ...]:
    """Put back each lost drop-in; returns their paths.

    A drop-in gets the time of the ledger, which was written after it. An instance that was started
    after that time has the drop-in's settings and needs no restart. Of an older instance nobody
    knows, because the ledger was also written for other workers: at worst there is one restart too
    many.
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
    """The lost drop-ins as `put_back` will write them."""
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
    """When the ledger was written, in ns since 1970. The mtime of a restored file may be older than
    the file; the ctime can not be set back."""
    found = _path(layout).stat()
    return max(found.st_mtime_ns, found.st_ctime_ns)
