"""A worker of several processes: each joins, leaves and is drained alone, while the others
serve."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from control_peers import GET, Slow, controlled, leave_path, status, until
from peers import PATIENCE, Behaviour, Router, TcpWorker, answering

from tqunits.routing.traffic import Traffic, traffic_text
from tqunits.routing.unready import Unready, unready_text


def response(name: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name.encode()


def serving(folder: Path, number: int) -> Path:
    """The file `serving` of that process of the worker `w`."""
    return folder / "workers" / ("w" if number == 1 else f"w:{number}") / "serving"


def order(folder: Path, said: Traffic) -> None:
    """Write the file as the command line does."""
    aside = folder / "traffic/aside"
    aside.write_text(traffic_text(said))
    aside.rename(folder / "traffic/traffic.json")


def unready(folder: Path, *names: str, stopped: Sequence[str] = ()) -> None:
    """Write the file as the manager does, whose folder comes with it."""
    now = time.time_ns() // 1000
    aside = folder / "traffic/readiness/aside"
    aside.parent.mkdir(exist_ok=True)
    aside.write_text(unready_text(Unready(dict.fromkeys(names, now), dict.fromkeys(stopped, now))))
    aside.rename(aside.with_name("unready.json"))


@asynccontextmanager
async def two(folder: Path, *behaviours: Behaviour) -> AsyncIterator[Router]:
    """A router with two processes of `w`, which answer 1 and 2; both serve."""
    (folder / "traffic").mkdir()
    each = behaviours or (answering(response("1")), answering(response("2")))
    workers = [await TcpWorker().start(one) for one in each]
    files = [f"--traffic={folder}/traffic/traffic.json", f"--unready={folder}/traffic/readiness/unready.json"]
    options = controlled(folder, "", *files, endpoints=[one.endpoint for one in workers])
    serving(folder, 2).parent.mkdir()
    serving(folder, 2).touch()
    async with Router(folder, options) as router:
        yield router
    for one in workers:
        one.stop()


async def until_draining(folder: Path, *expected: bool) -> list[dict[str, Any]]:
    """Wait until the endpoints have these states, in this order; gives their status."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found: list[dict[str, Any]] = (await status(folder))["worker"]["endpoints"]
            if [one["draining"] for one in found] == list(expected):
                return found


async def answers(router: Router) -> set[bytes]:
    """The processes that answer a dozen requests."""
    return {(await asyncio.wait_for(router.ask(GET), PATIENCE))[-1:] for _ in range(12)}


async def asked(folder: Path, instance: str, wait_us: int = 0) -> dict[str, Any]:
    """The answer of the leave socket for that process."""
    reader, writer = await asyncio.open_unix_connection(leave_path(folder))
    writer.write(f"GET /serving/{instance}?wait_us={wait_us} HTTP/1.1\r\nHost: router\r\n\r\n".encode())
    said = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    found: dict[str, Any] = json.loads(said.partition(b"\r\n\r\n")[2])
    return found


async def test_each_leaves_and_comes_back_by_itself(folder: Path) -> None:
    async with two(folder) as router:
        await until_draining(folder, False, False)
        for gone, left in ((2, b"1"), (1, b"2")):
            serving(folder, gone).unlink()
            await until_draining(folder, gone == 1, gone == 2)
            assert await answers(router) == {left}
            serving(folder, gone).touch()
            await until_draining(folder, False, False)


async def test_one_whose_folder_is_not_there_yet_gets_nothing(folder: Path) -> None:
    async with two(folder) as router:
        serving(folder, 2).unlink()
        serving(folder, 2).parent.rmdir()
        await until_draining(folder, False, True)
        assert await answers(router) == {b"1"}
        serving(folder, 2).parent.mkdir()
        serving(folder, 2).touch()
        await until_draining(folder, False, False)


async def test_who_leaves_waits_for_its_own_requests_alone(folder: Path) -> None:
    slow = Slow()
    async with two(folder, slow, answering(response("2"))) as router:
        serving(folder, 2).unlink()
        await until_draining(folder, False, True)
        running = asyncio.create_task(router.ask(GET))
        await slow.asked.wait()
        assert await asked(folder, "w:2") == {"version": 1, "serving": False, "in_flight": 0}
        assert await asked(folder, "w:3") == {"version": 1, "serving": False, "in_flight": 0}
        assert (await asked(folder, "w"))["serving"]
        serving(folder, 1).unlink()
        assert await asked(folder, "w") == {"version": 1, "serving": False, "in_flight": 1}
        waiting = asyncio.create_task(asked(folder, "w", wait_us=int(PATIENCE * 1e6)))
        slow.go.set()
        assert await waiting == {"version": 1, "serving": False, "in_flight": 0}
        await running


