"""Starts one of the sample workers as systemd would, and sends it HTTP requests over a plain
socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

WORKERS = Path(__file__).parent.parent.parent / "workers"
START_SECONDS = 20  # enough for a laptop with a cold cache; no promise of the product
COMMANDS = {
    "index": ("python3", "src/main.py"),
    "api": ("go", "run", "./src"),  # replaced by the built binary: see `build_api`
    "admin": ("node", "src/main.js"),
    "blog": ("python3", "src/main.py"),
}


@dataclass(frozen=True)
class Answer:
    """One response, read to its end."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Client:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request (header names in Python's spelling: Content_Type); gives its answer."""
        if body is not None:
            headers.setdefault("Content_Length", str(len(body)))
        lines = [f"{method} {path} HTTP/1.1", "Host: blog.example"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return await self.receive(bodyless=method == "HEAD")

    async def receive(self, *, bodyless: bool = False) -> Answer:
        """The next answer, with its whole body."""
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(status.split()[1]), headers, b"" if bodyless else await self._body(headers))

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        assert headers["connection"] == "close", "a body without a length ends with its connection"
        return await self._reader.read()

    async def at_end(self) -> bool:
        """Whether the worker has closed this connection without another byte."""
        return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


@dataclass
class Sample:
    """A running sample worker."""

    process: asyncio.subprocess.Process
    address: str | int
    log: list[str] = field(default_factory=list)

    async def connect(self) -> Client:
        if isinstance(self.address, int):
            return Client(*await asyncio.open_connection("127.0.0.1", self.address))
        return Client(*await asyncio.open_unix_connection(self.address))

    async def once(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a new connection."""
        client = await self.connect()
        try:
            return await client.send(method, path, body, **headers)
        finally:
            client.close()

    async def said(self, text: str) -> Self:
        """Wait until a line of its log contains that text."""
        stream = self.process.stderr
        assert stream is not None
        while not any(text in line for line in self.log):
            line = await asyncio.wait_for(stream.readline(), START_SECONDS)
            assert line, f"it ended without {text!r}: {self.log}"
            self.log.append(line.decode())
        return self

    async def stopped(self) -> int:
        """Wait for its end and read the rest of its log; gives the exit status."""
        _, rest = await asyncio.wait_for(self.process.communicate(), START_SECONDS)
        self.log += rest.decode().splitlines(keepends=True)
        assert self.process.returncode is not None
        return self.process.returncode

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@asynccontextmanager
async def running(
    name: str, tmp_path: Path, *, command: tuple[str, ...] = (), unix: bool = False, **environment: str
) -> AsyncIterator[Sample]:
    """A sample that listens, with only the variables of the worker contract; it is killed
    afterwards."""
    address = str(tmp_path / "http.sock") if unix else free_port()
    given = {"WORKER_SOCKET": address} if isinstance(address, str) else {"WORKER_PORT": str(address)}
    process = await asyncio.create_subprocess_exec(
        *(command or COMMANDS[name]),
        cwd=WORKERS / name,
        env={
            "PATH": os.environ["PATH"],
            "WORKER_NAME": name,
            "STATE_DIRECTORY": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "1",
            **given,
            **environment,
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield await Sample(process, address).said("listening")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def build_api(folder: Path) -> tuple[str, ...]:
    """Build the Go sample as the preset of worker.yaml does, offline; gives its command."""
    process = await asyncio.create_subprocess_exec(
        *("go", "build", "-o", folder / "api", "./src"),
        cwd=WORKERS / "api",
        env={**os.environ, "GOFLAGS": "-buildvcs=false", "GOPROXY": "off"},
    )
    assert await process.wait() == 0
    return (str(folder / "api"),)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
