"""Which answers of a worker the gate accepts as healthy, and its messages about the others."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from gates import LONGER, OK, run_gate, saying, serving

from tqunits.alone import verdicts
from tqunits.health import read
from tqunits.host import healthy
from tqunits.lifecycle.facts import Facts
from tqunits.lifecycle.state import State


async def test_an_answer_in_pieces_is_one_answer() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in OK:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.close()

    async with serving(handle) as port:
        code, _ = await run_gate("--port", port, "--budget", "5")
    assert code == verdicts.READY


@pytest.mark.parametrize(
    ("answer", "last"),
    [
        pytest.param(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "503 Service Unavailable", id="unavailable"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", "204 No Content", id="200-exactly"),
        pytest.param(b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", "301 Moved", id="redirect"),
        pytest.param(b"HTTP/1.1 500\r\n\r\n", "500", id="no-reason"),
        pytest.param(b"HTTP/1.1 200OK\r\n\r\n", "not HTTP: HTTP/1.1 200OK", id="not-a-code"),
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", "not HTTP: HTTP/2 200 OK", id="other-version"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", "not HTTP: SSH-2.0-OpenSSH_9.2p1", id="other-protocol"),
        pytest.param(b"\x1b[2J\x00\xff\r\n", "not HTTP: \\x1b[2J\\x00\\xff", id="control-characters-escaped"),
        pytest.param(b"HTTP/1.1 500 \x1b]0;owned\x07\r\n", "500 \\x1b]0;owned\\x07", id="hostile-reason-escaped"),
        pytest.param(b"A" * 100_000, f"not HTTP: {'A' * 120}...", id="endless-line-cut"),
        pytest.param(b"", "closed without an answer", id="nothing"),
    ],
)
async def test_what_is_not_200_fails_within_the_budget(answer: bytes, last: str) -> None:
    async with serving(saying(answer)) as port:
        code, text = await run_gate("--port", port, "--budget", "0.3")
    assert code == verdicts.UNHEALTHY
    assert text.endswith(f"; last answer: {last}\n")
    assert "not healthy after " in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "last"),
    [
        pytest.param(b'Content-Length: 17\r\n\r\n{"db": "is down"}', '500 No: {"db": "is down"}', id="json"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n5\r\nno db\r\n0\r\n\r\n", "500 No: no db 0", id="chunked"),
        pytest.param(b"\r\n" + b"x" * 5000, f"500 No: {'x' * 200}...", id="200-bytes"),
        pytest.param(b"\r\n\x1b[2J\n\n <b>\xff", "500 No: \\x1b[2J <b>\\xff", id="hostile"),
        pytest.param(b"Content-Length: 9", "500 No", id="no-end-of-the-head"),
    ],
)
async def test_a_bad_answers_first_bytes_are_told(answer: bytes, last: str) -> None:
    async with serving(saying(b"HTTP/1.1 500 No\r\n" + answer)) as port:
        code, text = await run_gate("--port", port, "--budget", "0.1")
    assert code == verdicts.UNHEALTHY
    assert text.endswith(f"; last answer: {last}\n")


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Wait\r\nContent-Length: 5\r\n\r\n")
        await reader.read()
        writer.close()

    async with serving(handle) as port:
        for budget in LONGER:
            code, text = await run_gate("--port", port, "--budget", str(budget), "--probe-timeout", "60")
            assert (code, text.endswith("; last answer: 503 Wait\n")) == (verdicts.UNHEALTHY, True), text
            if "1 attempt " not in text:
                return
    raise AssertionError("it was never asked twice")


async def test_a_bad_answer_is_asked_for_again_with_growing_pauses() -> None:
    times: list[float] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times.append(time.monotonic())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Wait\r\n\r\n")
        writer.close()

    async with serving(handle) as port:
        await run_gate("--port", port, "--budget", "2")
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) <= 9  # 2 s: 0.05, 0.075, 0.11, 0.17, 0.25, 0.38, 0.57, and the last attempt
    assert all(pause >= 0.05 for pause in pauses[:-1])


async def test_the_worker_may_end_its_answer() -> None:
    """If head and body come separately, the gate does not reset the connection in between.
    Otherwise the worker would log an error at each start."""

    after = asyncio.get_running_loop().create_future()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await writer.drain()
        writer.write(b"Content-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.write_eof()
        after.set_result((asked, await reader.read()))  # a reset would raise an exception
        writer.close()

    async with serving(slow) as port:
        code, _ = await run_gate("--port", port)
        asked, rest = await asyncio.wait_for(after, 10)
    assert b"\r\nConnection: close\r\n" in asked
    assert (code, rest) == (verdicts.READY, b"")


Requests = list[bytes]


async def asked_for(answer: bytes, *options: str) -> tuple[int, str, bytes]:
    """Exit status, stderr and the first request of a gate with these options."""
    seen: Requests = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async with serving(handle) as port:
        code, text = await run_gate("--port", port, "--budget", "0.3", *options)
    return code, text, seen[0]


@pytest.mark.parametrize(
    ("status", "accepted", "verdict"),
    [
        (204, "204", verdicts.READY),
        (200, "204", verdicts.UNHEALTHY),
        (302, "200,300-399", verdicts.READY),
        (399, "200,300-399", verdicts.READY),
        (400, "200,300-399", verdicts.UNHEALTHY),
        (200, "200,300-399", verdicts.READY),
    ],
)
async def test_the_statuses_that_mean_well_can_be_said(status: int, accepted: str, verdict: int) -> None:
    code, text, _ = await asked_for(f"HTTP/1.1 {status} So\r\n\r\n".encode(), "--status", accepted)
    assert code == verdict, text


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 204 No Content\n\n",
        b"HTTP/1.1 302 Found",
        b"HTTP/1.1 500 No\r\n\r\n",
        b"HTTP/1.1 400 \r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"200 OK\r\n",
        b"",
    ],
)
async def test_who_asks_later_takes_the_same_for_well(answer: bytes) -> None:
    accepted = "200,204,300-399"
    async with serving(saying(answer)) as port:
        facts = Facts(name="w", state=State.HEALTHY, address=f"127.0.0.1:{port}", health="/", accepted=read(accepted))
        later = await asyncio.to_thread(healthy.answer, facts, patience=5.0)
        code, text = await run_gate("--port", port, "--status", accepted, "--budget", "0.1")
    assert (later == "") is (code == verdicts.READY), (text, later)
    assert later == "" or text.endswith(f"; last answer: {later}\n")


async def test_the_host_that_is_asked_for_can_be_said() -> None:
    assert b"\r\nHost: www.example.org\r\n" in (await asked_for(OK, "--host-field", "www.example.org"))[2]
    assert (await run_gate("--port", "1", "--host-field", "a\r\nX: y"))[0] == verdicts.USAGE
