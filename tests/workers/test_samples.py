"""Every sample keeps the worker contract (README.md): its address, /health, structured logs, a stop
without lost requests."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from sample import COMMANDS, WORKERS, Sample, build_api, running

Start = Callable[..., AbstractAsyncContextManager[Sample]]
LOG_LINE = re.compile(r"<([0-7])>(\{.*\})\n")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api_command(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return await build_api(tmp_path_factory.mktemp("api"))


@pytest.fixture(params=sorted(COMMANDS))
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """Starts one of the samples."""
    command = request.getfixturevalue("api_command") if request.param == "api" else ()
    return partial(running, request.param, tmp_path, command=command)


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_health_is_200(start: Start, *, unix: bool) -> None:
    async with start(unix=unix) as sample:
        assert (await sample.once("GET", "/health")).status == 200


async def test_a_socket_that_a_crash_left_behind_is_replaced(start: Start) -> None:
    async with start(unix=True) as sample:
        sample.process.kill()
        await sample.process.wait()
    async with start(unix=True) as sample:
        assert (await sample.once("GET", "/health")).status == 200


async def test_one_connection_carries_many_requests(start: Start) -> None:
    async with start() as sample:
        client = await sample.connect()
        answers = [await client.send("GET", path) for path in ("/health", "/", "/none", "/health")]
        assert [answer.status for answer in answers] == [200, 200, 404, 200]
        head = await client.send("HEAD", "/none")
        assert (head.status, (await client.send("GET", "/health")).status) == (404, 200)
        client.close()


async def test_a_body_that_nobody_asked_for_is_not_the_next_request(start: Start) -> None:
    async with start() as sample:
        client = await sample.connect()
        hidden = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
        assert (await client.send("GET", "/health", hidden)).status == 200
        client.close()
        assert (await sample.once("GET", "/health")).status == 200
        sample.terminate()
        assert await sample.stopped() == 0
    assert not any("/slow" in line for line in sample.log)


async def test_links_are_below_the_prefix_that_the_client_sees(start: Start) -> None:
    async with start(WORKER_ROUTE="/from-env") as sample:
        behind = await sample.once("GET", "/", X_Forwarded_Prefix="/deep/er")
        assert b'"/deep/er/' in behind.body
        assert b'"/from-env/' in (await sample.once("GET", "/")).body


async def test_a_hostile_prefix_is_text(start: Start) -> None:
    async with start() as sample:
        answer = await sample.once("GET", "/", X_Forwarded_Prefix='"><script>alert(1)</script>')
        assert answer.status == 200
        assert b"<script>" not in answer.body


async def test_sigterm_finishes_the_request_in_flight_and_closes_the_idle(start: Start) -> None:
    async with start() as sample:
        idle, used, busy = [await sample.connect() for _ in range(3)]
        assert (await used.send("GET", "/health")).status == 200
        slow = asyncio.create_task(busy.send("GET", "/slow"))
        await asyncio.wait([slow], timeout=0.3)  # well within the second that it takes
        assert not slow.done()
        begin = time.monotonic()
        sample.terminate()
        assert await used.at_end()
        answer = await slow
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        idle.close()
        assert await sample.stopped() == 0
        assert time.monotonic() - begin < 10
        with pytest.raises(OSError, match="Connect"):
            await sample.connect()
    assert json.loads(sample.log[-1].partition(">")[2])["message"] == "stopped"


async def test_every_line_of_the_log_is_a_priority_and_json(start: Start) -> None:
    async with start() as sample:
        await sample.once("GET", "/")
        await sample.once("GET", "/a%0Ab\x1b[2J")
        client = await sample.connect()
        client.close()
        sample.terminate()
        assert await sample.stopped() == 0
    matches = [LOG_LINE.fullmatch(line) for line in sample.log]
    assert all(matches), sample.log
    messages = [json.loads(match[2])["message"] for match in matches if match]
    assert messages[0] == "listening"
    assert messages[-1] == "stopped"
    assert "request" in messages


@pytest.mark.parametrize("command", [("gofmt", "-l", "."), ("go", "vet", "./...")], ids=["gofmt", "vet"])
async def test_the_go_sample_is_clean(command: tuple[str, ...]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=WORKERS / "api", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert (process.returncode, output) == (0, b"")


def test_samples_are_as_small_as_samples_should_be() -> None:
    sources = [path for path in WORKERS.glob("*/src/*") if path.is_file()]
    assert {path.parts[-3] for path in sources} == set(COMMANDS)
    assert max(len(path.read_text().splitlines()) for path in sources) <= 140
