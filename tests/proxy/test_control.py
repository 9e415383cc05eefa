"""The control socket: which requests it accepts, and from whom."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from control_peers import GET, Slow, as_nobody, ask, control_path, controlled, relayed, speak, status, until
from peers import OK, Router, Worker, answering


async def test_an_endpoint_that_is_down_is_tried_again_whoever_waits(folder: Path) -> None:
    """After a trial that fails the next one is due soon, not only at the time-out of the trial (2.5
    s)."""

    worker = Worker(folder / "w")
    async with Router(folder, controlled(folder, worker.endpoint, queue_us=2_000_000)) as router:
        asked = [asyncio.create_task(router.ask(GET)) for _ in range(5)]
        while (await status(folder))["endpoint"]["failures"] < 3 and not asked[0].done():
            await asyncio.sleep(0)
        await worker.start(answering(OK))
        assert [answer.endswith(b"ok") for answer in await asyncio.gather(*asked)] == [True] * 5
    worker.stop()


async def test_the_status_tells_what_runs(folder: Path) -> None:
    slow = Slow()
    async with relayed(folder, slow) as (router, worker):
        asked = asyncio.create_task(router.ask(GET))
        await slow.asked.wait()
        found = (await status(folder))["worker"]
        endpoint = {
            "address": worker.endpoint,
            "in_flight": 1,
            "answers": 0,
            "idle": 0,
            "draining": False,
            "failures": 0,
        }
        assert found == {
            "name": "w",
            "in_flight": 1,
            "waiting": 0,
            "paused": False,
            "maintenance": False,
            "endpoints": [endpoint],
        }
        slow.go.set()
        assert (await asked).endswith(b"ok")
        body = await status(folder)
        assert body["worker"]["endpoints"][0]["answers"] == 1
        assert (body["requests"], body["pid"], body["draining"]) == (1, router.process.pid, False)
        metrics = await speak(folder, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b'tqunits_requests_total{process="1",worker="w",code="2xx"} 1\n' in metrics
        assert metrics.endswith(b"# EOF\n")


async def test_pause_holds_and_maintenance_turns_away(folder: Path) -> None:
    async with relayed(folder, answering(OK)) as (router, _):
        await ask(folder, "POST", "/pause", worker="w")
        held = asyncio.create_task(router.ask(GET))
        await until(folder, waiting=1, paused=True)
        await ask(folder, "POST", "/resume", worker="w")
        assert (await held).endswith(b"ok")
        await ask(folder, "POST", "/pause", worker="w")
        held = asyncio.create_task(router.ask(GET))
        await until(folder, waiting=1)
        await ask(folder, "POST", "/maintenance", worker="w", text="back at <nine>")
        for answer in (await held, await router.ask(GET)):
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"back at <nine>" in answer
        html = await router.ask(GET.replace(b"Host: a", b"Host: a\r\nAccept: text/html"))
        assert b"back at &lt;nine&gt;" in html
        await ask(folder, "POST", "/resume", worker="w")
        assert (await router.ask(GET)).endswith(b"ok")


WRONG = {
    "no such path": (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "wrong method": (b"POST /status HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "no body": (b"POST /pause HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no object": (b"POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[]", 400),
    "no worker": (b"POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 404),
    "what was there once": (b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 404),
    "no such worker": (b'POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n{"worker": "x"}', 404),
    "deep": (b"POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000, 400),
    "large": (b"POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
    "chunked": (b"POST /pause HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
    "no HTTP": (b"hello\n", 400),
}


async def test_what_is_wrong_is_said(folder: Path) -> None:
    async with Router(folder, controlled(folder, f"unix:{folder}/none")):
        for request, code in WRONG.values():
            answer = await speak(folder, request)
            assert int(answer[9:12]) == code, (request[:80], answer)
            assert b'"error": ' in answer
        assert (await status(folder))["worker"]["paused"] is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_only_root_and_its_own_user_may_ask(folder: Path) -> None:
    async with Router(folder, controlled(folder, f"unix:{folder}/none")):
        path = control_path(folder)
        assert path.stat().st_mode & 0o777 == 0o600
        folder.chmod(0o755)
        assert await as_nobody(path) == b""  # curl can not even connect
        path.chmod(0o666)  # even if the mode were wrong, the router checks the user id that the kernel reports
        assert b"only root" in await as_nobody(path)


async def test_a_new_file_of_routes_is_read_without_being_told(folder: Path) -> None:
    worker = await Worker(folder / "w").start(answering(OK))
    async with Router(folder, controlled(folder, f"unix:{folder}/none")) as router:
        asked = asyncio.create_task(router.ask(GET))
        await until(folder, waiting=1)
        text = (folder / "routes.json").read_text().replace(f"{folder}/none", f"{folder}/w")
        (folder / "aside").write_text(text)
        (folder / "aside").rename(folder / "routes.json")
        assert (await asked).endswith(b"ok")
        (folder / "aside").write_text("{}")
        (folder / "aside").rename(folder / "routes.json")
        while "refused" not in router.said():
            await asyncio.sleep(0)
        assert (await router.ask(GET)).endswith(b"ok")
    worker.stop()
