"""The control socket that systemd hands over: it is found by its name, protected by the mode of its
file, and never removed by the router."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_peers import as_nobody, control_path, speak, status
from peers import OK, Router, Worker, answering

from tqunits.control.server import inherited_control
from tqunits.errors import UsageError

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def http() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def control(folder: Path) -> Iterator[socket.socket]:
    control_path(folder).parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(control_path(folder)))
        sock.listen()
        yield sock


async def test_its_name_tells_it_from_what_clients_connect_to(
    folder: Path, http: socket.socket, control: socket.socket
) -> None:
    worker = await Worker(folder / "w").start(answering(OK))
    arguments = [f"--route=/={worker.endpoint}", f"--control={folder}/unused"]
    async with Router(folder, arguments, listening=http, control=control) as router:
        assert (await router.ask(GET)).endswith(b"ok")
        assert (await status(folder))["requests"] == 1
        assert b'process="1"' in await speak(folder, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert str(control_path(folder)) not in router.said()
    assert not (folder / "unused").exists()
    worker.stop()


async def test_who_asks_between_two_processes_gets_the_answer_of_the_second(
    folder: Path, http: socket.socket, control: socket.socket
) -> None:
    arguments = ["--route=/=127.0.0.1:1"]
    async with Router(folder, arguments, listening=http, control=control) as first:
        assert (await status(folder))["pid"] == first.process.pid
        assert await first.stop() == 0
    asked = asyncio.create_task(status(folder))
    (folder / "second").mkdir()
    async with Router(folder / "second", arguments, listening=http, control=control) as second:
        assert (await asked)["pid"] == second.process.pid


async def test_who_is_still_asking_when_the_router_stops_is_no_fault(
    folder: Path, http: socket.socket, control: socket.socket
) -> None:
    async with Router(folder, ["--route=/=127.0.0.1:1"], listening=http, control=control) as router:
        reader, writer = await asyncio.open_unix_connection(control_path(folder))
        await status(folder)  # connections are accepted in order: that one was accepted, too
        assert await router.stop() == 0
        assert await reader.read() == b""
        writer.close()
        assert "Task" not in router.said()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_who_gets_through_to_it_may_ask(folder: Path, http: socket.socket, control: socket.socket) -> None:
    async with Router(folder, ["--route=/=127.0.0.1:1"], listening=http, control=control):
        folder.chmod(0o755)
        control_path(folder).chmod(0o600)
        assert await as_nobody(control_path(folder)) == b""
        control_path(folder).chmod(0o666)
        assert b'"requests": 0' in await as_nobody(control_path(folder))


def test_without_the_name_there_is_none(control: socket.socket) -> None:
    assert inherited_control([("http", control), ("", control)]) is None
    assert inherited_control([("http", control), ("control", control)]) is control


def test_more_than_one_are_refused(control: socket.socket) -> None:
    with pytest.raises(UsageError, match="more than one"):
        inherited_control([("control", control), ("control", control)])


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "abstract"])
def test_one_that_no_mode_guards_is_refused(family: socket.AddressFamily) -> None:
    with socket.socket(family) as sock:
        sock.bind(("127.0.0.1", 0) if family is socket.AF_INET else "")  # "": the kernel chooses an abstract name
        with pytest.raises(UsageError, match="not a file"):
            inherited_control([("control", sock)])
