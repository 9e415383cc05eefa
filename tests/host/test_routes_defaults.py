"""Defaults are the same in worker.yaml and tqunits.yaml, in routes.json, and for --route."""

from __future__ import annotations

from dataclasses import asdict, fields

import pytest
from config.parsing import workers
from units.cases import target

from tqunits.host.routes import routes_snapshot
from tqunits.model import Instance
from tqunits.routing.codec.schema import USUAL, parse_snapshot
from tqunits.routing.snapshot import RoutedWorker, Snapshot, WorkerTimeouts
from tqunits.routing.spelling import parse_route, snapshot_around, worker_of

WHOSE = {"name", "hosts", "routes", "endpoints", "workers"}
"""The settings that differ for each worker."""

OTHERWISE = {
    "start_us": "who runs a worker without a unit says nothing of its start, and is never taken for down",
    "access_log": "where --access-log is not given nothing is logged: there may be no journal",
    "max_connections_per_client": "a router that is run by hand may have one client alone, for a measurement",
}
"""The settings that `--route` does not take, with the reason."""


def installed() -> Snapshot:
    """The routes that install writes for files without settings."""
    configuration = workers({"api": "path: /api\ntype: go\n"}).configuration
    assert configuration is not None
    return parse_snapshot(routes_snapshot(configuration, target(), {Instance("api"): 9000}).encode())


def by_hand() -> Snapshot:
    """The routes of `tqunits proxy --route /api=127.0.0.1:9000`."""
    worker = worker_of(parse_route("/api=127.0.0.1:9000"), None, strip=True, queue_us=USUAL.queue_us)
    return snapshot_around([worker])


def differing(one: Snapshot | RoutedWorker, other: Snapshot | RoutedWorker) -> set[str]:
    names = [field.name for field in fields(one) if field.name not in WHOSE]
    return {name for name in names if getattr(one, name) != getattr(other, name)}


def test_a_route_by_hand_is_as_an_installed_one() -> None:
    (set_up,), (given,) = installed().workers, by_hand().workers
    assert differing(installed(), by_hand()) | differing(set_up, given) == OTHERWISE.keys()


def test_what_a_file_of_before_does_not_say_is_what_the_settings_are_today() -> None:
    (worker,) = installed().workers
    assert differing(worker, USUAL) == {"start_us"}


@pytest.mark.parametrize("name", [field.name for field in fields(WorkerTimeouts)])
def test_every_timeout_has_one_default(name: str) -> None:
    (worker,) = installed().workers
    assert asdict(worker.timeouts)[name] == asdict(USUAL.timeouts)[name]
