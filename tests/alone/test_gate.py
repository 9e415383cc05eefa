"""The readiness gate against real servers: each test runs it as a process of its own."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from programs import alone

from tqunits.alone import gate

GATE = alone("gate")
NOBODY = 65534
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def run_gate(*arguments: str, user: int | None = None) -> tuple[int, str]:
    """Exit status and stderr of one run; without $JOURNAL_STREAM, so without priority prefixes."""
    process = await asyncio.create_subprocess_exec(*GATE, *arguments, stderr=asyncio.subprocess.PIPE, user=user, env={})
    _, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stderr.decode()


def saying(answer: bytes) -> Answer:
    """A server that reads a request and says one thing."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return handle


CHILD_LISTENS = """
import os, socket
mine, parents = os.pipe()
if os.fork():
    os.close(mine)
    os.wait()
os.close(parents)
v4, v6 = socket.create_server(("127.0.0.1", 0)), socket.create_server(("::1", 0), family=socket.AF_INET6)
print(v4.getsockname()[1], v6.getsockname()[1], flush=True)
os.read(mine, 1)  # until its parent has ended
"""


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that accepts and never answers."""
    await reader.read()
    writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield str(server.sockets[0].getsockname()[1])


@asynccontextmanager
async def a_process(*argv: str, user: int | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is gone afterwards."""
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, user=user)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def test_a_healthy_worker_passes_at_once() -> None:
    async def scenario() -> tuple[int, str]:
        async with serving(saying(OK)) as port:
            return await run_gate("--port", port, "--path", "/health", "--pid", str(os.getpid()))

    code, text = asyncio.run(scenario())
    assert code == gate.READY
    assert text.startswith("tqunits-gate: http://127.0.0.1:")
    assert text.endswith(" s, 1 attempt\n")
    assert "/health healthy after " in text


def test_the_request_is_the_one_of_the_contract() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    async def scenario() -> str:
        async with serving(handle) as port:
            code, text = await run_gate("--url", f"http://127.0.0.1:{port}/well?deep=1")
            assert code == gate.READY, text
            return port

    port = asyncio.run(scenario())
    assert seen == [
        f"GET /well?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "User-Agent: tqunits-gate\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
    ]


def test_a_worker_that_binds_late_passes_when_it_does() -> None:
    async def scenario() -> tuple[int, str]:
        port = free_port()
        waiting = asyncio.create_task(run_gate("--port", port, "--budget", "20"))
        await asyncio.wait([waiting], timeout=0.3)
        assert not waiting.done()
        server = await asyncio.start_server(saying(OK), "127.0.0.1", int(port))
        async with server:
            return await waiting

    code, text = asyncio.run(scenario())
    assert code == gate.READY
    assert "refused " in text


def test_a_worker_that_warms_up_passes_with_its_first_200() -> None:
    answers = iter([b"HTTP/1.1 503 Service Unavailable\r\n\r\n"] * 3 + [OK])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(next(answers))(reader, writer)

    async def scenario() -> tuple[int, str]:
        async with serving(handle) as port:
            return await run_gate("--port", port)

    code, text = asyncio.run(scenario())
    assert code == gate.READY
    assert text.endswith("4 attempts (status 503 3)\n")


def test_an_answer_in_pieces_is_one_answer() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in OK:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.close()

    async def scenario() -> tuple[int, str]:
        async with serving(handle) as port:
            return await run_gate("--port", port, "--budget", "5")

    assert asyncio.run(scenario())[0] == gate.READY


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
def test_what_is_not_200_fails_within_the_budget(answer: bytes, last: str) -> None:
    async def scenario() -> tuple[int, str]:
        async with serving(saying(answer)) as port:
            return await run_gate("--port", port, "--budget", "0.3")

    code, text = asyncio.run(scenario())
    assert code == gate.UNHEALTHY
    assert text.endswith(f"; last answer: {last}\n")
    assert "not healthy after 0." in text
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
def test_a_bad_answers_first_bytes_are_told(answer: bytes, last: str) -> None:
    async def scenario() -> tuple[int, str]:
        async with serving(saying(b"HTTP/1.1 500 No\r\n" + answer)) as port:
            return await run_gate("--port", port, "--budget", "0.1")

    code, text = asyncio.run(scenario())
    assert code == gate.UNHEALTHY
    assert text.endswith(f"; last answer: {last}\n")


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Wait\r\nContent-Length: 5\r\n\r\n")
        await reader.read()
        writer.close()

    async def scenario() -> tuple[int, str]:
        async with serving(handle) as port:
            return await run_gate("--port", port, "--budget", "0.6")

    code, text = asyncio.run(scenario())
    assert (code, text.endswith("; last answer: 503 Wait\n")) == (gate.UNHEALTHY, True), text
    assert "1 attempt " not in text


