"""The marks of workers that were stopped (leave.py): what is left of them when the worker is no longer installed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tqunits.model import Layout
from tqunits.units import name


def remove_stale(layout: Layout) -> None:
    """Remove the marks of workers without a drop-in."""
    folder = Path(layout.runtime) / "draining"
    with suppress(FileNotFoundError):
        for mark in folder.iterdir():
            drop_in = Path(layout.units) / f"{name.service(mark.name)}.d" / name.DROP_IN
            if not drop_in.exists():
                mark.unlink(missing_ok=True)
