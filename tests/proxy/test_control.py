"""The control socket, the marks of workers that restart, and what a worker's ExecStop= does with both."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from control_peers import as_nobody, ask, control_path, controlled, speak, status, until
from peers import OK, Connection, Router, Worker, answering

ROOT = Path(__file__).parents[2]
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"


class Slow:
    """A worker that answers when it is told."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        while True:
            await connection.head()
            self.asked.set()
            await self.go.wait()
            await connection.send(OK)


def test_an_endpoint_that_is_down_is_tried_again_whoever_waits(folder: Path) -> None:
    """A trial that fails leaves the next one due soon, not when the trial itself would have been over (2.5 s)."""

    async def scenario() -> None:
        worker = Worker(folder / "w")
        async with Router(folder, controlled(folder, worker.endpoint, queue_us=2_000_000)) as router:
            asked = [asyncio.create_task(router.ask(GET)) for _ in range(5)]
            while (await status(folder))["endpoint"]["failures"] < 3 and not asked[0].done():
                await asyncio.sleep(0)
            await worker.start(answering(OK))
            assert [answer.endswith(b"ok") for answer in await asyncio.gather(*asked)] == [True] * 5
        worker.stop()

    asyncio.run(scenario())


def test_the_status_tells_what_runs(folder: Path) -> None:
    async def scenario() -> None:
        slow = Slow()
        worker = await Worker(folder / "w").start(slow)
        async with Router(folder, controlled(folder, worker.endpoint)) as router:
            asked = asyncio.create_task(router.ask(GET))
            await slow.asked.wait()
            found = (await status(folder))["worker"]
            endpoint = {"address": worker.endpoint, "in_flight": 1, "idle": 0, "draining": False, "failures": 0}
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
            assert (body["requests"], body["pid"], body["draining"]) == (1, router.process.pid, False)
            metrics = await speak(folder, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b'tqunits_requests_total{process="1",worker="w",code="2xx"} 1\n' in metrics
            assert metrics.endswith(b"# EOF\n")
        worker.stop()

    asyncio.run(scenario())


def test_a_drained_endpoint_gets_nothing_new_and_loses_nothing(folder: Path) -> None:
    async def scenario() -> None:
        slow = Slow()
        worker = await Worker(folder / "w").start(slow)
        async with Router(folder, controlled(folder, worker.endpoint)) as router:
            first = asyncio.create_task(router.ask(GET))
            await slow.asked.wait()
            drained = asyncio.create_task(ask(folder, "POST", "/drain", endpoint=worker.endpoint, wait_us=10_000_000))
            await asyncio.sleep(0)
            await until(folder, endpoint={"draining": True})
            later = [asyncio.create_task(router.ask(request)) for request in (GET, POST)]
            await until(folder, waiting=2, in_flight=1)
            assert not drained.done()
            slow.go.set()
            assert (await first).endswith(b"ok")
            assert await drained == (200, {"version": 1, "in_flight": 0})
            assert len(worker.connections) == 1
            assert (await ask(folder, "POST", "/undrain", endpoint=worker.endpoint))[0] == 200
            assert [(await answer)[-2:] for answer in later] == [b"ok"] * 2
        worker.stop()

    asyncio.run(scenario())


def test_a_drain_that_takes_too_long_says_what_is_left(folder: Path) -> None:
    async def scenario() -> None:
        slow = Slow()
        worker = await Worker(folder / "w").start(slow)
        async with Router(folder, controlled(folder, worker.endpoint)) as router:
            first = asyncio.create_task(router.ask(GET))
            await slow.asked.wait()
            _, body = await ask(folder, "POST", "/drain", endpoint=worker.endpoint, wait_us=1000)
            assert body["in_flight"] == 1
            slow.go.set()
            assert (await first).endswith(b"ok")
        worker.stop()

    asyncio.run(scenario())


def test_pause_holds_and_maintenance_turns_away(folder: Path) -> None:
    async def scenario() -> None:
        worker = await Worker(folder / "w").start(answering(OK))
        async with Router(folder, controlled(folder, worker.endpoint)) as router:
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
        worker.stop()

    asyncio.run(scenario())


WRONG = {
    "no such path": (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "wrong method": (b"POST /status HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "no body": (b"POST /drain HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no object": (b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[]", 400),
    "no endpoint": (b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 400),
    "no such endpoint": (
        b'POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\n{"endpoint": "127.0.0.1:1"}',
        404,
    ),
    "no such worker": (b'POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n{"worker": "x"}', 404),
    "deep": (b"POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000, 400),
    "large": (b"POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
    "chunked": (b"POST /pause HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
    "no HTTP": (b"hello\n", 400),
}


def test_what_is_wrong_is_said(folder: Path) -> None:
    async def scenario() -> None:
        async with Router(folder, controlled(folder, f"unix:{folder}/none")):
            for request, code in WRONG.values():
                answer = await speak(folder, request)
                assert int(answer[9:12]) == code, (request[:80], answer)
                assert b'"error": ' in answer
            assert (await status(folder))["worker"]["paused"] is False

    asyncio.run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_only_root_and_its_own_user_may_ask(folder: Path) -> None:
    async def scenario() -> None:
        async with Router(folder, controlled(folder, f"unix:{folder}/none")):
            path = control_path(folder)
            assert path.stat().st_mode & 0o777 == 0o600
            folder.chmod(0o755)
            assert await as_nobody(path) == b""  # curl can not even connect
            path.chmod(0o666)  # and if the mode were wrong, the kernel's word on who asks still counts
            assert b"only root" in await as_nobody(path)

    asyncio.run(scenario())


async def leave(folder: Path, wait: str = "10") -> tuple[int, str]:
    """What ExecStop= runs."""
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-I", "-S", ROOT / "tqunits/leave.py", "--runtime", folder, "--name", "w",
        "--wait", wait, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode or 0, errors.decode()


def test_a_worker_leaves_and_comes_back(folder: Path) -> None:
    async def scenario() -> None:
        slow = Slow()
        worker = await Worker(folder / "w").start(slow)
        async with Router(folder, controlled(folder, worker.endpoint)) as router:
            first = asyncio.create_task(router.ask(GET))
            await slow.asked.wait()
            leaving = asyncio.create_task(leave(folder))
            await until(folder, endpoint={"draining": True})
            held = asyncio.create_task(router.ask(POST))
            await until(folder, waiting=1)
            assert not leaving.done()
            slow.go.set()
            assert await leaving == (0, "")
            assert (await first).endswith(b"ok")
            assert (await status(folder))["worker"]["waiting"] == 1
            (folder / "draining/w").unlink()  # as its ExecStartPost= does
            assert (await held).endswith(b"ok")
        worker.stop()

    asyncio.run(scenario())


def test_a_worker_that_can_not_finish_is_not_waited_for_for_ever(folder: Path) -> None:
    async def scenario() -> None:
        slow = Slow()
        worker = await Worker(folder / "w").start(slow)
        async with Router(folder, controlled(folder, worker.endpoint)) as router:
            first = asyncio.create_task(router.ask(GET))
            await slow.asked.wait()
            code, said = await leave(folder, "0.05")
            assert (code, "1 router processes still have requests" in said) == (0, True), said
            slow.go.set()
            await first
        worker.stop()

    asyncio.run(scenario())


def test_a_router_that_starts_later_knows_who_restarts(folder: Path) -> None:
    async def scenario() -> None:
        worker = await Worker(folder / "w").start(answering(OK))
        (folder / "proxy").mkdir()
        before = os.umask(0o077)  # as a worker's unit has it
        assert await leave(folder) == (0, "")  # no router runs: nobody to wait for
        os.umask(before)
        modes = [path.stat().st_mode & 0o777 for path in (folder / "draining", folder / "draining/w")]
        assert modes == [0o755, 0o644]  # for the router, which is another user
        async with Router(folder, controlled(folder, worker.endpoint)) as router:
            held = asyncio.create_task(router.ask(GET))
            await until(folder, waiting=1)
            (folder / "draining/w").unlink()
            assert (await held).endswith(b"ok")
        worker.stop()

    asyncio.run(scenario())


def test_marks_that_are_none_do_no_harm(folder: Path) -> None:
    async def scenario() -> None:
        worker = await Worker(folder / "w").start(answering(OK))
        options = controlled(folder, worker.endpoint)
        (folder / "draining/other").write_text("")
        (folder / "draining/folder").mkdir()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(folder / "draining/socket"))
        (folder / "draining" / os.fsdecode(b"\xff\n")).write_text("")
        async with Router(folder, options) as router:
            assert (await router.ask(GET)).endswith(b"ok")
        worker.stop()

    asyncio.run(scenario())


def test_a_new_file_of_routes_is_read_without_being_told(folder: Path) -> None:
    async def scenario() -> None:
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

    asyncio.run(scenario())
