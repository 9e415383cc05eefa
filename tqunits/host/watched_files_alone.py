"""Which workers of static files alone are watched: they have no drop-in, and ledger.json has their
note."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.units import ledger, watch_note
from tqunits.units.watch_note import WatchNote


class WatchedFilesAlone(NamedTuple):
    """One of them."""

    source: str  # its worker.yaml
    note: WatchNote
    source_hash: str  # of the worker.yaml that is installed; "": an earlier release has not noted it


def watched_files_alone(layout: Layout) -> Mapping[str, WatchedFilesAlone]:
    """They, by their names; none where the file can not be read."""
    try:
        entries = ledger.load(files.read_text_if_exists(Path(layout.ledger)))
    except (OSError, TqunitsError):
        return {}
    noted = {each.worker: (each, watch_note.read(each.watch)) for each in entries.values() if each.watch}
    return {
        worker: WatchedFilesAlone(entry.source, note, entry.source_hash or "")
        for worker, (entry, note) in noted.items()
        if note is not None
    }
