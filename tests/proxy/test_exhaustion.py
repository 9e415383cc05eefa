"""Clients that are being served are still served when descriptors run out, or when a worker accepts
no new connection."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from peers import OK, PATIENCE, Connection, Router, Worker, answering, snapshot

KEEP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
DESCRIPTORS = 100


async def limited(folder: Path, endpoint: str) -> tuple[asyncio.subprocess.Process, int]:
    """A router that may have DESCRIPTORS descriptors, and its port."""
    command = f'ulimit -n {DESCRIPTORS}; exec "$@"'
    arguments = ["-m", "tqunits", "proxy", "--listen", "127.0.0.1:0", "--route", f"/={endpoint}"]
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, "sh", sys.executable, *arguments, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    line = b""
    while b"listening on" not in line:
        line = await asyncio.wait_for(process.stderr.readline(), PATIENCE)
        assert line, "the router has ended"
    return process, int(line.split(b"127.0.0.1:")[1].split(b";")[0])


async def test_clients_alone_do_not_use_up_the_descriptors(folder: Path) -> None:
    """A connected client is served over new connections to the worker, however many other clients
    wait to be connected."""

    worker = await Worker(folder / "w").start(answering(OK))
    process, port = await limited(folder, worker.endpoint)
    try:
        many = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(2 * DESCRIPTORS)]
        await many[0].send(KEEP)
        assert (await many[0].response())[1] == b"ok"
        while len(os.listdir(f"/proc/{process.pid}/fd")) < DESCRIPTORS * 3 // 4:
            await asyncio.sleep(0)
        await asyncio.gather(*(client.send(KEEP) for client in many[:4]))
        for client in many[:4]:
            assert (await client.response())[1] == b"ok"
        for client in many:  # each makes room for one that waits
            if client not in many[:4]:
                await client.send(KEEP)
                assert (await client.response())[1] == b"ok"
            client.close()
    finally:
        process.kill()
        await process.wait()
        worker.stop()


async def test_a_kept_connection_serves_those_that_wait_while_no_new_one_is_taken(folder: Path) -> None:
    """A trial over a kept connection shows nothing about new connections, and must not delay the
    next request in line."""
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def behave(connection: Connection) -> None:
        await connection.head()
        await connection.send(OK)
        await connection.head()
        asked.set()
        await asyncio.wait_for(go_on.wait(), PATIENCE)
        await connection.send(OK)
        await answering(OK)(connection)

    worker = await Worker(folder / "w").start(behave)
    text = json.loads(snapshot(worker.endpoint, max_body=0, queue_us=1_000_000))
    text["limits"]["max_connections"] = 100
    text["timeouts"]["idle_us"] = 60_000_000
    text["workers"][0]["timeouts"] |= {"read_us": 10_000_000, "idle_us": 60_000_000}
    (folder / "routes.json").write_text(json.dumps(text))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(folder / "routes.json")]) as router:
        clients = [await router.connect() for _ in range(4)]
        await clients[0].send(KEEP)
        await clients[0].response()
        await clients[0].send(KEEP)
        await asyncio.wait_for(asked.wait(), PATIENCE)
        worker.path.unlink()
        for client in clients[1:]:
            await client.send(KEEP)
        while "takes no connections" not in router.said():
            await asyncio.sleep(0)
        go_on.set()
        for client in clients:
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert len(worker.connections) == 1
    worker.stop()
