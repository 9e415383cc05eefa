"""Workers that close a kept connection without having announced it: requests that can not be sent
twice are not lost.

uWSGI's http-socket and uvicorn without keep-alive close after each answer, gunicorn after
`max_requests` of them, and every server at some age. The worker here blocks in a thread for each
connection, as theirs do. So it can close at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers import OK, Connection, Router, Worker, answering, length_of, snapshot

from tqunits.proxy.upstream.standing import FOUND_STANDING, WARY, Standing
from tqunits.proxy.upstream.untaken import is_untaken

CLIENTS, EACH = 4, 150
_RESET = struct.pack("ii", 1, 0)


class Closing:
    """A worker that closes as the test asks, and records its requests."""

    def __init__(self, sock: socket.socket, *, requests: int = 0, idle_s: float = 0.0, reset: bool = False) -> None:
        """It closes after so many answers on a connection, or after so long without data; 0 is
        never."""
        self.seen: Counter[bytes] = Counter()
        self.connections = 0
        self._sock = sock
        self._requests = requests
        self._idle_s = idle_s or None
        self._reset = reset
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._sock.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        answered = 0
        with contextlib.suppress(OSError):
            while not answered or answered != self._requests:
                request = self._request(connection, first=not answered)
                if not request:
                    break
                self.seen[request.rpartition(b"\r\n")[2]] += 1
                connection.sendall(OK)
                answered += 1
        if self._reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.close()

    def _request(self, connection: socket.socket, *, first: bool) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < length_of(data):
            connection.settimeout(10 if data or first else self._idle_s)
            more = connection.recv(65536)
            if not more:
                return b""
            data += more
        return data


@contextlib.contextmanager
def listening(folder: Path, family: str) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket, and how a route names it."""
    if family == "tcp":
        sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        name = f"127.0.0.1:{sock.getsockname()[1]}"
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(folder / "w"))
        sock.listen(128)
        name = f"unix:{folder}/w"
    with sock:
        yield sock, name
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            sock.shutdown(socket.SHUT_RDWR)


