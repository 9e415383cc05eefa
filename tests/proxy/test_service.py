"""The router as a process: command line, systemd, time-outs, reload, drain, and too few
descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from control_peers import relayed, until
from peers import OK, PATIENCE, SWITCHED, UPGRADE, Connection, Router, Worker, answering, routed, snapshot
from secure_peers import client_context, make

ROOT = Path(__file__).parents[2]
KEEP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def silent(connection: Connection) -> None:
    await connection.rest()


async def run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tqunits", "proxy", *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 10)
    return process.returncode or 0, errors.decode()


USAGE = {
    "key alone": (["--route", "/=127.0.0.1:1", "--key", "x"], "--key without a certificate"),
    "nothing to check": (["--check"], "nothing to check"),
    "no such log": (["--route", "/=127.0.0.1:1", "--access-log", "x"], "is no format"),
    "no sample": (["--access-log-sample", "0"], "not a number from 1"),
    "nothing": ([], "no routes"),
    "no listen": (["--route", "/=127.0.0.1:1"], "nothing to listen on"),
    "no slash": (["--route", "api=127.0.0.1:1"], "write --route /api=127.0.0.1:1"),
    "no endpoint": (["--route", "/api"], "write --route /api=127.0.0.1:9000"),
    "port only": (["--route", "/api=9000"], "write 127.0.0.1:9000"),
    "dots": (["--route", "/../api=127.0.0.1:1"], "is no route"),
    "both": (["--route", "/=127.0.0.1:1", "--routes", "x"], "exclude each other"),
    "listen without a port": (["--route", "/=127.0.0.1:1", "--listen", "localhost"], "no port"),
    "listen on bare v6": (["--route", "/=127.0.0.1:1", "--listen", "::1:80"], "write [::1]:80"),
}


@pytest.mark.parametrize(("arguments", "message"), USAGE.values(), ids=USAGE.keys())
async def test_a_bad_command_line_says_what_to_write(arguments: list[str], message: str) -> None:
    status, errors = await run(*arguments)
    assert (status, message in errors) == (2, True), errors


async def test_a_taken_port_is_said_clearly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, errors = await run("--route", "/=127.0.0.1:1", "--listen", address)
    assert status == 1
    assert f"{address} is taken" in errors


async def test_the_router_imports_no_control_plane() -> None:
    code = "import tqunits.cli.verbs.proxy, sys; print(*({'pystemd', 'jinja2', 'yaml'} & set(sys.modules)))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0].strip() == b""


PROGRAMS = {
    "compiled": (("-m", "tqunits"), False),
    "interpreted": ((str(ROOT / "bench/python/interpreted.py"), "-m", "tqunits"), True),
}


@pytest.mark.parametrize(("program", "said"), PROGRAMS.values(), ids=PROGRAMS)
async def test_it_says_when_it_is_not_compiled_and_serves_all_the_same(
    folder: Path, program: Sequence[str], *, said: bool
) -> None:
    worker = await Worker(folder / "w").start(answering(OK))
    arguments = ["--listen=127.0.0.1:0", f"--route=/={worker.endpoint}"]
    async with Router(folder, arguments, program=program) as router:
        assert (await router.ask(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"ok")
        assert ("not compiled" in router.said()) is said
    worker.stop()


async def test_inherited_sockets_are_served(folder: Path) -> None:
    """As systemd does: the socket is descriptor 3, LISTEN_PID is the process itself."""
    launcher = (
        "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.dup2(int(sys.argv[1]), 3);"
        "os.execv(sys.executable, [sys.executable, '-m', 'tqunits', 'proxy', *sys.argv[2:]])"
    )

    worker = await Worker(folder / "w").start(answering(OK))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        notify.bind(str(folder / "n"))
        environment = os.environ | {
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "tq-proxy.socket",
            "NOTIFY_SOCKET": str(folder / "n"),
            "WATCHDOG_USEC": "200000",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            launcher,
            str(listening.fileno()),
            "--route",
            f"/={worker.endpoint}",
            env=environment,
            pass_fds=[listening.fileno()],
        )
        loop = asyncio.get_running_loop()
        said = b""
        while said.count(b"WATCHDOG=1") < 2:
            said += await asyncio.wait_for(loop.sock_recv(notify, 4096), 10) + b"\n"
        assert said.startswith(b"READY=1\nSTATUS=routing 1 paths to 1 workers\n")
        client = Connection(*await asyncio.open_connection(*listening.getsockname()))
        await client.send(KEEP)
        assert (await client.response())[1] == b"ok"
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 5) == 0
        notify.close()
    worker.stop()


async def test_it_listens_on_unix_sockets_and_replaces_stale_ones(folder: Path) -> None:
    path = folder / "l"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    worker = await Worker(folder / "w").start(answering(OK))
    async with Router(folder, ["--listen", f"unix:{path}", "--route", f"/={worker.endpoint}"]):
        client = Connection(*await asyncio.open_unix_connection(path))
        await client.send(KEEP)
        assert (await client.response())[1] == b"ok"
        assert b"\r\nForwarded: for=unknown;" in worker.seen[0]
    worker.stop()


TIMEOUTS = {
    "half a head": (b"GET / HT", b"HTTP/1.1 408 "),
    "nothing at all": (b"", b""),
    "half a body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", b"HTTP/1.1 408 "),
    "a silent worker": (KEEP, b"HTTP/1.1 504 "),
    "too large a body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", b"HTTP/1.1 413 "),
}


@pytest.mark.parametrize(("request_", "answer"), TIMEOUTS.values(), ids=TIMEOUTS.keys())
async def test_nobody_is_waited_for_for_ever(folder: Path, request_: bytes, answer: bytes) -> None:
    worker = await Worker(folder / "w").start(silent)
    (folder / "r").write_text(snapshot(worker.endpoint, is_hasty=True))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(folder / "r")]) as router:
        client = await router.connect()
        await client.send(request_)
        if request_ == KEEP:
            assert (await client.response())[0].startswith(answer)
        else:
            said = await client.rest()
            assert said.startswith(answer)
            assert bool(said) == bool(answer)
    worker.stop()


async def test_a_request_has_a_limit_in_all_however_it_moves(folder: Path) -> None:
    async def drip(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await connection.send(b"x")
            await asyncio.sleep(0.05)

    worker = await Worker(folder / "w").start(drip)
    timeouts = {"request_us": 700000, "read_us": 300000, "write_us": 300000, "idle_us": 0}
    (folder / "r").write_text(snapshot(worker.endpoint, timeouts=timeouts))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(folder / "r")]) as router:
        body = (await router.ask(KEEP)).partition(b"\r\n\r\n")[2]
        assert 5 < len(body) < 100
    worker.stop()


async def test_reload_takes_a_good_snapshot_and_refuses_a_bad_one(folder: Path) -> None:
    first = await Worker(folder / "1").start(answering(OK))
    second = await Worker(folder / "2").start(answering(OK.replace(b"ok", b"OK")))
    routes = folder / "r"
    routes.write_text(snapshot(first.endpoint))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(routes)]) as router:
        client = await router.connect()
        await client.send(KEEP)
        assert (await client.response())[1] == b"ok"
        routes.write_text(snapshot(second.endpoint, more=1))
        router.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in await router.told("RELOADING=1")
        assert "refused" in await router.told("READY=1")
        assert "workers[0]: unknown key 'more'" in router.said()
        await client.send(KEEP)
        assert (await client.response())[1] == b"ok"
        routes.write_text(snapshot(second.endpoint))
        router.process.send_signal(signal.SIGHUP)
        while "refused" in await router.told("READY=1"):  # it watches the folder, too: it may have reloaded twice
            pass
        await client.send(KEEP)
        assert (await client.response())[1] == b"OK"
    first.stop()
    second.stop()


async def test_a_bad_first_snapshot_is_the_end(folder: Path) -> None:
    (folder / "r").write_text('{"version": 2}')
    status, errors = await run("--listen", "127.0.0.1:0", "--routes", str(folder / "r"))
    assert (status, "version 2 is not 1" in errors) == (1, True)


async def test_a_drain_finishes_what_runs_and_closes_what_idles(folder: Path) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(connection: Connection) -> None:
        await connection.head()
        asked.set()
        await asyncio.wait_for(go.wait(), 5)
        await connection.send(OK)

    async with routed(folder, slow) as (router, _):
        busy, idle = await router.connect(), await router.connect()
        await busy.send(KEEP)
        await asyncio.wait_for(asked.wait(), 5)
        router.process.terminate()
        await router.told("STOPPING=1")
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await router.connect()
        go.set()
        answer = await busy.rest()
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith(b"ok")
        assert await asyncio.wait_for(router.process.wait(), 5) == 0


async def test_a_drain_lets_a_handshake_that_has_begun_and_its_request_finish(folder: Path) -> None:
    certificate, key = make(folder, "a", "a.example")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing, server_hostname="a.example")
    async with routed(folder, answering(OK), f"--certificate={certificate}", f"--key={key}") as (router, _):
        client = await router.connect()
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        await client.send(outgoing.read())
        incoming.write(await client.exactly(1))  # the router has begun
        router.process.terminate()
        await router.told("STOPPING=1")
        is_open = False
        while not is_open:
            incoming.write(await asyncio.wait_for(client.reader.read(65536), 5))
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                is_open = True
        tls.write(KEEP)
        await client.send(outgoing.read())
        incoming.write(await client.rest())
        assert tls.read().endswith(b"ok")


async def test_tunnels_end_one_after_the_other(folder: Path) -> None:
    """Tunnels end at different times, so that their clients do not all reconnect at once;
    everything else runs on."""
    count, span = 20, 2.0

    async def switching(connection: Connection) -> None:
        head = await connection.head()
        if b"Upgrade" in head:
            await connection.send(SWITCHED)
            await connection.rest()
        else:
            await asyncio.wait_for(go.wait(), PATIENCE)
            await connection.send(OK)

    async def ended(client: Connection) -> float:
        assert await client.rest() == b""
        return asyncio.get_running_loop().time()

    go = asyncio.Event()

    async with relayed(folder, switching, clients={"drain_us": int(span * 1e6)}) as (router, _):
        clients = [await router.connect() for _ in range(count)]
        for client in clients:
            await client.send(UPGRADE)
            assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        busy = await router.connect()
        await busy.send(KEEP)
        await until(folder, in_flight=1, connections=count + 1)
        router.process.terminate()
        endings = [asyncio.create_task(ended(client)) for client in clients]
        await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        go.set()
        assert (await busy.rest()).endswith(b"ok")
        times = sorted(await asyncio.gather(*endings))
        assert span / 2 < times[-1] - times[0] < 2 * span
        assert all(later - sooner < span / 2 for sooner, later in pairwise(times))
        assert await asyncio.wait_for(router.process.wait(), PATIENCE) == 0


async def test_a_drain_ends_in_time(folder: Path) -> None:
    worker = await Worker(folder / "w").start(silent)
    timeouts = {"request_us": 0, "read_us": 0, "write_us": 0, "idle_us": 0}
    (folder / "r").write_text(snapshot(worker.endpoint, is_hasty=True, timeouts=timeouts))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(folder / "r")]) as router:
        client = await router.connect()
        await client.send(KEEP)
        while not worker.connections:
            await asyncio.sleep(0)
        assert await router.stop() == 0
        assert "1 connections were cut" in router.said()
    worker.stop()


async def test_connections_beyond_the_limit_wait_their_turn(folder: Path) -> None:
    worker = await Worker(folder / "w").start(answering(OK))
    (folder / "r").write_text(snapshot(worker.endpoint))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", str(folder / "r")]) as router:
        clients = [await router.connect() for _ in range(3)]
        for client in clients[:2]:
            await client.send(KEEP)
            await client.response()
        await clients[2].send(KEEP)
        clients[0].close()
        assert (await clients[2].response())[1] == b"ok"
    worker.stop()


async def test_without_descriptors_accepting_pauses_and_goes_on(folder: Path) -> None:
    async with routed(folder, answering(OK)) as (router, _):
        pid = router.process.pid
        first = await router.connect()
        await first.send(KEEP)
        await first.response()
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), limits[1]))
        second = await router.connect()
        await second.send(KEEP)
        while "can not accept" not in router.said():
            await asyncio.sleep(0)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        assert (await second.response())[1] == b"ok"
        assert router.said().count("can not accept") < 20
