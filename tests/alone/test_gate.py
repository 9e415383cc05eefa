"""The readiness gate against real servers; each test runs it as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from gates import GATE, LONGER, OK, a_process, free_port, run_gate, saying, serving, silent

from tqunits.alone import question, verdicts


async def test_a_healthy_worker_passes_at_once() -> None:
    async with serving(saying(OK)) as port:
        code, text = await run_gate("--port", port, "--path", "/health", "--pid", str(os.getpid()))
    assert code == verdicts.READY
    assert text.startswith("tqunits-gate: http://127.0.0.1:")
    assert text.endswith(" s, 1 attempt\n")
    assert "/health healthy after " in text


async def test_the_request_is_the_one_of_the_contract() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    async with serving(handle) as port:
        code, text = await run_gate("--port", port, "--path", "/well?deep=1")
        assert code == verdicts.READY, text
    assert seen == [
        f"GET /well?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "User-Agent: tqunits-gate\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
    ]


async def test_a_worker_that_binds_late_passes_when_it_does() -> None:
    for late in LONGER:
        if await is_refused_and_passes(late):
            return
    raise AssertionError("the gate has never asked before")


async def is_refused_and_passes(late: float) -> bool:
    """Whether the gate has asked before the worker has bound its port, so many seconds late."""
    port = free_port()
    waiting = asyncio.create_task(run_gate("--port", port, "--budget", "100"))
    await asyncio.wait([waiting], timeout=late)
    assert not waiting.done()
    server = await asyncio.start_server(saying(OK), "127.0.0.1", int(port))
    async with server:
        code, text = await waiting
    assert code == verdicts.READY
    return "refused " in text


async def test_a_worker_that_warms_up_passes_with_its_first_200() -> None:
    answers = iter([b"HTTP/1.1 503 Service Unavailable\r\n\r\n"] * 3 + [OK])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(next(answers))(reader, writer)

    async with serving(handle) as port:
        code, text = await run_gate("--port", port)
    assert code == verdicts.READY
    assert text.endswith("4 attempts (status 503 3)\n")


async def test_the_verdict_is_said_when_systemds_patience_is_over() -> None:
    asked = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\n\r\nnothing here")
        writer.close()
        attempts.append(port)
        if len(attempts) > 1:
            asked.set()

    attempts: list[str] = []
    async with serving(handle) as port:
        process = await asyncio.create_subprocess_exec(
            *GATE, *("--port", port, "--budget", "60"), stderr=asyncio.subprocess.PIPE, env={}
        )
        await asyncio.wait_for(asked.wait(), 10)  # its second request: it has read the first answer
        process.terminate()
        _, stderr = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode is not None
    code, text = process.returncode, stderr.decode()
    assert code == -signal.SIGTERM  # as without a message: a stop has the same effect
    assert "/health not healthy, and told to end, after " in text
    assert text.endswith("; last answer: 404 Not Found: nothing here\n")


def test_no_exit_status_has_a_name_that_means_something_else() -> None:
    """Ranges of systemd.exec(5), PROCESS EXIT CODES: 1-7 LSB, 64-78 BSD, 200-245 systemd; "150-199"
    are for programs."""
    names = ("UNHEALTHY", "SILENT", "SLOW", "FOREIGN", "ELSEWHERE", "EXITED", "UNPLACED")
    found = {getattr(verdicts, name) for name in names}
    assert len(found) == len(names)
    assert all(150 <= verdict < 200 for verdict in found)


async def test_a_worker_that_never_listens_fails_when_the_budget_is_spent() -> None:
    begin = time.monotonic()
    code, text = await run_gate("--port", free_port(), "--budget", "0.5")
    assert code == verdicts.SILENT
    assert time.monotonic() - begin > 0.4
    assert "(refused " in text
    assert text.endswith("; last answer: connection refused\n")


async def test_a_hanging_worker_is_asked_again_after_the_probe_timeout() -> None:
    async with serving(silent) as port:
        code, text = await run_gate("--port", port, "--budget", "0.7", "--probe-timeout", "0.2")
    assert code == verdicts.SLOW
    assert "(timed out " in text
    assert text.endswith("; last answer: none in time\n")


@pytest.mark.parametrize("moment", ["between-probes", "inside-a-probe", "before"])
async def test_the_end_of_the_process_ends_the_wait(moment: str) -> None:
    async with serving(silent) as port, a_process("sleep", "60") as worker:
        asked = port if moment == "inside-a-probe" else free_port()
        if moment == "before":
            worker.kill()
            await worker.wait()
        waiting = asyncio.create_task(run_gate("--port", asked, "--budget", "60", "--pid", str(worker.pid)))
        await asyncio.wait([waiting], timeout=0.3)
        if moment != "before":
            assert not waiting.done()
            worker.kill()
        code, text = await asyncio.wait_for(waiting, 5)
    assert code == verdicts.EXITED
    assert "the worker's process exited after " in text


async def test_an_unset_pid_means_that_the_process_is_gone() -> None:
    assert (await run_gate("--port", free_port(), "--pid"))[0] == verdicts.EXITED


async def test_a_worker_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"

    async with await asyncio.start_unix_server(saying(OK), path):
        code, text = await run_gate("--socket", str(path), "--path", "/health")
    assert code == verdicts.READY
    assert text.startswith(f"tqunits-gate: unix:{path}:/health healthy after ")


async def test_a_missing_unix_socket_is_refused(tmp_path: Path) -> None:
    code, text = await run_gate("--socket", str(tmp_path / "none"), "--budget", "0.2")
    assert code == verdicts.SILENT
    assert text.endswith("; last answer: no such file or directory\n")


async def test_under_the_journal_the_line_has_its_priority() -> None:
    process = await asyncio.create_subprocess_exec(
        *GATE,
        *("--port", free_port(), "--budget", "0.1"),
        stderr=asyncio.subprocess.PIPE,
        env={"JOURNAL_STREAM": "8:1"},
    )
    assert (await process.communicate())[1].startswith(b"<3>tqunits-gate: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param([], "give one of --port and --socket", id="nothing"),
        pytest.param(["--port", "1", "--socket", "/s"], "give one of", id="both"),
        pytest.param(["--port", "0"], "--port 0: not valid", id="port-zero"),
        pytest.param(["--port", "65536"], "--port 65536: not valid", id="port-high"),
        pytest.param(["--port", "1", "--path", "health"], "--path health: not a path", id="relative"),
        pytest.param(["--port", "1", "--path", "/a\r\nX: y"], "--path /a\\x0d\\x0aX: y", id="injection"),
        pytest.param(["--port", "1", "--path", "/a b"], "--path /a b: write a space as %20", id="space"),
        pytest.param(["--port", "1", "--budget", "-1"], "--budget -1: not valid", id="negative"),
        pytest.param(["--port", "1", "--budget", "nan"], "--budget nan: not valid", id="nan"),
        pytest.param(["--bogus"], "--bogus: no such option", id="unknown"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(arguments: list[str], complaint: str) -> None:
    with pytest.raises(question.UsageProblem) as caught:
        question.parse(arguments)
    assert str(caught.value).startswith(complaint)


def test_the_command_line_of_the_units() -> None:
    options = question.parse(
        ["--port", "9000", "--path", "/well", "--probe-timeout=5", "--budget", "infinity", "--pid", "17"]
    )
    assert (options.port, options.path) == (9000, "/well")
    assert (options.probe_timeout, options.budget, options.pid) == (5.0, 1_000_000.0, 17)


PLACE = ("--routers", "/nowhere", "--name", "w")


async def test_a_healthy_worker_gets_its_file(tmp_path: Path) -> None:
    async with serving(saying(OK)) as port:
        code, _ = await run_gate("--port", port, "--serving", str(tmp_path / "serving"), *PLACE)
    assert code == verdicts.READY
    assert (tmp_path / "serving").is_file()


async def test_a_sick_worker_gets_no_file(tmp_path: Path) -> None:
    place = ("--serving", str(tmp_path / "serving"), *PLACE)
    assert (await run_gate("--port", free_port(), "--budget", "0.1", *place))[0] == verdicts.SILENT
    assert not (tmp_path / "serving").exists()


async def test_a_file_that_can_not_be_made_is_a_failure_that_says_so(tmp_path: Path) -> None:
    async with serving(saying(OK)) as port:
        code, text = await run_gate("--port", port, "--serving", str(tmp_path / "none/serving"), *PLACE)
    assert code == verdicts.UNPLACED
    assert "none/serving can not be made: No such file or directory; no request comes without it\n" in text


@pytest.mark.parametrize(
    "options", [("--type", "command"), ("--run", "true"), ("--type", "udp"), ("--status", "2xx"), ("--status", "")]
)
def test_what_does_not_go_together_is_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(question.UsageProblem):
        question.parse(["--port", "9000", *options])
