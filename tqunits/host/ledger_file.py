"""Reads the ledger as it lies on the host (units/ledger.py).

It has the drop-ins of all instances, whose length their authors decide: so it has a bound of its
own, and not that of a single unit file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.units import ledger
from tqunits.units.ledger import LedgerEntry


def ledger_text(layout: Layout) -> str | None:
    """Its text; None where there is none that can be read."""
    try:
        return files.read_regular(Path(layout.ledger), ledger.MAX_LEDGER).decode("utf-8", "surrogateescape")
    except (OSError, TqunitsError):
        return None


def ledger_entries(layout: Layout) -> Mapping[str, LedgerEntry]:
    """Its entries, by the names of the instances; none where it can not be read."""
    return ledger.load(ledger_text(layout))
