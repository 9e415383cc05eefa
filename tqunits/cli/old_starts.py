"""Who runs as it was started, though something has changed since that a restart alone takes: as
root has written it down (host/restart_waits.py)."""

from __future__ import annotations

import time

from tqunits.errors import TqunitsError
from tqunits.host import restart_waits
from tqunits.host.restart_waits import RestartWaits
from tqunits.host.status import InstanceStatus
from tqunits.layout import Layout


def waits(layout: Layout) -> RestartWaits:
    """Who waits; nobody where the note can not be read, which is a report and no more."""
    try:
        return restart_waits.read(layout)
    except (OSError, ValueError, TqunitsError):
        return {}


def why_old(worker: str, status: InstanceStatus | None, found: RestartWaits) -> str:
    """What has changed since the start of an instance of this worker; "" for one that does not
    wait."""
    wait = found.get(worker)
    if wait is None or status is None or status.uptime_us is None:
        return ""
    return wait.why if time.time_ns() // 1000 - status.uptime_us < wait.since_us else ""
