"""The programs that `tqunits init` writes keep the worker contract; each is run as its unit would
run it."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from signal import Signals

import pytest
from sample import START_SECONDS, Answer, Client, Sample, free_port

from tqunits.cli.main import main
from tqunits.host.sources import load
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.model import Listen, Mode, Worker, WorkerType
from tqunits.system import process
from tqunits.units.environment import contract, fill_in

ALWAYS = (WorkerType.GO, WorkerType.PYTHON, WorkerType.NODE, WorkerType.PHP)
MORE = (WorkerType.JAVA, WorkerType.RUBY, WorkerType.BUN, WorkerType.DENO)
TYPES = {t: pytest.param(t, marks=() if t in ALWAYS else pytest.mark.real) for t in (*ALWAYS, *MORE)}
"""Types whose runtime `make test-real` installs have the mark `real`."""

APART = (WorkerType.JAVA, WorkerType.PHP, WorkerType.RUBY)
"""Types whose own servers send head and body separately. This costs no delay, because of
TCP_NODELAY, a close afterwards, or a Unix socket."""

NPM = Path(__file__).parents[2] / "build/real/node_modules"
FOLDERS = [str(path) for of in ("@deno/linux-*-glibc", "@oven/bun-linux-*/bin") for path in NPM.glob(of)]
PATH = os.pathsep.join([os.environ["PATH"], *FOLDERS])

SENT = 5
PROMPT = 5.0
"""Seconds until a program without requests in flight has to end: a kept connection is no reason to
wait, as timeouts.stop is 30."""

HANDING = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""As systemd passes a socket: sd_listen_fds(3)."""

CLEAN = {0, 143, -Signals.SIGTERM}
"""What systemd accepts here as a clean end: SuccessExitStatus=143 of the unit, and an end by the
signal that it sent."""

AT_THE_GATE = {
    WorkerType.GO: ("func health(w http.ResponseWriter, r *http.Request) {\n", 'os.ReadFile(os.Getenv("GATE"))\n'),
    WorkerType.PYTHON: ("def do_GET(self) -> None:\n", '        open(__import__("os").environ["GATE"]).read()\n'),
    WorkerType.NODE: ("async (request, response) => {\n", "await require('fs/promises').readFile(process.env.GATE);\n"),
    WorkerType.BUN: ('"/health": async () => ', "await require('fs/promises').readFile(process.env.GATE) && "),
    WorkerType.PHP: ("declare(strict_types=1);\n", "file_get_contents(getenv('GATE'));\n"),
    WorkerType.JAVA: (
        "void answer(HttpExchange exchange) throws IOException {\n",
        'java.nio.file.Files.readString(java.nio.file.Path.of(System.getenv("GATE")));\n',
    ),
    WorkerType.DENO: ("async (request) => {\n", "  await Deno.readTextFile(Deno.env.get('GATE')!);\n"),
    WorkerType.RUBY: ("run(lambda do |env|\n", '  File.read(ENV.fetch("GATE"))\n'),
}
"""The beginning of a request's code for each type, and the lines that make it wait until the test
has opened and closed the FIFO $GATE."""


@pytest.fixture(params=TYPES.values())
def worker(request: pytest.FixtureRequest, roots: Path) -> Worker:
    """What init writes for a type, as the configuration reads it."""
    (roots / "workers").mkdir()
    assert main(["-C", str(roots), "init", "hello", "--type", request.param]) == 0
    (read,) = load(roots, SYSTEM_LAYOUT).configured().workers
    return read


@asynccontextmanager
async def playing(worker: Worker, by: tuple[str, ...] = ()) -> AsyncIterator[Sample]:
    """Build it and run it, `by` another program."""
    if worker.build.command:
        offline = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOPROXY": "off"}
        folder = Path(worker.folder)
        built = process.run(worker.build.command, timeout_s=120, environment=offline, working_directory=folder)
        assert built.returncode == 0, built.stderr
    async with asyncio.timeout(3 * START_SECONDS), running(worker, by) as sample:
        yield sample


@asynccontextmanager
async def running(worker: Worker, by: tuple[str, ...]) -> AsyncIterator[Sample]:
    """The program with only the variables of the contract, when it accepts connections."""
    above = Path(worker.folder).parent
    address = free_port() if worker.listen is Listen.TCP else str(above / "http.sock")
    port, path = (address, None) if isinstance(address, int) else (None, address)
    folders = {"STATE_DIRECTORY": str(above), "CACHE_DIRECTORY": str(above)}
    variables = contract(worker, Mode.PRODUCTION, port=port, socket=path, folders=folders)
    argv = (*by, *fill_in(worker, {**variables, **folders}))
    descriptors: tuple[int, ...] = ()
    with socket.socket(socket.AF_UNIX) as listener:
        if worker.listen is Listen.FD:
            listener.bind(str(address))
            listener.listen()
            descriptors = (listener.fileno(),)
            argv = (sys.executable, "-c", HANDING, str(listener.fileno()), *argv)
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=worker.folder,
            env={"PATH": PATH, "HOME": str(above), "GATE": str(above / "gate"), **variables},
            pass_fds=descriptors,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        sample = Sample(child, address)
        try:
            async with asyncio.timeout(START_SECONDS):
                await up(sample)
            yield sample
        finally:
            tell(sample, Signals.SIGKILL)
            await child.wait()


async def up(sample: Sample) -> None:
    """Wait until it accepts connections, or has ended."""
    while sample.process.returncode is None:
        try:
            return (await sample.connect()).close()
        except OSError:
            await asyncio.sleep(0.02)  # no event reports a bind(2)
    _, said = await sample.process.communicate()
    pytest.fail(said.decode())


