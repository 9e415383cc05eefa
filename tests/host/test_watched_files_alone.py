"""Which workers of static files alone are watched."""

from __future__ import annotations

from pathlib import Path

import pytest
from host.releases import layout_in
from manager.watched_folder import ALL

from tqunits.host.watched_files_alone import watched_files_alone
from tqunits.units import ledger, watch_note
from tqunits.units.ledger import LedgerEntry


def test_those_with_a_note_are_watched(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    assert watched_files_alone(layout) == {}
    entries = [
        LedgerEntry(worker="docs", source="/srv/docs/config/worker.yaml", source_hash="1", watch=watch_note.note(ALL)),
        LedgerEntry(worker="calm", source="/srv/calm/config/worker.yaml", source_hash="2"),
        LedgerEntry(worker="odd", source="/srv/odd/config/worker.yaml", watch="{}"),
    ]
    Path(layout.ledger).write_text(ledger.dump(entries))
    assert watched_files_alone(layout) == {"docs": ("/srv/docs/config/worker.yaml", ALL, "1")}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 0, "workers": {}}'])
def test_a_ledger_that_does_not_read_has_none(tmp_path: Path, content: str) -> None:
    layout = layout_in(tmp_path)
    Path(layout.ledger).write_text(content)
    assert watched_files_alone(layout) == {}
    Path(layout.ledger).unlink()
    Path(layout.ledger).mkdir()
    assert watched_files_alone(layout) == {}
