"""Starts, stops and restarts instances for those who may ask for it, and tells what came of it.

systemd is asked with the mode `replace` and no other, for whole names of services of installed
workers, so an operator can neither cancel the jobs of others nor block them. The jobs go on
whether somebody waits for them or not.

A stop is written down for the routers before it begins (readiness_file.py), so that no request
waits for a stopped worker; it is taken back for what was not stopped. A stop by root stands in
root's own file (host/traffic_file.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tqunits.control import job_results
from tqunits.control.protocol import Body, Problem
from tqunits.errors import TqunitsError
from tqunits.lifecycle.outcome import STOPS, JobResult
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.record import InstanceRecord
from tqunits.manager.unit_jobs import run_workers
from tqunits.model import Instance
from tqunits.system.bus import Bus
from tqunits.units import name


def operable(
    instances: Iterable[Instance], records: Mapping[Instance, InstanceRecord], method: str
) -> tuple[Instance, ...]:
    """Of these instances those that others than the manager may operate: replicas, and in a stop
    surges that run."""
    stops = method == "StopUnit"
    return tuple(w for w in instances if not (records[w].rests if stops else records[w].place.is_surge))


async def operate(bus: Bus, readiness: ReadinessFile, method: str, instances: Sequence[Instance], wait_us: int) -> Body:
    """Queue a job for each instance, and wait so long for all of them. Raises Problem."""
    stops = method == "StopUnit"
    (readiness.stop if stops else readiness.wanted)(instances)
    try:
        results = await run_workers(bus, method, [name.service(whose) for whose in instances], timeout_us=wait_us)
    except TqunitsError as error:
        readiness.wanted(instances)
        raise Problem(503, str(error)) from None
    if stops:
        failed = {result.unit for result in results if result.result not in STOPS}
        readiness.wanted(whose for whose in instances if name.service(whose) in failed)
    return job_results.body(results if wait_us else map(_queued, results))


def _queued(result: JobResult) -> JobResult:
    """Who did not want to wait did not wait too short."""
    return replace(result, result="queued") if result.result == "waiting" else result
