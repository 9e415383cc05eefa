"""Large bodies that end early: which side is gone, which side gets an error, and that no body looks
complete that is not."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from bodies import MIB, SMALL, answer_to, digest, get, give_and_take, offer, payload, post, receive
from control_peers import controlled, relayed, until
from peers import PATIENCE, Behaviour, Connection, Router, Worker

FRAMINGS = ["length", "chunked", "close"]
DOWNLOADS = list(product(FRAMINGS, (0, 1)))
"""How the worker frames the body, and the minor version of the client: 0 has no chunks."""

UPLOADS = ["length", "chunked"]
LARGE = 12 * MIB
"""More bytes than the kernel takes for a peer that does not read (tcp_wmem has 4 MiB), with those
that a relay holds."""

IMPATIENT = {"request_us": 0, "read_us": 500_000, "write_us": 500_000, "idle_us": 0, "stream_us": 500_000}
CUT = (asyncio.IncompleteReadError, ConnectionResetError)
LEAVING: dict[str, Callable[[Connection], None]] = {"closes": Connection.close, "resets": Connection.reset}


async def ended(connection: Connection) -> None:
    """Wait until the worker has noticed that the router is gone."""
    async with asyncio.timeout(PATIENCE):
        while not connection.writer.is_closing():
            await asyncio.sleep(0)


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
async def test_a_client_that_leaves_takes_the_workers_connection_with_it(
    folder: Path, leave: Callable[[Connection], None]
) -> None:
    async with relayed(folder, give_and_take) as (router, worker):
        for framing, minor in DOWNLOADS:
            client = await router.connect(receive=SMALL)
            await client.send(get(f"/{framing}/{LARGE}", minor))
            await client.head()
            await client.exactly(MIB)
            leave(client)
            await until(folder, in_flight=0, connections=0)
            await ended(worker.connections[-1])
        for framing in UPLOADS:
            client = await router.connect()
            await client.send(post(payload(4 * MIB), framing)[: 3 * MIB])
            leave(client)
            await until(folder, in_flight=0, connections=0)
            await ended(worker.connections[-1])
        assert b"".join(worker.seen).count(b"POST ") == len(UPLOADS)  # none of them is tried again


def dying(die: Callable[[Connection], None]) -> Behaviour:
    """A worker that closes its connection when it has sent, or received, most of a body."""

    async def behave(connection: Connection) -> None:
        method, path, _ = (await connection.head()).split(b" ", 2)
        if method == b"GET":
            await connection.send(offer(path.decode()[1:], 4 * MIB)[: 3 * MIB])
        else:
            await connection.exactly(3 * MIB)
        die(connection)

    return behave


@pytest.mark.parametrize("die", LEAVING.values(), ids=LEAVING)
async def test_a_worker_that_dies_is_seen_by_the_client(folder: Path, die: Callable[[Connection], None]) -> None:
    async with relayed(folder, dying(die)) as (router, _):
        for framing, minor in DOWNLOADS:
            if framing == "close" and die is Connection.close:  # such a body ends like this
                continue
            client = await router.connect()
            await client.send(get(f"/{framing}", minor))
            with pytest.raises(CUT):
                await receive(client)
            client.close()
            await until(folder, in_flight=0, connections=0)
        said = router.said().count("cut: the worker closed in the middle of a response")
        assert said == (4 if die is Connection.close else 6)
        for framing in UPLOADS:
            client = await router.connect()
            await client.send(post(payload(4 * MIB), framing)[: 3 * MIB + 1000])
            answer = await receive(client)
            assert answer.head.startswith(b"HTTP/1.1 502 ")
            assert b"\r\nConnection: close\r\n" in answer.head
            client.close()
            await until(folder, in_flight=0, connections=0)


async def breaking_off(connection: Connection) -> None:
    """A worker that answers early, with a body that ends with the connection, and is cut before
    that end."""
    await connection.head()
    await connection.exactly(MIB)
    await connection.send(offer("close", MIB)[: MIB // 2])
    connection.reset()


async def test_an_early_answer_that_breaks_off_never_looks_whole(folder: Path) -> None:
    """The error of a reset is reported once, to the first read or write."""

    async with relayed(folder, breaking_off) as (router, _):
        for framing in UPLOADS * 5:
            said = await answer_to(router, post(payload(LARGE), framing))
            assert said.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 502 "))
            assert b"200 OK" not in said or not said.endswith(b"0\r\n\r\n")
        await until(folder, in_flight=0, connections=0)
        assert "Traceback" not in router.said()


async def test_a_client_that_never_reads_is_cut_and_sees_it_when_it_does(folder: Path) -> None:
    async with relayed(folder, give_and_take, timeouts=IMPATIENT) as (router, worker):
        clients = [await router.connect(receive=SMALL) for _ in DOWNLOADS]
        for client, (framing, minor) in zip(clients, DOWNLOADS, strict=True):
            await client.send(get(f"/{framing}/{LARGE}", minor))
        while len(worker.connections) < len(clients):
            await asyncio.sleep(0)
        await until(folder, in_flight=0, connections=0)
        for client in clients:
            with pytest.raises(CUT):
                await receive(client)


async def test_a_worker_that_never_reads_is_a_504(folder: Path) -> None:
    async def never_reading(connection: Connection) -> None:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
        await over.wait()

    over = asyncio.Event()
    async with relayed(folder, never_reading, receive=SMALL, timeouts=IMPATIENT) as (router, _):
        answers = (answer_to(router, post(payload(LARGE), framing)) for framing in UPLOADS)
        assert [answer[:13] for answer in await asyncio.gather(*answers)] == [b"HTTP/1.1 504 "] * 2
        await until(folder, in_flight=0)
    over.set()


async def test_a_client_that_stops_in_an_upload_is_a_408(folder: Path) -> None:
    async def stopping(router: Router, framing: str) -> bytes:
        client = await router.connect()
        await client.send(post(payload(4 * MIB), framing)[: 3 * MIB])
        return (await receive(client)).head

    async with relayed(folder, give_and_take, timeouts=IMPATIENT) as (router, worker):
        answers = await asyncio.gather(*(stopping(router, framing) for framing in UPLOADS))
        assert [answer[:13] for answer in answers] == [b"HTTP/1.1 408 "] * 2
        await until(folder, in_flight=0)
        for connection in worker.connections:
            await ended(connection)


async def half_sending(connection: Connection) -> None:
    """A worker that stops in the middle."""
    _, path, _ = (await connection.head()).split(b" ", 2)
    await connection.send(offer(path.decode()[1:], 4 * MIB)[: 3 * MIB])
    await connection.rest()


async def test_a_worker_that_stops_in_a_download_is_cut(folder: Path) -> None:
    async with relayed(folder, half_sending, timeouts=IMPATIENT) as (router, worker):
        clients = [await router.connect() for _ in DOWNLOADS]
        for client, (framing, minor) in zip(clients, DOWNLOADS, strict=True):
            await client.send(get(f"/{framing}", minor))
        for client in clients:
            with pytest.raises(CUT):
                await receive(client)
        await until(folder, in_flight=0, connections=0)
        assert router.said().count("cut: no progress for ") == len(clients)
        for connection in worker.connections:
            await ended(connection)


async def test_a_drain_finishes_large_downloads_and_uploads(folder: Path) -> None:
    async with relayed(folder, give_and_take) as (router, _):
        clients = [await router.connect(receive=SMALL) for _ in DOWNLOADS]
        for client, (framing, minor) in zip(clients, DOWNLOADS, strict=True):
            await client.send(get(f"/{framing}/{8 * MIB}", minor))
        uploading = await router.connect()
        upload = post(payload(4 * MIB))
        await uploading.send(upload[: 3 * MIB])
        await until(folder, in_flight=len(clients) + 1)
        router.process.send_signal(signal.SIGTERM)
        await router.told("STOPPING=1")
        for client in clients:
            assert (await receive(client)).digest == digest(payload(8 * MIB))
            assert await client.rest() == b""
        await uploading.send(upload[3 * MIB :])
        answer = await receive(uploading)
        assert answer.body.decode() == digest(payload(4 * MIB))
        assert b"\r\nConnection: close\r\n" in answer.head
        assert await asyncio.wait_for(router.process.wait(), PATIENCE) == 0


@pytest.mark.parametrize("early", [True, False], ids=["before its end", "after it"])
async def test_a_drain_waits_until_the_client_has_taken_what_is_left(folder: Path, early: bool) -> None:  # noqa: FBT001
    """The router has read all of a response, and the kernel's buffers are full."""
    begin, rest = b"x" * 100, payload(60_000)
    go_on = asyncio.Event()

    async def in_two_parts(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(begin + rest) + begin)
        await go_on.wait()
        await connection.send(rest)
        await connection.rest()

    async with cramped(folder, in_two_parts) as router:
        client, idle = await router.connect(receive=SMALL), await router.connect()
        await client.send(get("/"))
        assert b"\r\nConnection: close" not in await client.head()
        assert await client.exactly(len(begin)) == begin
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
        if early:
            router.process.terminate()
            await router.told("STOPPING=1")
        go_on.set()
        await until(folder, in_flight=0)
        if not early:
            router.process.terminate()
            await router.told("STOPPING=1")
            assert await idle.rest() == b""  # closed, like all idle ones
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert digest(await client.exactly(len(rest))) == digest(rest)
        assert await client.rest() == b""
        assert await asyncio.wait_for(router.process.wait(), PATIENCE) == 0


