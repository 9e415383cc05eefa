"""A worker that listens in another place than configured, and other programs that listen in its
place: what the gate reports."""

from __future__ import annotations

import os

import pytest
from gates import NOBODY, a_process, free_port, run_gate, serving, silent

from tqunits.alone import verdicts

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


SHARES = """
import socket, sys
first = socket.create_server(("127.0.0.1", 0), reuse_port=True)
second = socket.create_server(first.getsockname(), reuse_port=True)
print(first.getsockname()[1], flush=True)
sys.stdin.read()
"""


async def test_an_address_that_several_processes_share_is_told_once() -> None:
    async with a_process("/usr/bin/python3", "-c", SHARES) as worker:
        assert worker.stdout is not None
        port = (await worker.stdout.readline()).decode().strip()
        code, text = await run_gate("--port", free_port(), "--budget", "0.2", "--pid", str(worker.pid))
    assert code == verdicts.ELSEWHERE
    assert f"; it listens on 127.0.0.1:{port} instead; " in text


async def test_a_worker_that_listens_elsewhere_is_told_where() -> None:
    async with a_process("/usr/bin/python3", "-c", CHILD_LISTENS) as worker:
        assert worker.stdout is not None
        ports = (await worker.stdout.readline()).split()
        arguments = ("--port", free_port(), "--budget", "0.2", "--pid", str(worker.pid))
        code, text, (first, second) = *await run_gate(*arguments), ports
    assert code == verdicts.ELSEWHERE
    assert f"; it listens on 127.0.0.1:{first.decode()}, [::1]:{second.decode()} instead; " in text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: one of the two must run as another user")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
@pytest.mark.parametrize("closes", [True, False], ids=["closes", "keeps-alive"])
async def test_another_users_program_on_the_port_is_not_the_worker(host: str, *, closes: bool) -> None:
    async with a_process("/usr/bin/python3", "-c", IMPOSTOR, host, str(closes), user=NOBODY) as impostor:
        assert impostor.stdout is not None
        port = (await impostor.stdout.readline()).decode().strip()
        own = await run_gate("--port", port, user=NOBODY)
        assert own[0] == verdicts.READY, own[1]
        code, text = await run_gate("--port", port, "--budget", "0.3")
    assert code == verdicts.FOREIGN
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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: one of the two must run as another user")
async def test_another_users_unix_socket_is_not_the_workers() -> None:
    async with a_process("/usr/bin/python3", "-c", UNIX_IMPOSTOR, user=NOBODY) as impostor:
        assert impostor.stdout is not None
        path = (await impostor.stdout.readline()).decode().strip()
        code, text = await run_gate("--socket", path, "--budget", "0.3")
    assert code == verdicts.FOREIGN
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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to run as another user")
async def test_a_connection_to_another_users_program_is_none() -> None:
    async with serving(silent) as port:
        code, text = await run_gate("--port", port, "--type", "tcp", "--budget", "0.3", user=NOBODY)
    assert code == verdicts.FOREIGN
    assert "a connection, but from a process of another user (uid 0)" in text
