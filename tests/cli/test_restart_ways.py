"""Which instances of a restart the manager rolls, and what a roll is for each unit."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import replace
from pathlib import Path

import pytest
from deploy_peer import WAITING, Peer, changed, context_in, ended, listening, running

from tqunits.cli import deploy_progress
from tqunits.cli.deploy_words import Lines
from tqunits.cli.output import Output
from tqunits.cli.restart_ways import RestartWays, endings_of, restart_orders, restart_ways
from tqunits.cli.results import status_of
from tqunits.control.deploy_protocol import MOST_WORKERS, ProgressQuestion, deploy_order, deploy_order_body
from tqunits.errors import ExitStatus
from tqunits.host.sources import MAX_WORKERS
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord, DeployStep
from tqunits.model import Instance
from tqunits.units import name

PRESENT = "api api:2 shop"


def instances(text: str) -> tuple[Instance, ...]:
    return tuple(filter(None, map(name.instance, text.split())))


@pytest.mark.parametrize(
    ("chosen", "active", "resting", "rolled", "direct"),
    [
        ("api api:2 shop", "api api:2 shop", "", "api shop", ""),
        ("api api:2", "api api:2 shop", "", "api", ""),
        ("api:2", "api api:2 shop", "", "", "api:2"),
        ("api shop", "api api:2 shop", "", "shop", "api"),
        ("api api:2 shop", "api", "api:2 shop", "api", "api:2 shop"),
        ("api api:2 shop", "api", "", "api", "shop"),  # api:2 waits for its next start: the roll restarts it
        ("api api:2", "", "", "", "api api:2"),  # none serves: nothing is lost, and it is to be now
        ("api api:2", "", "api api:2", "", "api api:2"),
        ("", "api api:2 shop", "", "", ""),
    ],
)
def test_a_worker_that_serves_is_rolled_as_a_whole(
    chosen: str, active: str, resting: str, rolled: str, direct: str
) -> None:
    found = restart_ways(instances(chosen), instances(PRESENT), active=instances(active), resting=instances(resting))
    assert found == RestartWays(tuple(rolled.split()), frozenset(instances(direct)))


@pytest.mark.parametrize("count", [0, 1, MOST_WORKERS, MAX_WORKERS + 1])
def test_all_workers_of_a_large_host_are_ordered(count: int) -> None:
    workers = tuple(f"w{number}" for number in range(count))
    taken = [deploy_order(deploy_order_body(order)) for order in restart_orders(workers)]
    assert tuple(worker for order in taken for worker in order.workers) == workers
    assert {order.kind for order in taken} <= {DeployKind.RESTART}


RESTART = replace(WAITING, kind=DeployKind.RESTART)
HEALTHY = DeployStep(at_us=1, what="healthy", text="is healthy", instance=1)
FAILED = ended(RESTART, DeployOutcome.FAILED, why="exited with status 1 (api:2)", hint="it is broken\nhint: mend it")


@pytest.mark.parametrize(
    ("record", "is_left", "results", "status"),
    [
        (ended(RESTART, DeployOutcome.DONE), False, "done done", ExitStatus.OK),
        (RESTART, True, "queued queued", ExitStatus.OK),
        (running(RESTART, "x"), False, "waiting waiting", ExitStatus.TIMEOUT),
        (replace(running(RESTART), steps=(HEALTHY,)), False, "done waiting", ExitStatus.TIMEOUT),
        (FAILED, False, "failed failed", ExitStatus.FAILED),
        (replace(FAILED, steps=(HEALTHY,)), False, "done failed", ExitStatus.FAILED),
        (replace(FAILED, is_slow=True), False, "failed failed", ExitStatus.TIMEOUT),
        (replace(FAILED, steps=(HEALTHY, replace(HEALTHY, instance=2))), False, "failed failed", ExitStatus.FAILED),
        (ended(RESTART, DeployOutcome.SUPERSEDED), False, "canceled canceled", ExitStatus.FAILED),
    ],
    ids=["done", "left", "runs", "half", "failed", "half failed", "slow", "stopped afterwards", "superseded"],
)
def test_each_unit_has_its_end(record: DeployRecord, is_left: object, results: str, status: ExitStatus) -> None:
    found = endings_of(record, instances("api api:2"), is_left=bool(is_left))
    assert [each.unit for each in found] == ["tq-worker@api.service", "tq-worker@api:2.service"]
    assert " ".join(each.result for each in found) == results
    assert [bool(each.sentence) for each in found] == [each.result not in {"done", "queued"} for each in found]
    assert status_of(found) is status


def test_what_the_manager_has_found_out_is_told_as_systemd_s_failures_are() -> None:
    (found,) = endings_of(FAILED, instances("api"), is_left=False)
    assert found.sentence == "exited with status 1 (api:2)"
    assert found.details == (("", "it is broken"), ("hint", "mend it"))


async def test_who_waits_no_longer_has_what_is_known_then(tmp_path: Path) -> None:
    begun, err = running(RESTART, "is restarted"), io.StringIO()
    context = context_in(tmp_path, Output(io.StringIO(), err))
    async with listening(Peer(tmp_path, script=[changed(3, begun)])) as peer:
        over = time.monotonic()
        found = await asyncio.to_thread(deploy_progress.follow, [RESTART], Lines(context.output), context, over)
    assert found == [begun]
    assert err.getvalue() == "api: is restarted\n"
    assert [question.wait_us for question in peer.questions if isinstance(question, ProgressQuestion)] == [0]