def post(port: int, name: str, statuses: Counter[int], method: str = "POST") -> None:
    """The requests of one client after another, each with a body of its own, except GET."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for number in range(EACH):
        client.request(method, "/", body=None if method == "GET" else f"{name}-{number}")
        answer = client.getresponse()
        answer.read()
        statuses[answer.status] += 1
    client.close()


def routes(folder: Path, endpoint: str, **changes: Any) -> list[str]:
    text = json.loads(snapshot(endpoint, **{"max_body": 0, **changes}))
    text["limits"]["max_connections"] = 100
    (folder / "routes.json").write_text(json.dumps(text))
    return ["--listen", "127.0.0.1:0", "--routes", str(folder / "routes.json")]


KINDS = {
    "after each answer": {"requests": 1},
    "after some answers": {"requests": 3},
    "after many answers": {"requests": 40},
    "when idle": {"idle_s": 0.0005},
}


@pytest.mark.short(
    *(f"PUT-never-tcp-{kind}-{end}" for kind in KINDS for end in ("FIN", "RST")),
    *(f"POST-idempotent-unix-{kind}-FIN" for kind in KINDS),
)
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("family", ["tcp", "unix"])
@pytest.mark.parametrize(("method", "retry"), [("POST", "idempotent"), ("PUT", "never")])
async def test_what_can_not_be_sent_twice_is_not_lost(
    folder: Path, family: str, kind: dict[str, float], *, reset: bool, method: str, retry: str
) -> None:
    """If connections are closed after a number of answers, the first such close may lose the
    request that crosses it.

    The router could not know before; from then on it remembers.
    """
    statuses: Counter[int] = Counter()
    told = kind.get("requests", 1) == 1
    with listening(folder, family) as (sock, endpoint):
        worker = Closing(sock, reset=reset, **kind)  # type: ignore[arg-type]
        async with Router(folder, routes(folder, endpoint, retry=retry)) as router:
            clients = [asyncio.to_thread(post, router.port, f"c{n}", statuses, method) for n in range(CLIENTS)]
            await asyncio.gather(*clients)
        assert set(worker.seen.values()) == {1}  # never twice
        assert statuses[502] <= (0 if told else CLIENTS)
        assert statuses.total() == CLIENTS * EACH and statuses[200] == len(worker.seen)


async def test_connections_that_last_are_used_again_and_one_at_a_time_is_enough(folder: Path) -> None:
    """A worker whose threads each serve one connection to its end: no other connection may stay
    open beside the one in use."""
    statuses: Counter[int] = Counter()
    with listening(folder, "tcp") as (sock, endpoint):
        worker = Closing(sock)
        async with Router(folder, routes(folder, endpoint)) as router:
            await asyncio.to_thread(post, router.port, "a", statuses, "GET")  # it may be sent twice
            await asyncio.to_thread(post, router.port, "b", statuses)
            assert statuses == {200: 2 * EACH}
            assert worker.connections == 1
            assert "closes connections" not in router.said()


async def test_a_worker_of_one_connection_at_a_time_serves_what_can_not_be_sent_twice_after_what_can(
    folder: Path,
) -> None:
    async def one_after_the_other(connection: Connection) -> None:
        async with turn:
            await answering(OK)(connection)

    turn = asyncio.Lock()

    worker = await Worker(folder / "w").start(one_after_the_other)
    async with Router(folder, routes(folder, worker.endpoint)) as router:
        for request in (b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 1\r\n") * 2:
            body = b"x" if b"POST" in request else b""
            assert (await router.ask(request + b"Host: a\r\nConnection: close\r\n\r\n" + body)).endswith(b"ok")
    assert len(worker.connections) == 3  # the first GET's, then one for each POST
    worker.stop()


async def test_it_is_said_once_what_helps(folder: Path) -> None:
    statuses: Counter[int] = Counter()
    with listening(folder, "tcp") as (sock, endpoint):
        Closing(sock, requests=1)
        async with Router(folder, routes(folder, endpoint)) as router:
            await asyncio.to_thread(post, router.port, "c", statuses)
            assert router.said().count("closes connections that it let us keep") == 1
            assert "worker w: " + endpoint in router.said()
            assert "--timeout-keep-alive" in router.said()


def test_what_is_relied_on() -> None:
    standing = Standing()
    for tick in range(FOUND_STANDING - 1):
        assert not any(standing.found(1, tick) for _ in range(FOUND_STANDING))  # many requests at once
    assert standing.found(1, FOUND_STANDING)
    seen = [standing.relied_on]
    standing.opened = 7
    standing.ended(7, 10)
    seen.append(standing.relied_on)
    assert seen == [True, False]
    assert not standing.lasted(10 + WARY - 1)  # remembered for as long
    assert standing.lasted(10 + WARY)


def test_the_ends_of_one_crash_are_one_and_nothing_is_said_of_it() -> None:
    standing = Standing()
    standing.opened = 50
    for number in range(1, 51):
        standing.ended(number, 1)
    assert not standing.is_to_be_told()
    for _ in range(2):
        standing.opened += 1
        standing.ended(standing.opened, 2)
    assert [standing.is_to_be_told() for _ in range(3)] == [True, False, False]


def crossing(family: str, *, read: int, how: str) -> tuple[bool, bool]:
    """Ten bytes cross such an end of the connection: whether the router sees the end, and whether
    it finds the bytes untaken."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        if family == "tcp":
            here = stack.enter_context(socket.create_connection(server.getsockname()))
            there = stack.enter_context(server.accept()[0])
        else:
            here, there = (stack.enter_context(sock) for sock in socket.socketpair())
        if how == "shut":
            there.shutdown(socket.SHUT_WR)
        elif how == "before":
            there.close()
        with contextlib.suppress(BrokenPipeError):
            here.send(b"0123456789")
        if how == "after":
            if read:
                assert len(there.recv(read)) == read
            there.close()
        try:
            ended = here.recv(1) == b""
        except ConnectionResetError:
            ended = False
        return ended, ended and is_untaken(here, 10)


CROSSINGS = {
    "closed before it came": ("tcp", 0, "before", (True, True)),
    "closed for sending only": ("tcp", 0, "shut", (True, False)),
    "read, then closed": ("tcp", 10, "after", (True, False)),
    "read in part, then closed": ("tcp", 5, "after", (False, False)),
    "not read, then closed": ("tcp", 0, "after", (False, False)),
    "a Unix socket, which refuses": ("unix", 0, "before", (True, False)),
    "a Unix socket, read": ("unix", 10, "after", (True, False)),
}


@pytest.mark.parametrize(("family", "read", "how", "found"), CROSSINGS.values(), ids=CROSSINGS)
def test_what_nobody_has_taken(family: str, read: int, how: str, found: tuple[bool, bool]) -> None:
    assert crossing(family, read=read, how=how) == found


def test_more_than_was_sent_is_not_untaken() -> None:
    """A part that was acknowledged may have been read."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as here:
        there = server.accept()[0]
        here.send(b"01234")
        assert there.recv(5) == b"01234"
        there.close()
        here.send(b"56789")
        assert here.recv(1) == b""
        assert is_untaken(here, 5)
        assert not is_untaken(here, 10)
