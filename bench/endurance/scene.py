"""The scene of bench/endurance: a router, a worker that answers well, one that does not, and an
honest client.

All are processes of their own, so that what one does costs the others nothing but the machine's
time. The hostile clients are in this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.endurance.look import Look, Router
from bench.endurance.nginx import nginx
from bench.processes import Process, cpu_of, machine_time

T = TypeVar("T")

HERE = Path(__file__).parent
SAMPLE = 0.2
"""Seconds between two looks at the router while something goes on."""

BACKLOG = 4096
"""As tq-proxy.socket's."""

SETTLE = 15.0
"""Seconds for what has ended to be gone: idle connections to workers are kept 1.5 s, a lingering
close takes 2."""

HEADS = {"max_request_line": 8192, "max_head": 32768, "max_fields": 100}
HEAD_US, STALL_US = 2_000_000, 3_000_000
"""Time-outs of the router here; a fifth and a tenth of what it has without being told."""


class Child:
    """A program of ours that is told things on stdin and answers on stdout."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid, self._in, self._out = process.pid, process.stdin, process.stdout

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, script: str, *arguments: object) -> AsyncIterator[Child]:
        """Start it; it ends with the context, and by itself when this program does: its stdin
        ends."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / script),
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield cls(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def tell(self, command: str = "") -> str:
        """One line to it; gives the line that it answers."""
        self._in.write(command.encode() + b"\n")
        return await self.line()

    async def line(self) -> str:
        """Its next line."""
        line = (await self._out.readline()).decode().strip()
        if not line:
            raise RuntimeError("a program of the bench has ended")
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Honest:
    """What the honest client says of a phase."""

    requests: int
    p50_us: int
    p99_us: int
    max_us: int
    failed: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What was seen while something went on."""

    honest: Honest
    peak: Look
    seconds: float
    busy: float  # CPUs that the router used
    waited: float  # part of the time that it was ready to run and had no CPU; of several processes the mean
    others: float  # CPUs that nobody here used


class Scene:
    """Everything that runs, and how to look at it."""

    def __init__(self, router: Router, others: Sequence[int], honest: Child) -> None:
        """`others`: the processes of the workers."""
        self.port = router.port
        self.router = router
        self._others = [*others, honest.pid, os.getpid()]
        self._honest = honest

    def look(self) -> Look:
        """The router now. Raises RuntimeError, with what it said, when it has ended."""
        self.router.check()
        return Look.at(self.router.pids)

    async def phase(self, action: Awaitable[T]) -> tuple[T, Phase]:
        """Do that, and look on."""
        await self._honest.tell()
        begin, cpu, ours, machine = time.monotonic(), cpu_of(self.router.pids), self._ours(), machine_time()
        peaks, delay = [self.look()], self.router.waited_s()
        watching = asyncio.create_task(self._watch(peaks))
        try:
            found = await action
        finally:
            watching.cancel()
        seconds = time.monotonic() - begin
        used = (cpu_of(self.router.pids) - cpu).total
        others = machine_time()[0] - machine[0] - (self._ours() - ours) - used
        honest = Honest(**json.loads(await self._honest.tell()))
        phase = Phase(
            honest=honest,
            peak=peaks[0].most(self.look()),
            seconds=seconds,
            busy=used / seconds,
            waited=(self.router.waited_s() - delay) / seconds,
            others=max(0.0, others / seconds),
        )
        return found, phase

    async def _watch(self, peaks: list[Look]) -> None:
        while True:
            peaks[0] = peaks[0].most(self.look())
            await asyncio.sleep(SAMPLE)

    def _ours(self) -> float:
        """CPU seconds of all but the router, and of the children that have ended."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cpu_of(self._others).total + ended.ru_utime + ended.ru_stime

    async def settled(self, descriptors: int) -> Look:
        """The router, once it has no more descriptors than that, or has had the time to get
        there."""
        deadline = time.monotonic() + SETTLE
        while (look := self.look()).descriptors > descriptors and time.monotonic() < deadline:
            await asyncio.sleep(SAMPLE)
        return look


@contextlib.contextmanager
def workers(folder: Path, name: str) -> Iterator[tuple[str, str, int]]:
    """Workers in a process of their own: their endpoints on TCP and on a Unix socket, and that
    process."""
    path = folder / f"{name}.sock"
    argv = [sys.executable, str(HERE / "workers.py"), str(path)]
    with Process(argv, log=folder / f"{name}.log") as process:
        yield f"127.0.0.1:{process.wait_for(chr(10)).split()[0]}", f"unix:{path}", process.pid


@contextlib.contextmanager
def routing(folder: Path, text: str, *, descriptors: int = 0, processes: int = 1) -> Iterator[Router]:
    """A router by that snapshot, which is reread when the file changes.

    As tq-proxy@1..N.service: every process inherits the one listening socket.
    """
    file = folder / "routes.json"
    file.write_text(text)
    limit = ["prlimit", f"--nofile={descriptors}"] if descriptors else []
    argv = [*limit, sys.executable, "-m", "tqunits", "proxy", "--routes", str(file)]
    with contextlib.ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            port, inherited = int(listener.getsockname()[1]), listener.fileno()
            logs = [folder / f"router{number}.log" for number in range(processes)]
            every = [stack.enter_context(Process(argv, log=log, listener=inherited)) for log in logs]
        for process in every:
            process.wait_for("listening on 127.0.0.1:")
        yield Router.of(port, *every)


@contextlib.asynccontextmanager
async def staged(
    folder: Path, *, connections: int, descriptors: int, processes: int, kept: int, fresh: int, peer: str = "tqunits"
) -> AsyncIterator[Scene]:
    """The whole scene. `peer`: who routes, tqunits or nginx, with so many processes."""
    with contextlib.ExitStack() as stack:
        honest, _, honest_pid = stack.enter_context(workers(folder, "honest"))
        tcp, unix, hostile_pid = stack.enter_context(workers(folder, "hostile"))
        public = folder / "public"
        public.mkdir()
        (public / "large").write_bytes(bytes(8 << 20))
        found = {"honest": honest, "hostile": tcp, "unix": unix}
        size = {"descriptors": descriptors, "processes": processes}
        if peer == "nginx":
            seconds = {"head_s": HEAD_US // 1_000_000, "stall_s": STALL_US // 1_000_000}
            started = nginx(folder, found, public, **size, **seconds)
        else:
            routes = [*(routed(*pair) for pair in found.items()), routed("files", directory=str(public))]
            started = routing(folder, snapshot(routes, connections=connections), **size)
        router = stack.enter_context(started)
        async with Child.running("honest.py", router.port, "/honest/echo", kept, fresh) as client:
            yield Scene(router, [honest_pid, hostile_pid], client)


def snapshot(found: Sequence[dict[str, object]], *, connections: int) -> str:
    """A file of routes."""
    document = {
        "version": 1,
        "timeouts": {"head_us": HEAD_US, "idle_us": 600_000_000, "drain_us": 1_000_000},
        "limits": {"max_connections": connections, "max_connections_per_client": 0, **HEADS},
        "trusted_proxies": [],
        "access_log": False,
        "tls": {"redirect": False, "hsts_s": 0},
        "workers": found,
    }
    return json.dumps(document)


def routed(name: str, *endpoints: str, directory: str = "") -> dict[str, object]:
    """A worker of that file, below /NAME."""
    return {
        "name": name,
        "hosts": [],
        "routes": [f"/{name}"],
        "strip_prefix": True,
        "endpoints": endpoints,
        "timeouts": {"request_us": 0, "read_us": STALL_US, "write_us": STALL_US, "idle_us": 120_000_000},
        "max_body": 0,
        "max_inflight": 1000,
        "queue_us": 30_000_000,
        "retry": "idempotent",
        "buffer_requests": False,
        "encoded_slash": False,
        "static": {"directory": directory, "prefix": "/"} if directory else None,
    }