async def test_one_that_is_ordered_out_is_told_apart_from_one_that_leaves(folder: Path) -> None:
    async with two(folder) as router:
        order(folder, Traffic(drained=frozenset({"w:2"})))
        first, second = await until_draining(folder, False, True)
        assert ("drained" in first, second["drained"]) == (False, True)
        assert await answers(router) == {b"1"}
        assert (await asked(folder, "w:2"))["serving"], "it runs, and is healthy"
        order(folder, Traffic())
        first, second = await until_draining(folder, False, False)
        assert "drained" not in second


async def test_one_that_fails_its_health_checks_gets_nothing_until_they_pass(folder: Path) -> None:
    async with two(folder) as router:
        unready(folder, "w:2")
        await until_draining(folder, False, True)
        assert await answers(router) == {b"1"}
        assert (await asked(folder, "w:2"))["serving"], "it runs, though not well"
        unready(folder, "w")
        await until_draining(folder, True, False)
        unready(folder)
        await until_draining(folder, False, False)


async def test_one_that_was_started_again_is_not_the_one_that_failed(folder: Path) -> None:
    async with two(folder):
        unready(folder, "w:2")
        await until_draining(folder, False, True)
        file = folder / "traffic/readiness/unready.json"
        while serving(folder, 2).stat().st_mtime_ns <= file.stat().st_mtime_ns:
            serving(folder, 2).touch()
        await until_draining(folder, False, False)


async def test_without_the_managers_file_all_get_requests(folder: Path) -> None:
    """The folder goes with a stop of the manager, and comes again with its start."""
    async with two(folder) as router:
        for _ in range(2):
            unready(folder, "w:2")
            await until_draining(folder, False, True)
            shutil.rmtree(folder / "traffic/readiness")
            await until_draining(folder, False, False)
        unready(folder, "w:2")
        await until_draining(folder, False, True)
        (folder / "traffic/readiness/unready.json").write_text("rubbish")
        await until_draining(folder, False, False)
        assert "unready.json: not JSON" in router.said()


async def test_a_worker_is_stopped_when_all_of_it_is(folder: Path) -> None:
    async with two(folder) as router:
        now = time.time_ns() // 1000
        order(folder, Traffic({"w": now}))
        serving(folder, 1).unlink()
        await until_draining(folder, True, False)
        assert await answers(router) == {b"2"}
        serving(folder, 2).unlink()
        await until_draining(folder, True, True)
        held = asyncio.create_task(router.ask(GET))  # the second may come back: nobody has stopped it
        await until(folder, waiting=1)
        order(folder, Traffic({"w": now, "w:2": time.time_ns() // 1000}))
        assert b"The worker is stopped." in await asyncio.wait_for(held, PATIENCE)
        serving(folder, 1).touch()
        await until_draining(folder, False, True)
        assert await answers(router) == {b"1"}


async def test_a_worker_is_stopped_when_root_and_its_operator_have_stopped_all_of_it(folder: Path) -> None:
    async with two(folder) as router:
        unready(folder, stopped=["w"])
        serving(folder, 1).unlink()
        serving(folder, 2).unlink()
        await until_draining(folder, True, True)
        held = asyncio.create_task(router.ask(GET))
        await until(folder, waiting=1)
        order(folder, Traffic({"w:2": time.time_ns() // 1000}))
        assert b"The worker is stopped." in await asyncio.wait_for(held, PATIENCE)
        unready(folder)
        held = await waits_again(folder, router)
        unready(folder, stopped=["w"])
        assert b"The worker is stopped." in await asyncio.wait_for(held, PATIENCE)
        serving(folder, 1).touch()
        await until_draining(folder, False, True)
        assert await answers(router) == {b"1"}


async def waits_again(folder: Path, router: Router) -> asyncio.Task[bytes]:
    """A request that waits. Until the router has read that one may, they are answered at once."""
    async with asyncio.timeout(PATIENCE):
        while True:
            asked = asyncio.create_task(router.ask(GET))
            while not asked.done():
                if (await status(folder))["worker"]["waiting"] == 1:
                    return asked


async def test_nobody_waits_for_those_that_are_all_ordered_out(folder: Path) -> None:
    async with two(folder) as router:
        serving(folder, 1).unlink()
        await until_draining(folder, True, False)
        order(folder, Traffic({"w": time.time_ns() // 1000}, drained=frozenset({"w:2"})))
        await until_draining(folder, True, True)
        assert b"The worker is stopped." in await asyncio.wait_for(router.ask(GET), PATIENCE)
        order(folder, Traffic(drained=frozenset({"w", "w:2"})))
        serving(folder, 1).touch()
        await until_drained(folder)
        answer = await asyncio.wait_for(router.ask(GET), PATIENCE)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"The worker is taken out of service for a while." in answer


async def until_drained(folder: Path) -> None:
    """Wait until both are drained, each by its own order."""
    while not all("drained" in one for one in await until_draining(folder, True, True)):
        pass