async def test_a_client_that_reads_slowly_is_not_cut_while_the_rest_waits_for_it(folder: Path) -> None:
    """The router has finished the request. The client takes longer than any time-out, a little at a
    time."""

    async def slowly(router: Router, line: bytes) -> None:
        client = await router.connect(receive=SMALL)
        await client.send(b"GET /length/60000 HTTP/1.1\r\nHost: a\r\n%b\r\n" % line)
        await client.head()
        pieces = []
        for _ in range(60):
            pieces.append(await client.exactly(1000))
            await asyncio.sleep(0.03)
        assert digest(b"".join(pieces)) == digest(payload(60_000))

    async with cramped(folder, give_and_take, clients={"idle_us": 1_500_000}, timeouts=IMPATIENT) as router:
        await asyncio.gather(*(slowly(router, line) for line in (b"", b"Connection: close\r\n")))


@asynccontextmanager
async def cramped(folder: Path, behaviour: Behaviour, **changes: Any) -> AsyncIterator[Router]:
    """A router whose clients have small buffers in the kernel, and a worker each of whose sends is
    one recv."""
    worker = await Worker(folder / "w").start(behaviour)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        options = controlled(folder, worker.endpoint, **changes)[1:]
        async with Router(folder, options, listening=listening) as router:
            router.port = listening.getsockname()[1]
            yield router
    worker.stop()


async def test_what_a_drain_has_no_time_for_is_cut(folder: Path) -> None:
    async with relayed(folder, give_and_take, clients={"drain_us": 1}) as (router, _):
        clients = [await router.connect(receive=SMALL) for _ in DOWNLOADS]
        for client, (framing, minor) in zip(clients, DOWNLOADS, strict=True):
            await client.send(get(f"/{framing}/{LARGE}", minor))
        await until(folder, in_flight=len(clients))
        assert await router.stop() == 0
        for client in clients:
            with pytest.raises(CUT):
                await receive(client)
