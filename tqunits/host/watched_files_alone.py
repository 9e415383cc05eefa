"""Which workers of static files alone are watched: they have no drop-in, and ledger.json has their
note."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tqunits.host.ledger_file import ledger_entries
from tqunits.layout import Layout
from tqunits.units import watch_note
from tqunits.units.watch_note import WatchNote


class WatchedFilesAlone(NamedTuple):
    """One of them."""

    source: str  # its worker.yaml
    note: WatchNote
    source_hash: str  # of the worker.yaml that is installed; "": an earlier release has not noted it


def watched_files_alone(layout: Layout) -> Mapping[str, WatchedFilesAlone]:
    """They, by their names; none where the ledger can not be read."""
    entries = ledger_entries(layout)
    noted = {each.worker: (each, watch_note.read(each.watch)) for each in entries.values() if each.watch}
    return {
        worker: WatchedFilesAlone(entry.source, note, entry.source_hash or "")
        for worker, (entry, note) in noted.items()
        if note is not None
    }
