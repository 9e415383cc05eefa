"""Starts, stops and restarts instances for those who may ask for it, and tells what came of it.

systemd is asked with the mode `replace` and no other, for whole names of services of installed
workers, so an operator can neither cancel the jobs of others nor block them. The jobs go on
whether somebody waits for them or not.

What a stop by root marks for the routers (host/traffic_file.py), so that no request waits for a
stopped worker, is not marked here: the manager may not write root's file. Requests wait as after
`systemctl stop`, up to `timeouts.start`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tqunits.control import job_results
from tqunits.control.protocol import Body, Problem
from tqunits.errors import NotPermitted, TqunitsError
from tqunits.host import pauses
from tqunits.lifecycle.outcome import JobResult
from tqunits.model import Instance
from tqunits.system.async_jobs import AsyncJobs
from tqunits.system.bus import Bus
from tqunits.units import name

_PAUSE_US: Final = 5_000_000
"""For the end of a pause after a failed start, which takes no time."""


async def operate(bus: Bus, method: str, instances: Sequence[Instance], wait_us: int) -> Body:
    """Queue a job for each instance, and wait so long for all of them. Raises Problem."""
    units = [name.service(whose) for whose in instances]
    try:
        async with AsyncJobs(bus) as jobs:
            if method != "StopUnit":
                await jobs.stop(pauses.cleared(bus, units), timeout_us=_PAUSE_US)
            results = await jobs.run(method, units, timeout_us=wait_us)
    except NotPermitted:
        text = "polkit lets the manager start and stop nothing: 'tqunits doctor' tells why"
        raise Problem(503, text) from None
    except TqunitsError as error:
        raise Problem(503, str(error)) from None
    return job_results.body(results if wait_us else map(_queued, results))


def _queued(result: JobResult) -> JobResult:
    """Who did not want to wait did not wait too short."""
    return replace(result, result="queued") if result.result == "waiting" else result
