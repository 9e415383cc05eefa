"""A worker's surge, the last of its endpoints: it counts while it serves, and else for nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from control_peers import GET, POST, Slow, controlled, speak, status, until, write_routes
from peers import PATIENCE, Behaviour, Router, TcpWorker, answering
from test_several import answers, order, response, serving, until_draining

from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.lost import Lost
from tqunits.proxy.routes.absence import Absence
from tqunits.proxy.routes.router import Router as RouterState
from tqunits.proxy.serving import ServingFiles
from tqunits.proxy.upstream.worker import Worker
from tqunits.routing.codec.schema import USUAL
from tqunits.routing.endpoint import Address
from tqunits.routing.snapshot import DEFAULT_TIMEOUTS, Snapshot
from tqunits.routing.traffic import Traffic

REPLICAS = (Address("127.0.0.1", 9000), Address("127.0.0.1", 9001))
SURGE = Address("127.0.0.1", 9999)


@asynccontextmanager
async def surging(folder: Path, *behaviours: Behaviour) -> AsyncIterator[Router]:
    """A router with a replica of `w`, which answers 1 and serves, and a surge, which answers 2 and
    does not serve."""
    (folder / "traffic").mkdir()
    each = behaviours or (answering(response("1")), answering(response("2")))
    workers = [await TcpWorker().start(one) for one in each]
    traffic = f"--traffic={folder}/traffic/traffic.json"
    options = controlled(folder, "", traffic, endpoints=[one.endpoint for one in workers], surge=True)
    async with Router(folder, options) as router:
        yield router
    for one in workers:
        one.stop()


def start(folder: Path, number: int) -> None:
    serving(folder, number).parent.mkdir(exist_ok=True)
    serving(folder, number).touch()


async def takes_requests_while_it_serves(folder: Path, router: Router) -> None:
    start(folder, 2)
    await until_draining(folder, False, False)
    assert await answers(router) == {b"1", b"2"}
    serving(folder, 2).unlink()
    await until_draining(folder, False, True)
    assert await answers(router) == {b"1"}


async def test_one_that_does_not_serve_gets_nothing(folder: Path) -> None:
    async with surging(folder) as router:
        await until_draining(folder, False, True)
        assert await answers(router) == {b"1"}
        assert (await status(folder))["worker"]["endpoints"][1]["answers"] == 0


async def test_it_takes_requests_while_it_serves(folder: Path) -> None:
    async with surging(folder) as router:
        for _ in range(2):
            await takes_requests_while_it_serves(folder, router)


async def test_it_takes_all_of_them_while_the_replica_is_out(folder: Path) -> None:
    async with surging(folder) as router:
        start(folder, 2)
        await until_draining(folder, False, False)
        order(folder, Traffic(drained=frozenset({"w"})))
        await until_draining(folder, True, False)
        assert await answers(router) == {b"2"}
        serving(folder, 1).unlink()  # it is restarted on the new release
        await until_draining(folder, True, False)
        assert await answers(router) == {b"2"}
        serving(folder, 1).touch()
        order(folder, Traffic())
        await until_draining(folder, False, False)
        serving(folder, 2).unlink()
        await until_draining(folder, False, True)
        assert await answers(router) == {b"1"}


async def test_requests_that_wait_go_to_the_surge_as_soon_as_it_serves(folder: Path) -> None:
    async with surging(folder) as router:
        serving(folder, 1).unlink()
        await until_draining(folder, True, True)
        held = [asyncio.create_task(router.ask(request)) for request in (GET, POST)]
        await until(folder, waiting=2)
        start(folder, 2)
        assert [(await asyncio.wait_for(one, PATIENCE))[-1:] for one in held] == [b"2", b"2"]


async def test_what_runs_there_ends_there(folder: Path) -> None:
    slow = Slow()
    async with surging(folder, answering(response("1")), slow) as router:
        start(folder, 2)
        order(folder, Traffic(drained=frozenset({"w"})))
        await until_draining(folder, True, False)
        running = asyncio.create_task(router.ask(GET))
        await slow.asked.wait()
        order(folder, Traffic())
        serving(folder, 2).unlink()
        await until_draining(folder, False, True)
        assert (await status(folder))["worker"]["endpoints"][1]["in_flight"] == 1
        slow.go.set()
        assert (await asyncio.wait_for(running, PATIENCE)).endswith(b"ok")


async def test_a_worker_is_stopped_though_its_surge_could_start(folder: Path) -> None:
    """An idle surge is no instance that is about to come."""
    async with surging(folder) as router:
        order(folder, Traffic({"w": time.time_ns() // 1000}))
        serving(folder, 1).unlink()
        await until_draining(folder, True, True)
        answer = await asyncio.wait_for(router.ask(GET), PATIENCE)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"The worker is stopped." in answer
        start(folder, 2)
        await until_draining(folder, True, False)
        assert await answers(router) == {b"2"}
        serving(folder, 2).unlink()
        await until_draining(folder, True, True)
        assert b"The worker is stopped." in await asyncio.wait_for(router.ask(GET), PATIENCE)


async def test_the_next_routes_make_a_replica_of_it_and_back(folder: Path) -> None:
    async with surging(folder) as router:
        endpoints = [one["address"] for one in (await status(folder))["worker"]["endpoints"]]
        for surge in (False, True):
            write_routes(folder, "", endpoints=endpoints, surge=surge)
            await router.told("READY=1")
            await takes_requests_while_it_serves(folder, router)


async def test_the_metrics_have_it_while_it_serves(folder: Path) -> None:
    async with surging(folder):
        endpoints = [one["address"] for one in (await status(folder))["worker"]["endpoints"]]

        async def told() -> list[bool]:
            text = (await speak(folder, b"GET /metrics HTTP/1.1\r\nHost: router\r\n\r\n")).decode()
            return [f'endpoint="{address}"' in text for address in endpoints]

        assert await told() == [True, False]
        start(folder, 2)
        await until_draining(folder, False, False)
        assert await told() == [True, True]


def state(replicas: int, *, surge: bool = True) -> RouterState:
    """What a router has in its memory of a worker `w` with so many replicas, before it looks at
    any file."""
    endpoints = (*REPLICAS[:replicas], *([SURGE] if surge else []))
    routed = replace(USUAL, name="w", routes=("/",), endpoints=endpoints, surge=surge)
    snapshot = Snapshot(timeouts=DEFAULT_TIMEOUTS, max_connections=10, workers=(routed,))
    loop = asyncio.get_running_loop()
    return RouterState(loop, snapshot, complaints=Complaints(), name=b"", seed=b"12345678")


def ready(worker: Worker) -> Address | None:
    """Where requests go the short way."""
    return None if worker.ready is None else worker.ready.address


@pytest.mark.parametrize(("replicas", "expected"), [(1, REPLICAS[0]), (2, None)], ids=["one", "two"])
async def test_requests_go_the_short_way_as_if_it_was_not_there(replicas: int, expected: Address | None) -> None:
    with_surge, without = (state(replicas, surge=surge).workers["w"] for surge in (True, False))
    assert ready(with_surge) == ready(without) == expected
    surge = with_surge.endpoints[-1]
    surge.undrain()
    assert ready(with_surge) is None
    assert with_surge.pick(with_surge.endpoints[:-1]) is surge
    surge.drain()
    assert ready(with_surge) == expected
    assert with_surge.pick(with_surge.endpoints[:-1]) is None


async def test_requests_go_the_short_way_while_all_others_drain() -> None:
    worker = state(2).workers["w"]
    first, second, surge = worker.endpoints
    second.drain()
    assert ready(worker) == first.address
    surge.undrain()
    assert ready(worker) is None
    first.drain()
    assert ready(worker) == surge.address
    surge.drain()
    assert ready(worker) is None
    second.undrain()
    assert ready(worker) == second.address


async def test_new_routes_do_not_open_it() -> None:
    router = state(1)
    worker, surge = router.workers["w"], router.workers["w"].endpoints[-1]
    router.use(replace(router.rules.snapshot, max_connections=11))
    assert (ready(worker), worker.endpoints[-1] is surge, surge.draining) == (REPLICAS[0], True, True)
    surge.undrain()
    router.use(replace(router.rules.snapshot, max_connections=12))
    assert (ready(worker), surge.draining) == (None, False)


@pytest.mark.parametrize(
    ("missing", "is_asked"), [("w:2", False), ("w", True)], ids=["nobody misses a surge", "a replica is missed"]
)
async def test_no_repair_is_asked_for_a_surge(folder: Path, missing: str, is_asked: bool) -> None:  # noqa: FBT001
    for name in {"w", "w:2"} - {missing}:
        (folder / name).mkdir()
        (folder / name / "serving").touch()
    now, file = [1000.0], os.open(folder / "repair", os.O_RDWR | os.O_CREAT)
    lost = Lost(file, (), print, lambda: now[0])
    absence = Absence(None, None, Complaints())
    files = ServingFiles(folder, state(1), None, asyncio.get_running_loop(), Complaints(), lost, absence)
    files.look_at_all()
    now[0] += 1000
    lost.ask()
    assert bool(os.fstat(file).st_size) == is_asked
    os.close(file)