def test_a_bad_answer_is_asked_for_again_with_growing_pauses() -> None:
    times: list[float] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times.append(time.monotonic())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Wait\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        async with serving(handle) as port:
            await run_gate("--port", port, "--budget", "2")

    asyncio.run(scenario())
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert 4 <= len(times) <= 9  # 2 s: 0.05, 0.075, 0.11, 0.17, 0.25, 0.38, 0.57, and the last chance
    assert all(pause >= 0.05 for pause in pauses[:-1])


def test_a_worker_that_listens_elsewhere_is_told_where() -> None:
    async def scenario() -> tuple[int, str, list[bytes]]:
        async with a_process("/usr/bin/python3", "-c", CHILD_LISTENS) as worker:
            assert worker.stdout is not None
            ports = (await worker.stdout.readline()).split()
            arguments = ("--port", free_port(), "--budget", "0.2", "--pid", str(worker.pid))
            return *await run_gate(*arguments), ports

    code, text, (first, second) = asyncio.run(scenario())
    assert code == gate.ELSEWHERE
    assert f"; it listens on 127.0.0.1:{first.decode()}, [::1]:{second.decode()} instead; " in text


def test_the_verdict_is_said_when_systemds_patience_is_over() -> None:
    async def scenario() -> tuple[int, str]:
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
            await asyncio.wait_for(asked.wait(), 10)  # its second question: the first answer is read
            process.terminate()
            _, stderr = await asyncio.wait_for(process.communicate(), 10)
        assert process.returncode is not None
        return process.returncode, stderr.decode()

    code, text = asyncio.run(scenario())
    assert code == -signal.SIGTERM  # as one that says nothing: what a stop means does not change
    assert "/health not healthy, and told to end, after " in text
    assert text.endswith("; last answer: 404 Not Found: nothing here\n")


def test_no_exit_status_has_a_name_that_means_something_else() -> None:
    """Of systemd.exec(5), PROCESS EXIT CODES: 1-7 LSB, 64-78 BSD, 200-245 systemd; "150-199" are a program's own."""
    verdicts = (gate.UNHEALTHY, gate.SILENT, gate.SLOW, gate.FOREIGN, gate.ELSEWHERE, gate.EXITED, gate.UNPLACED)
    assert len({*verdicts}) == len(verdicts)
    assert all(150 <= verdict < 200 for verdict in verdicts)


def test_a_worker_that_never_listens_fails_when_the_budget_is_spent() -> None:
    begin = time.monotonic()
    code, text = asyncio.run(run_gate("--port", free_port(), "--budget", "0.5"))
    assert code == gate.SILENT
    assert 0.4 < time.monotonic() - begin < 5
    assert "(refused " in text
    assert text.endswith("; last answer: connection refused\n")


def test_a_hanging_worker_is_asked_again_after_the_probe_timeout() -> None:
    async def scenario() -> tuple[int, str]:
        async with serving(silent) as port:
            return await run_gate("--port", port, "--budget", "0.7", "--probe-timeout", "0.2")

    code, text = asyncio.run(scenario())
    assert code == gate.SLOW
    assert "(timed out " in text
    assert text.endswith("; last answer: none in time\n")


@pytest.mark.parametrize("moment", ["between-probes", "inside-a-probe", "before"])
def test_the_end_of_the_process_ends_the_wait(moment: str) -> None:
    async def scenario() -> tuple[int, str]:
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
            return await asyncio.wait_for(waiting, 5)

    code, text = asyncio.run(scenario())
    assert code == gate.EXITED
    assert "the worker's process exited after " in text


