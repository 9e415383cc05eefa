"""Which workers of static files alone are watched: they have no drop-in, and ledger.json has their
note."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.units import ledger, watch_note
from tqunits.units.watch_note import WatchNote


def watched_files_alone(layout: Layout) -> Mapping[str, tuple[str, WatchNote]]:
    """Worker -> its worker.yaml, and what is watched; none where the file can not be read."""
    try:
        entries = ledger.load(files.read_text_if_exists(Path(layout.ledger)))
    except (OSError, TqunitsError):
        return {}
    noted = {each.worker: (each.source, watch_note.read(each.watch)) for each in entries.values() if each.watch}
    return {worker: (source, note) for worker, (source, note) in noted.items() if note is not None}
