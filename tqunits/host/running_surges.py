"""The surges that run now, as they do during a roll (model.Worker.surge)."""

from __future__ import annotations

from collections.abc import Collection

from tqunits.host import pauses
from tqunits.host.installed import Installed, slots
from tqunits.layout import Layout
from tqunits.system.bus import Bus


def running_surges(bus: Bus, layout: Layout, workers: Collection[str]) -> tuple[Installed, ...]:
    """Those of these workers. One that waits for its next start counts: it would come again."""
    surges = [each for each in slots(layout) if each.ledger.is_surge and each.worker in workers]
    if not surges:
        return ()
    loaded, paused = pauses.loaded_workers(bus)
    up = {unit for unit, status in loaded.items() if not status.is_resting} | paused
    return tuple(each for each in surges if each.unit in up)