def test_an_unset_pid_means_that_the_process_is_gone() -> None:
    assert asyncio.run(run_gate("--port", free_port(), "--pid"))[0] == gate.EXITED


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: one of the two must run as another user")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
@pytest.mark.parametrize("closes", [True, False], ids=["closes", "keeps-alive"])
def test_another_users_program_on_the_port_is_not_the_worker(host: str, *, closes: bool) -> None:
    async def scenario() -> tuple[int, str]:
        async with a_process("/usr/bin/python3", "-c", IMPOSTOR, host, str(closes), user=NOBODY) as impostor:
            assert impostor.stdout is not None
            port = (await impostor.stdout.readline()).decode().strip()
            own = await run_gate("--port", port, user=NOBODY)
            assert own[0] == gate.READY, own[1]
            return await run_gate("--port", port, "--budget", "0.3")

    code, text = asyncio.run(scenario())
    assert code == gate.FOREIGN
    assert text.endswith("; last answer: 200 OK, but from a process of another user (uid 65534)\n")


IMPOSTOR = """
import socket, sys
host, closes = sys.argv[1], sys.argv[2] == "True"
server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
if ":" in host:
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind((host, 0))
server.listen()
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    if not closes:
        connection.recv(1)
    connection.close()
"""


def test_a_worker_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"

    async def scenario() -> tuple[int, str]:
        async with await asyncio.start_unix_server(saying(OK), path):
            return await run_gate("--socket", str(path), "--path", "/health")

    code, text = asyncio.run(scenario())
    assert code == gate.READY
    assert text.startswith(f"tqunits-gate: unix:{path}:/health healthy after ")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: one of the two must run as another user")
def test_another_users_unix_socket_is_not_the_workers() -> None:
    async def scenario() -> tuple[int, str]:
        async with a_process("/usr/bin/python3", "-c", UNIX_IMPOSTOR, user=NOBODY) as impostor:
            assert impostor.stdout is not None
            path = (await impostor.stdout.readline()).decode().strip()
            return await run_gate("--socket", path, "--budget", "0.3")

    code, text = asyncio.run(scenario())
    assert code == gate.FOREIGN
    assert "from a process of another user (uid 65534)" in text


UNIX_IMPOSTOR = """
import socket, tempfile
with tempfile.TemporaryDirectory() as folder:
    server = socket.socket(socket.AF_UNIX)
    server.bind(folder + "/s")
    server.listen()
    print(folder + "/s", flush=True)
    while True:
        connection, _ = server.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
        connection.close()
"""


def test_a_missing_unix_socket_is_refused(tmp_path: Path) -> None:
    code, text = asyncio.run(run_gate("--socket", str(tmp_path / "none"), "--budget", "0.2"))
    assert code == gate.SILENT
    assert text.endswith("; last answer: no such file or directory\n")