def tell(sample: Sample, signal: Signals) -> None:
    """Send the signal as systemd does: to all processes of the worker."""
    if sample.process.returncode is None:
        os.killpg(sample.process.pid, signal)


async def test_health_and_page_come_on_one_connection(worker: Worker) -> None:
    async with playing(worker) as sample:
        client = await sample.connect()
        for path, status, body in (("/health", 200, b"well\n"), ("/", 200, b"hello from hello\n"), ("/x", 404, None)):
            answer = await client.send("GET", path)
            assert answer.status == status
            if body is not None:
                told = answer.headers["content-type"].replace("; ", ";").lower()
                assert (answer.body, told) == (body, "text/plain;charset=utf-8")
            if worker.type is WorkerType.PHP:  # its server keeps no connection open
                client = await sample.connect()


async def test_head_has_no_body_and_a_query_makes_no_other_page(worker: Worker) -> None:
    async with playing(worker) as sample:
        client = await sample.connect()
        answer = await client.send("HEAD", "/?x=1")
        assert (answer.status, answer.headers.get("content-length", "17")) == (200, "17")
        if worker.type is WorkerType.PHP:  # its server keeps no connection open
            assert await client.at_end()
        else:
            assert (await client.send("GET", "/")).body == b"hello from hello\n"


async def test_a_body_is_no_further_request(worker: Worker) -> None:
    async with playing(worker) as sample:
        reader, writer = await opened(sample)
        hidden = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden)
        received = await asyncio.wait_for(reader.readuntil(b"well\n"), START_SECONDS)
        with suppress(ConnectionError):  # the server may have closed it
            writer.write(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received += await asyncio.wait_for(reader.read(), START_SECONDS)
        assert b"hello from" not in received
        writer.close()


@pytest.mark.parametrize("worker", [type_ for name, type_ in TYPES.items() if name not in APART], indirect=True)
async def test_head_and_body_leave_in_one_send(worker: Worker) -> None:
    log = Path(worker.folder).parent / "calls"

    strace = ("strace", "-f", "-o", str(log), "-s", "4096", "-e", "trace=write,writev,sendto,sendmsg")
    async with playing(worker, strace) as sample:
        client = await sample.connect()
        for _ in range(SENT):
            assert (await client.send("GET", "/health")).body == b"well\n"
    calls = [call for call in log.read_text(encoding="utf-8").splitlines() if "HTTP/1.1 200" in call]
    assert len(calls) == SENT
    assert all(re.search(r"well\\n", call) for call in calls), calls[0]


async def opened(sample: Sample) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(sample.address, int):
        return await asyncio.open_connection("127.0.0.1", sample.address)
    return await asyncio.open_unix_connection(sample.address)


async def test_a_stop_finishes_what_runs_and_waits_for_nothing_else(worker: Worker) -> None:
    hold_up(worker)
    gate = Path(worker.folder).parent / "gate"
    os.mkfifo(gate)

    async with playing(worker) as sample:
        idle, busy = await sample.connect(), await sample.connect()
        answer, keeper = await held(idle, gate)
        os.close(keeper)
        assert (await asyncio.wait_for(answer, START_SECONDS)).body == b"well\n"
        answer, keeper = await held(busy, gate)
        tell(sample, Signals[worker.signals.stop])
        done, _ = await asyncio.wait([answer], timeout=0.5)
        assert not done, "the request was cut off"
        os.close(keeper)
        assert (await asyncio.wait_for(answer, START_SECONDS)).body == b"well\n"
        begin = time.monotonic()
        assert await sample.stopped() in (CLEAN if worker.type in (WorkerType.JAVA, WorkerType.RUBY) else {0})
        assert time.monotonic() - begin < PROMPT
        idle.close()
        busy.close()


async def held(client: Client, gate: Path) -> tuple[asyncio.Task[Answer], int]:
    """A request that runs until the descriptor is closed."""
    answer = asyncio.create_task(client.send("GET", "/health"))
    return answer, await asyncio.wait_for(at_the_gate(gate), START_SECONDS)


async def at_the_gate(gate: Path) -> int:
    """Wait until a request has opened the FIFO; gives the other end of it."""
    while True:
        try:
            return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO  # nobody reads
            await asyncio.sleep(0.02)


def hold_up(worker: Worker) -> None:
    """A worker whose requests wait at the FIFO."""
    begin, wait = AT_THE_GATE[worker.type]
    found = begin.replace("async ", "")
    holding = [path for path in Path(worker.folder).rglob("*.*") if found in path.read_text(encoding="utf-8")]
    assert len(holding) == 1, holding
    text = holding[0].read_text(encoding="utf-8")
    holding[0].write_text(text.replace(found, begin + wait), encoding="utf-8")


def test_a_page_of_type_static_is_served_as_it_is(roots: Path) -> None:
    (roots / "workers").mkdir()
    assert main(["-C", str(roots), "init", "hello", "--type", "static"]) == 0
    (worker,) = load(roots, SYSTEM_LAYOUT).configured().workers
    page = Path(worker.folder / worker.static.directory / "index.html")
    assert "hello from hello" in page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o004


@pytest.mark.parametrize("linter", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy", "--strict")])
def test_the_program_in_python_is_clean(roots: Path, linter: tuple[str, ...]) -> None:
    folder = roots / "hello"
    assert main(["init", f"{folder}/", "--type", "python"]) == 0
    program = str(Path(sys.executable).parent / linter[0])
    checked = process.run([program, *linter[1:], str(folder / "src/main.py")], timeout_s=120, working_directory=folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_program_in_go_is_formatted(roots: Path) -> None:
    folder = roots / "hello"
    assert main(["init", f"{folder}/", "--type", "go"]) == 0
    assert process.run(["gofmt", "-l", str(folder)], timeout_s=60).stdout == ""
