"""Programs of other projects as subprocesses: found by name, run to their end, or kept running as
workers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from peers import Router

from setup import ROOT

Figure = Callable[[str], None]
"""The type of the fixture `figure`."""

ENVIRONMENT = ROOT / "build/real/bin"
APPS = Path(__file__).parent / "apps"
PATIENCE = 60.0
"""Seconds after which a program that does not get ready has failed."""

_PATH = f"{ENVIRONMENT}:{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
_ports = itertools.count(20000)


def found(name: str) -> str:
    """The program's path. If the program is missing, the test fails."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        pytest.fail(f"{name} is not installed: 'make test-real' installs what these tests need", pytrace=False)
    return path


def environment(home: Path, **more: str) -> dict[str, str]:
    """Without anything of the caller's environment: none of its proxies, configurations and caches
    is used or changed."""
    return {"PATH": _PATH, "HOME": str(home), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **more}


def free_address() -> str:
    """ADDRESS:PORT on loopback that no other test gets: each process of tests has an address of its
    own."""
    high, low = divmod(os.getpid() % 65536, 256)
    return f"127.77.{high}.{low}:{next(_ports)}"


def endpoints(folder: Path) -> dict[str, str]:
    """Endpoints for a worker, in the form that the router takes."""
    return {"tcp": free_address(), "unix": f"unix:{folder}/worker.sock"}


async def run(
    folder: Path,
    *argv: str | Path,
    variables: Mapping[str, str] | None = None,
    statuses: Sequence[int] | None = (0,),
    patience: float = PATIENCE,
    directory: Path | None = None,
) -> str:
    """Run a program to its end; gives its stdout and stderr. `statuses`: the exit statuses that are
    no failure."""
    process = await asyncio.create_subprocess_exec(
        found(str(argv[0])),
        *map(str, argv[1:]),
        env=environment(folder, **(variables or {})),
        cwd=directory or folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = (await asyncio.wait_for(process.communicate(), patience))[0].decode(errors="replace")
    finally:
        await _end(process)
    assert statuses is None or process.returncode in statuses, f"{argv}: exit status {process.returncode}\n{output}"
    return output


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop the program and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # those whose parent has ended earlier


class Program:
    """A program that runs as long as the context. Its output is in a file, and shown if the test
    fails."""

    def __init__(self, folder: Path, *argv: str | Path, variables: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._argv = argv
        self._variables = dict(variables or {})
        self.log = folder / f"{Path(argv[0]).name}.log"
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                found(str(self._argv[0])),
                *map(str, self._argv[1:]),
                env=environment(self._folder, **self._variables),
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self.process.returncode
        await _end(self.process)
        if kind is not None:
            print(f"--- {self.log.name}, the end:\n{self.said()[-3000:]}")
        assert kind is not None or ended is None, f"{self._argv[0]} has ended by itself: {ended}\n{self.said()}"

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@contextlib.contextmanager
def notified(path: Path) -> Iterator[socket.socket]:
    """A socket for a program's READY=1: NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(str(path))
        yield sock


async def ready(sock: socket.socket, program: Program) -> None:
    """Wait until the program has sent it; a program that ends instead has failed."""
    async with asyncio.timeout(PATIENCE):
        said, ended = asyncio.create_task(_said_ready(sock)), asyncio.create_task(program.process.wait())
        try:
            await asyncio.wait({said, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            said.cancel()
            ended.cancel()
    assert program.process.returncode is None, "it has ended before it was ready"


async def _said_ready(sock: socket.socket) -> None:
    while b"READY=1" not in await asyncio.get_running_loop().sock_recv(sock, 4096):
        pass


@contextlib.asynccontextmanager
async def routed_to(folder: Path, endpoint: str, *options: str) -> AsyncIterator[Router]:
    """The router with one worker, all settings default. It holds requests while the worker does not
    listen yet."""
    async with Router(folder, ["--listen", "127.0.0.1:0", "--route", f"/={endpoint}", *options]) as router:
        try:
            yield router
        except BaseException:
            print(f"--- the router, the end:\n{router.said()[-3000:]}")
            raise


def url(router: Router, path: str = "/") -> str:
    return f"http://127.0.0.1:{router.port}{path}"
