"""Whether an instance runs an older program than the one that lies there.

Of a worker that runs releases, another one may be its next. Otherwise the program is newer if its
last build has ended since the start of the process (host/plan.py restarts it then), or if its file
was changed since (worker_files.py).
"""

from __future__ import annotations

import time

from tqunits.host import built, release_links, worker_files
from tqunits.host.installed import Installed
from tqunits.host.observe import started_us
from tqunits.host.running_release import running_release
from tqunits.layout import Layout
from tqunits.system.bus import Bus
from tqunits.units.observed import is_newer


def newer(worker: Installed, bus: Bus, layout: Layout) -> str:
    """What to say of an instance that runs, if its program is newer than its process; otherwise, or
    when we may not look, empty. Raises TqunitsError."""
    links = {} if worker.ledger.folder_use is not None else release_links.runs_of(layout, worker.worker)
    wanted = links.get(worker.instance.number)
    if wanted is not None:
        runs = running_release(worker.instance, layout.runtime)
        return "" if runs in {None, wanted} else f"its next start runs release {wanted}, and it runs {runs}"
    started = started_us(bus, worker.unit)
    file = worker_files.program(worker_files.folder_of(worker.ledger.source), bus.command(worker.unit))
    times = {file.path: file.at or 0, "its program": built.times(layout).get(worker.worker, 0)}
    found = next((what for what, at in times.items() if is_newer(at, started, time.time_ns() // 1000)), "")
    return f"{found} is newer than its process: 'tqunits restart {worker.name}'" if found else ""
