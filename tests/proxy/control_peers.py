"""A router with a file of routes that the test writes, and clients of its control socket, which
show its state without waiting."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from peers import HEADS, OK, PATIENCE, Behaviour, Connection, Router, TcpWorker, snapshot

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"

PATIENT = 30_000_000
"""Microseconds: longer than any test."""


class Slow:
    """A worker that answers when the test tells it to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        while True:
            await connection.head()
            self.asked.set()
            await self.go.wait()
            await connection.send(OK)


def write_routes(
    folder: Path,
    endpoint: str,
    *,
    limits: Mapping[str, int] | None = None,
    clients: Mapping[str, int] | None = None,
    tls: Mapping[str, Any] | None = None,
    trusted: Sequence[str] = (),
    **changes: Any,
) -> None:
    """The file of routes with one worker; time-outs and sizes are large unless the test sets them.

    `clients`: the time-outs for clients; `changes`: for the worker.
    """
    patient = {"request_us": 0, "read_us": PATIENT, "write_us": PATIENT, "idle_us": PATIENT}
    document = json.loads(snapshot(endpoint, **{"timeouts": patient, "queue_us": PATIENT, "max_body": 0, **changes}))
    document["limits"] = {"max_connections": 100, "max_connections_per_client": 0, **HEADS, **(limits or {})}
    document["timeouts"] = {"head_us": PATIENT, "idle_us": PATIENT, "drain_us": PATIENT, **(clients or {})}
    document["tls"] |= tls or {}
    document["trusted_proxies"] = list(trusted)
    (folder / "aside").write_text(json.dumps(document))
    (folder / "aside").rename(folder / "routes.json")


def controlled(folder: Path, endpoint: str, *more: str, **changes: Any) -> list[str]:
    """The command line of a router with these routes, a control and a leave socket, laid out as in
    /run.

    Its worker `w` takes requests: its file `serving` is there.
    """
    write_routes(folder, endpoint, **changes)
    for path in (control_path(folder), leave_path(folder), serving_path(folder)):
        path.parent.mkdir(parents=True, exist_ok=True)
    serving_path(folder).touch()
    sockets = [f"--control={control_path(folder)}", f"--leave={leave_path(folder)}"]
    return ["--listen=127.0.0.1:0", f"--routes={folder}/routes.json", f"--serving={folder}/workers", *sockets, *more]


def control_path(folder: Path) -> Path:
    return folder / "proxy/1/control.sock"


def leave_path(folder: Path) -> Path:
    return folder / "leave/1/leave.sock"


def serving_path(folder: Path) -> Path:
    return folder / "workers/w/serving"


@asynccontextmanager
async def relayed(
    folder: Path, behaviour: Behaviour, *more: str, receive: int = 0, **changes: Any
) -> AsyncIterator[tuple[Router, TcpWorker]]:
    """Such a router, and its worker on TCP with receive buffers of that size (0: the default)."""
    worker = await TcpWorker(receive=receive).start(behaviour)
    async with Router(folder, controlled(folder, worker.endpoint, *more, **changes)) as router:
        yield router, worker
    worker.stop()


async def speak(folder: Path, data: bytes) -> bytes:
    """Send bytes to the control socket; gives the whole answer."""
    reader, writer = await asyncio.open_unix_connection(control_path(folder))
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()


async def ask(folder: Path, method: str, path: str, **body: object) -> tuple[int, dict[str, Any]]:
    """Send a request to the control socket; gives (status, body)."""
    data = json.dumps(body).encode() if method == "POST" else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: router\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    answer = await speak(folder, head + data)
    return int(answer[9:12]), json.loads(answer.partition(b"\r\n\r\n")[2])


async def as_nobody(path: Path) -> bytes:
    """The status as an unprivileged user gets it: empty if the mode of the socket's file keeps the
    user out."""
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--reuid=nobody", "--clear-groups", "curl", "-s", "--unix-socket", path, "http://r/status",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return (await process.communicate())[0]


async def status(folder: Path) -> dict[str, Any]:
    """The answer of the control socket. `worker` is the only worker, `endpoint` its first
    endpoint."""
    code, found = await ask(folder, "GET", "/status")
    assert (code, found["version"], len(found["workers"])) == (200, 1, 1)
    worker = found["workers"][0]
    return found | {"worker": worker, "endpoint": worker["endpoints"][0]}


ROUTERS = frozenset({"connections", "asleep", "requests"})
"""The part of the status that is about the router itself."""


async def until(folder: Path, *, endpoint: Mapping[str, int] | None = None, **expected: int) -> None:
    """Wait until the status has these values: for the router (ROUTERS), else for its worker and the
    worker's first endpoint."""
    wanted = {name: expected.pop(name) for name in ROUTERS & expected.keys()}
    async with asyncio.timeout(PATIENCE):
        while True:
            now = await status(folder)
            pairs = (wanted, now), (expected, now["worker"]), (endpoint or {}, now["endpoint"])
            if all(subset.items() <= found.items() for subset, found in pairs):
                return


def open_below(pid: int, folder: Path) -> list[str]:
    """The files in the folder that the process has open."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return [path for path in found if path.startswith(f"{folder}/")]