def test_under_the_journal_the_line_has_its_priority() -> None:
    async def scenario() -> str:
        process = await asyncio.create_subprocess_exec(
            *GATE,
            *("--port", free_port(), "--budget", "0.1"),
            stderr=asyncio.subprocess.PIPE,
            env={"JOURNAL_STREAM": "8:1"},
        )
        return (await process.communicate())[1].decode()

    assert asyncio.run(scenario()).startswith("<3>tqunits-gate: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param([], "give one of --port, --url and --socket", id="nothing"),
        pytest.param(["--port", "1", "--socket", "/s"], "give one of", id="both"),
        pytest.param(["--port", "0"], "--port 0: not valid", id="port-zero"),
        pytest.param(["--port", "65536"], "--port 65536: not valid", id="port-high"),
        pytest.param(["--url", "https://127.0.0.1:1/"], "--url https://", id="scheme"),
        pytest.param(["--url", "http://localhost:1/"], "--url http://localhost", id="names-are-not-resolved"),
        pytest.param(["--port", "1", "--path", "health"], "--path health: not a path", id="relative"),
        pytest.param(["--port", "1", "--path", "/a\r\nX: y"], "--path /a\\x0d\\x0aX: y", id="injection"),
        pytest.param(["--port", "1", "--path", "/a b"], "--path /a b: write a space as %20", id="space"),
        pytest.param(["--port", "1", "--budget", "-1"], "--budget -1: not valid", id="negative"),
        pytest.param(["--port", "1", "--budget", "nan"], "--budget nan: not valid", id="nan"),
        pytest.param(["--bogus"], "--bogus: no such option", id="unknown"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(arguments: list[str], complaint: str) -> None:
    with pytest.raises(gate.UsageProblem) as caught:
        gate.parse(arguments)
    assert str(caught.value).startswith(complaint)


def test_the_command_line_of_the_units() -> None:
    options = gate.parse(
        ["--url", "http://127.0.0.1:9000/health", "--probe-timeout=5", "--budget", "infinity", "--pid", "17"]
    )
    assert (options.host, options.port, options.path) == ("127.0.0.1", 9000, "/health")
    assert (options.probe_timeout, options.budget, options.pid) == (5.0, 1_000_000.0, 17)


PLACE = ("--routers", "/nowhere", "--name", "w")


def test_a_healthy_worker_gets_its_file(tmp_path: Path) -> None:
    async def scenario() -> int:
        async with serving(saying(OK)) as port:
            return (await run_gate("--port", port, "--serving", str(tmp_path / "serving"), *PLACE))[0]

    assert asyncio.run(scenario()) == gate.READY
    assert (tmp_path / "serving").is_file()


def test_a_sick_worker_gets_no_file(tmp_path: Path) -> None:
    place = ("--serving", str(tmp_path / "serving"), *PLACE)
    assert asyncio.run(run_gate("--port", free_port(), "--budget", "0.1", *place))[0] == gate.SILENT
    assert not (tmp_path / "serving").exists()


def test_a_file_that_can_not_be_made_is_a_failure_that_says_so(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, str]:
        async with serving(saying(OK)) as port:
            return await run_gate("--port", port, "--serving", str(tmp_path / "none/serving"), *PLACE)

    code, text = asyncio.run(scenario())
    assert code == gate.UNPLACED
    assert "none/serving can not be made: No such file or directory; no request comes without it\n" in text


def test_the_worker_may_end_its_answer() -> None:
    """One whose head and body come apart is not reset between them: it would say so in its journal, at each start."""

    async def scenario() -> tuple[int, bytes]:
        after = asyncio.get_running_loop().create_future()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n")
            await writer.drain()
            writer.write(b"Content-Length: 2\r\nConnection: close\r\n\r\nok")
            writer.write_eof()
            after.set_result((asked, await reader.read()))  # a reset would raise
            writer.close()

        async with serving(slow) as port:
            code, _ = await run_gate("--port", port)
            asked, rest = await asyncio.wait_for(after, 10)
        assert b"\r\nConnection: close\r\n" in asked
        return code, rest

    assert asyncio.run(scenario()) == (gate.READY, b"")


Requests = list[bytes]


def asked_for(answer: bytes, *options: str) -> tuple[int, str, bytes]:
    """Exit status, stderr and the first request of a gate with these options."""
    seen: Requests = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async def scenario() -> tuple[int, str]:
        async with serving(handle) as port:
            return await run_gate("--port", port, "--budget", "0.3", *options)

    return (*asyncio.run(scenario()), seen[0])


@pytest.mark.parametrize(
    ("status", "accepted", "verdict"),
    [
        (204, "204", gate.READY),
        (200, "204", gate.UNHEALTHY),
        (302, "200,300-399", gate.READY),
        (399, "200,300-399", gate.READY),
        (400, "200,300-399", gate.UNHEALTHY),
        (200, "200,300-399", gate.READY),
    ],
)
def test_the_statuses_that_mean_well_can_be_said(status: int, accepted: str, verdict: int) -> None:
    code, text, _ = asked_for(f"HTTP/1.1 {status} So\r\n\r\n".encode(), "--status", accepted)
    assert code == verdict, text


def test_the_host_that_is_asked_for_can_be_said() -> None:
    assert b"\r\nHost: www.example.org\r\n" in asked_for(OK, "--host-field", "www.example.org")[2]
    assert asyncio.run(run_gate("--port", "1", "--host-field", "a\r\nX: y"))[0] == gate.USAGE


@pytest.mark.parametrize("answer", [saying(OK), silent])
def test_a_connection_is_enough_for_tcp(answer: Answer) -> None:
    async def scenario() -> tuple[int, str]:
        async with serving(answer) as port:
            return await run_gate("--port", port, "--type", "tcp")

    code, text = asyncio.run(scenario())
    assert code == gate.READY
    assert text.startswith("tqunits-gate: tcp://127.0.0.1:")


def test_a_connection_at_a_unix_socket_is_enough(tmp_path: Path) -> None:
    async def scenario() -> int:
        server = await asyncio.start_unix_server(silent, str(tmp_path / "s"))
        async with server:
            return (await run_gate("--socket", str(tmp_path / "s"), "--type", "tcp"))[0]

    assert asyncio.run(scenario()) == gate.READY
    assert asyncio.run(run_gate("--socket", str(tmp_path / "s"), "--type", "tcp", "--budget", "0.1"))[0] == gate.SILENT


def test_no_connection_is_none() -> None:
    assert asyncio.run(run_gate("--port", free_port(), "--type", "tcp", "--budget", "0.1"))[0] == gate.SILENT


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to run as another user")
def test_a_connection_to_another_users_program_is_none() -> None:
    async def scenario() -> tuple[int, str]:
        async with serving(silent) as port:
            return await run_gate("--port", port, "--type", "tcp", "--budget", "0.3", user=NOBODY)

    code, text = asyncio.run(scenario())
    assert code == gate.FOREIGN
    assert "a connection, but from a process of another user (uid 0)" in text


def commanded(*argv: str, budget: str = "0.5", more: tuple[str, ...] = ()) -> tuple[int, str]:
    words = [word for each in argv for word in ("--run", each)]
    return asyncio.run(run_gate("--port", "9", "--type", "command", "--budget", budget, *more, *words))


def test_a_command_that_exits_with_0_is_well() -> None:
    code, text = commanded("/bin/sh", "-c", 'test "$1" = "a b" && kill -0 $PPID', "sh", "a b", budget="5")
    assert code == gate.READY, text
    assert text.startswith("tqunits-gate: command /bin/sh -c ")


@pytest.mark.parametrize(
    ("script", "verdict", "last"),
    [
        ("echo the database; echo is gone >&2; exit 3", gate.UNHEALTHY, "exit status 3: the database is gone"),
        ("exit 1", gate.UNHEALTHY, "exit status 1"),
        ("kill -9 $$", gate.UNHEALTHY, "killed by signal 9"),
        ("printf '\\033[2J'; exit 1", gate.UNHEALTHY, "exit status 1: \\x1b[2J"),
        ("head -c 1000000 /dev/zero | tr '\\0' A; exit 1", gate.UNHEALTHY, f"exit status 1: {'A' * 200}..."),
    ],
)
def test_what_a_command_says_is_told(script: str, verdict: int, last: str) -> None:
    code, text = commanded("/bin/sh", "-c", script)
    assert code == verdict
    assert text.endswith(f"; last answer: {last}\n")


def test_a_command_that_is_not_there_says_so() -> None:
    code, text = commanded("/bin/nothing")
    assert code == gate.UNHEALTHY
    assert text.endswith("; last answer: it can not be run: no such file or directory\n")


def test_a_command_that_does_not_end_is_killed_with_what_it_started(tmp_path: Path) -> None:
    note = tmp_path / "child"
    started = time.monotonic()
    code, text = commanded(
        "/bin/sh", "-c", f"sleep 1000 & echo $! > {note}; sleep 1000", more=("--probe-timeout", "0.3")
    )
    assert time.monotonic() - started < 10
    assert code == gate.SLOW, text
    assert "last answer: not ended in time" in text
    assert _ends(int(note.read_text()))


def test_what_a_command_leaves_behind_keeps_nobody_waiting(tmp_path: Path) -> None:
    note = tmp_path / "child"
    code, _ = commanded("/bin/sh", "-c", f"sleep 1000 & echo $! > {note}", budget="20")
    assert code == gate.READY
    assert _ends(int(note.read_text()))


def test_a_command_ends_with_the_worker() -> None:
    async def scenario() -> tuple[int, str]:
        async with a_process("sleep", "0.3") as worker:
            words = ("--run", "sleep", "--run", "1000")
            return await run_gate("--port", "9", "--type", "command", "--pid", str(worker.pid), *words)

    assert asyncio.run(scenario())[0] == gate.EXITED


@pytest.mark.parametrize(
    "options", [("--type", "command"), ("--run", "true"), ("--type", "udp"), ("--status", "2xx"), ("--status", "")]
)
def test_what_does_not_go_together_is_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(gate.UsageProblem):
        gate.parse(["--port", "9000", *options])


def _ends(pid: int) -> bool:
    """Whether a process that was killed is gone, or will be in a moment: the kernel takes its time."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 10)[0])
    finally:
        os.close(process)
