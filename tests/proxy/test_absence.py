"""Workers that are stopped, disabled or down: their requests get 503 at once, with the reason."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from control_peers import GET, POST, Slow, controlled, serving_path, until, write_routes
from control_peers import ask as control
from peers import OK, PATIENCE, Router, TcpWorker, answering

from tqunits.routing.traffic import DRAIN, MAINTENANCE, PAUSE, Order, Traffic, traffic_text


def traffic(folder: Path) -> Path:
    return folder / "traffic/traffic.json"


def stop(folder: Path, *names: str) -> None:
    """Write the file as the command line does."""
    aside = traffic(folder).with_name("aside")
    aside.write_text(traffic_text(Traffic(dict.fromkeys(names, time.time_ns() // 1000))))
    aside.rename(traffic(folder))


def start_again(folder: Path) -> None:
    """Start it again, later than the stop also by the clock of files, which is some milliseconds
    behind."""
    stopped = traffic(folder).stat().st_mtime_ns
    clock = folder / "clock"
    clock.touch()
    while clock.stat().st_mtime_ns <= stopped:
        clock.touch()
    serving_path(folder).touch()


@asynccontextmanager
async def served(folder: Path, **changes: Any) -> AsyncIterator[tuple[Router, str]]:
    traffic(folder).parent.mkdir()
    worker = await TcpWorker().start(answering(OK))
    options = controlled(folder, worker.endpoint, f"--traffic={traffic(folder)}", **changes)
    async with Router(folder, options) as router:
        yield router, worker.endpoint
    worker.stop()


async def ask(router: Router, request: bytes = GET) -> bytes:
    return await asyncio.wait_for(router.ask(request), PATIENCE)


async def test_who_is_stopped_is_not_waited_for(folder: Path) -> None:
    """Requests that already wait get the answer too. A worker that runs is served, whatever the
    file contains."""

    async with served(folder) as (router, _):
        serving_path(folder).unlink()
        await until(folder, endpoint={"draining": True})
        waiting = [asyncio.create_task(router.ask(request)) for request in (GET, POST)]
        await until(folder, waiting=2)
        stop(folder, "w", "another")
        for answer in [await one for one in waiting] + [await ask(router), await ask(router, POST)]:
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 30\r\n" in answer
            assert b"The worker is stopped." in answer
        start_again(folder)
        await until(folder, endpoint={"draining": False})
        assert (await ask(router)).endswith(b"ok")
        serving_path(folder).unlink()  # somebody has started it with systemctl, and restarts it now
        await until(folder, endpoint={"draining": True})
        held = asyncio.create_task(router.ask(GET))
        await until(folder, waiting=1)
        serving_path(folder).touch()
        assert (await held).endswith(b"ok")
        stop(folder, "another", "w")  # while it still runs
        serving_path(folder).unlink()
        await until(folder, endpoint={"draining": True})
        assert (await ask(router)).startswith(b"HTTP/1.1 503 ")
        assert router.said().count("worker w: 503 for its requests: The worker is stopped.") == 2


async def test_a_router_that_starts_later_knows_who_is_stopped(folder: Path) -> None:
    traffic(folder).parent.mkdir()
    stop(folder, "w")
    worker = await TcpWorker().start(answering(OK))
    options = controlled(folder, worker.endpoint, f"--traffic={traffic(folder)}")
    serving_path(folder).unlink()
    async with Router(folder, options) as router:
        assert (await ask(router)).startswith(b"HTTP/1.1 503 ")
        write_routes(folder, worker.endpoint, routes=["/", "/more"])  # a reload forgets nothing
        await router.told("READY=1")
        assert (await ask(router)).startswith(b"HTTP/1.1 503 ")
        traffic(folder).write_text("rubbish")
        await until(folder, waiting=0)
        held = asyncio.create_task(router.ask(GET))
        await until(folder, waiting=1)
        held.cancel()
        assert "traffic.json: not JSON" in router.said()
    worker.stop()


async def test_who_does_not_come_up_in_time_is_down(folder: Path) -> None:
    async with served(folder, start_us=1_000_000) as (router, _):
        serving_path(folder).unlink()
        await until(folder, endpoint={"draining": True})
        answer = await ask(router)  # it waits for that first
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"The worker is down." in answer
        assert (await ask(router, POST)).startswith(b"HTTP/1.1 503 ")
        serving_path(folder).touch()
        await until(folder, endpoint={"draining": False})
        assert (await ask(router)).endswith(b"ok")


async def test_who_is_disabled_says_so(folder: Path) -> None:
    async with served(folder) as (router, endpoint):
        document = json.loads((folder / "routes.json").read_text())
        document["workers"][0] |= {"disabled": True, "endpoints": []}
        (folder / "aside").write_text(json.dumps(document))
        (folder / "aside").rename(folder / "routes.json")
        await router.told("READY=1")
        answer = await ask(router, POST)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"The worker is disabled." in answer
        order(folder, w=Order(DRAIN))
        await obeyed(folder, w="drain")
        assert b"The worker is disabled." in await ask(router, POST)
        traffic(folder).unlink()
        await obeyed(folder)
        assert b"The worker is disabled." in await ask(router, POST)
        write_routes(folder, endpoint)
        await router.told("READY=1")
        assert (await ask(router)).endswith(b"ok")


def order(folder: Path, **orders: Order) -> None:
    """Write the file as the command line does."""
    aside = traffic(folder).with_name("aside")
    aside.write_text(traffic_text(Traffic(orders=orders)))
    aside.rename(traffic(folder))


async def obeyed(folder: Path, **orders: str) -> None:
    """Wait until the router has carried out these orders."""
    while (await control(folder, "GET", "/status"))[1]["orders"] != orders:
        await asyncio.sleep(0)


async def test_orders_are_carried_out_and_taken_back(folder: Path) -> None:
    """One order replaces the other, and requests that wait are answered at once."""

    async with served(folder) as (router, _):
        order(folder, w=Order(PAUSE), another=Order(PAUSE))
        await obeyed(folder, w="pause")
        waiting = asyncio.create_task(router.ask(POST))
        await until(folder, waiting=1)
        order(folder, w=Order(MAINTENANCE, "Back at <nine>."))
        answer = await waiting
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Back at <nine>." in answer
        order(folder, w=Order(DRAIN))
        await obeyed(folder, w="drain")
        drained = await ask(router)
        assert drained.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 30" in drained
        assert b"taken out of service" in drained
        traffic(folder).unlink()
        await obeyed(folder)
        assert (await ask(router)).endswith(b"ok")


async def test_a_router_that_starts_later_carries_out_what_was_ordered(folder: Path) -> None:
    traffic(folder).parent.mkdir()
    order(folder, w=Order(MAINTENANCE, "later"))
    worker = await TcpWorker().start(answering(OK))
    async with Router(folder, controlled(folder, worker.endpoint, f"--traffic={traffic(folder)}")) as router:
        assert b"later" in await ask(router)
    worker.stop()


async def test_a_drain_finishes_what_runs_and_pages_are_for_files_too(folder: Path) -> None:
    """The page of a maintenance replaces files too, also of a worker without a program. Without an
    order files are served as before."""

    slow = Slow()
    worker = await TcpWorker().start(slow)
    (folder / "public").mkdir()
    (folder / "public/page").write_text("a file")
    for path in (folder, folder / "public", folder / "public/page"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    traffic(folder).parent.mkdir()
    site = {"directory": str(folder / "public"), "prefix": "/"}
    options = controlled(folder, worker.endpoint, f"--traffic={traffic(folder)}", static=site)
    page = b"GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    async with Router(folder, options) as router:
        running = asyncio.create_task(router.ask(GET))
        await slow.asked.wait()
        order(folder, w=Order(DRAIN))
        await obeyed(folder, w="drain")
        assert (await ask(router)).startswith(b"HTTP/1.1 503 ")
        assert (await ask(router, page)).endswith(b"a file")
        slow.go.set()
        assert (await running).endswith(b"ok")
        order(folder, w=Order(MAINTENANCE, "closed"))
        await obeyed(folder, w="maintenance")
        assert b"closed" in await ask(router, page)
        write_routes(folder, worker.endpoint, static=site, endpoints=[])
        router.process.send_signal(signal.SIGHUP)
        assert b"closed" in await ask(router, page)
        traffic(folder).unlink()
        await obeyed(folder)
        assert (await ask(router, page)).endswith(b"a file")
    worker.stop()
