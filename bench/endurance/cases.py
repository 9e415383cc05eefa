"""The hostile cases of bench/endurance: each is what somebody does beside the honest client.

A case gives what its clients got, counted, and complains about what they should not have got. It
takes as long as it takes; `SPAN` is how long the cases last that could last for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bench.endurance.scene import Child, Scene
from bench.endurance.workers import GARBAGE, SECOND

SPAN = 8.0
PATIENCE = 30.0
KEPT = 4
"""Connections that the honest client keeps."""

EACH_PROCESS = 6000
"""Idle connections of one process and one source address."""

SPARE = 1200
"""Descriptors that a router keeps for itself and for workers."""

IDLE = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE)

MANY = 20_000
"""Idle connections that a router of two processes holds: more than one may, where the limit of
descriptors is that."""

STANDS = 120.0
"""Seconds for these to come and be served twice; they need a tenth of that. Each that is not served
takes PATIENCE."""

LARGE = 8 << 20

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Outcome:
    """What the hostile clients got, and what was wrong with that."""

    got: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    held: int = 0  # connections open at once, where that is what the case is about

    def only(self, *allowed: str) -> Outcome:
        """Complain about everything else."""
        others = {what: count for what, count in self.got.items() if what not in allowed}
        if others or not self.got:
            self.wrong.append(f"got {others or 'nothing'} instead of {' or '.join(allowed)}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row."""

    name: str
    run: Callable[[Scene], Awaitable[Outcome]]
    about: str
    growth: int  # MiB by which the router's PSS may grow at most
    connections: int = 20_000
    descriptors: int = 0  # its limit; 0: as many as this user may have
    processes: int = 1  # of the router
    kept: int = KEPT
    fresh: int = 1  # honest clients that connect anew


# Clients that are slow.


async def slow_head(scene: Scene) -> Outcome:
    """A thousand that send a byte of the head per second, and come again when they are cut off."""
    return (await _for_a_while(1000, lambda: _slow_head(scene.port))).only("408")


async def _slow_head(port: int) -> str:
    async with _connected(port) as (reader, writer):
        sending = asyncio.create_task(_trickle(writer, b"GET /honest/echo/slow HTTP/1.1\r\nHost: slow\r\n\r\n"))
        try:
            return _kind(await reader.read())
        finally:
            sending.cancel()


async def slow_body(scene: Scene) -> Outcome:
    """Bodies of a byte per second, to the worker of the honest client too: they move, so nobody
    cuts them off."""
    return (await _for_a_while(800, lambda: _slow_body(scene.port, "honest/echo/slow"))).only("unanswered")


async def stalled_body(scene: Scene) -> Outcome:
    """Bodies of which half comes, and then nothing."""
    head = b"POST /hostile/echo/x HTTP/1.1\r\nHost: slow\r\nContent-Length: 2000\r\n\r\n" + bytes(1000)
    return (await _all([_ask(scene.port, head) for _ in range(500)])).only("408")


async def _slow_body(port: int, path: str) -> str:
    async with _connected(port) as (reader, writer):
        writer.write(f"POST /{path} HTTP/1.1\r\nHost: slow\r\nContent-Length: 100000\r\n\r\n".encode())
        sending = asyncio.create_task(_trickle(writer, bytes(1000)))
        try:
            return _kind(await asyncio.wait_for(reader.read(), SPAN))
        except TimeoutError:
            return "unanswered"
        finally:
            sending.cancel()


async def never_read(scene: Scene) -> Outcome:
    """Clients that never read what they asked for, from a worker on TCP: the kernel moves it."""
    return await _never_read(scene, f"hostile/big/{LARGE}")


async def never_read_copied(scene: Scene) -> Outcome:
    """The same from a worker on a Unix socket: the router copies."""
    return await _never_read(scene, f"unix/big/{LARGE}")


async def never_read_file(scene: Scene) -> Outcome:
    """The same of a file."""
    return await _never_read(scene, "files/large")


async def _never_read(scene: Scene, path: str) -> Outcome:
    """Each takes one byte, so that all are being served, and nothing until the router has given all
    of them up."""
    request = f"GET /{path} HTTP/1.1\r\nHost: deaf\r\n\r\n".encode()
    loop, few = asyncio.get_running_loop(), scene.look().descriptors + 8
    with contextlib.ExitStack() as stack:
        deaf = [stack.enter_context(await _asked(scene.port, request, receive=65536)) for _ in range(200)]
        await asyncio.gather(*(asyncio.wait_for(loop.sock_recv(sock, 1), PATIENCE) for sock in deaf))
        await scene.settled(few)
        return (await _all([_rest(sock) for sock in deaf])).only("cut")


async def _rest(sock: socket.socket) -> str:
    """What comes when a deaf client listens after all."""
    size, data = 1, b"begin"
    with contextlib.suppress(ConnectionResetError):
        while data and size < LARGE:
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1 << 20), PATIENCE)
            size += len(data)
    return "whole" if size >= LARGE else "cut"


# Clients that are many.


async def idle(scene: Scene) -> Outcome:
    """As many idle connections as the router takes; one more waits until one leaves."""
    outcome = Outcome(held=IDLE - KEPT)
    async with contextlib.AsyncExitStack() as stack:
        crowds = [await stack.enter_async_context(crowd) for crowd in _crowds(scene.port, IDLE - KEPT)]
        outcome.got["served"] = sum([int((await crowd.line()).split()[1]) for crowd in crowds])
        async with _connected(scene.port) as (reader, writer):
            writer.write(b"GET /honest/echo/last HTTP/1.1\r\nHost: last\r\n\r\n")
            waits = not await _within(2.0, reader.read(1))
            outcome.got["one more waits" if waits else "one more was served"] += 1
            await crowds[0].tell("leave 1")
            served = await _within(PATIENCE, reader.readuntil(b"last 0"))
            outcome.got["then it is served" if served else "then it is not served"] += 1
        outcome.got["served again"] = sum([int((await crowd.tell("ask")).split()[1]) for crowd in crowds])
    if (outcome.got["served"], outcome.got["served again"]) != (IDLE - KEPT, IDLE - KEPT - 1):
        outcome.wrong.append("not all were served")
    return outcome.only("served", "one more waits", "then it is served", "served again")


async def idle_shared(scene: Scene) -> Outcome:
    """More idle connections than one process may have: several share the listening socket.

    While all stand, the kernel counts them in each process; then each connection must be served
    once more.
    """
    outcome = Outcome(held=MANY)
    async with asyncio.timeout(STANDS), contextlib.AsyncExitStack() as stack:
        crowds = [await stack.enter_async_context(crowd) for crowd in _crowds(scene.port, MANY)]
        outcome.got["served"] = sum([int((await crowd.line()).split()[1]) for crowd in crowds])
        parts = scene.router.crowd()
        outcome.got |= {f"in process {number}": part for number, part in enumerate(parts, 1)}
        outcome.got["served again"] = sum([int((await crowd.tell("ask")).split()[1]) for crowd in crowds])
    if {outcome.got["served"], outcome.got["served again"], sum(parts)} != {MANY}:
        outcome.wrong.append(f"not all {MANY} were open and served at once")
    return outcome


def _crowds(port: int, count: int) -> Sequence[contextlib.AbstractAsyncContextManager[Child]]:
    sizes = [min(EACH_PROCESS, count - start) for start in range(0, count, EACH_PROCESS)]
    return [
        Child.running("crowd.py", port, "/honest/echo", size, f"127.0.0.{number + 2}")
        for number, size in enumerate(sizes)
    ]


async def descriptors(scene: Scene) -> Outcome:
    """More connections than the router has descriptors: those that stand are served, the others
    when there is room."""
    outcome = Outcome()
    with contextlib.ExitStack() as stack:
        request = b"GET /honest/echo/many HTTP/1.1\r\nHost: many\r\n\r\n"
        many = [stack.enter_context(await _asked(scene.port, request)) for _ in range(600)]
        await asyncio.sleep(SPAN)
        served = [sock for sock in many if _has_answer(sock)]
        waiting = [sock for sock in many if sock not in served]
        outcome.got |= {"served at once": len(served), "waiting": len(waiting)}
        for sock in (*served, *waiting):
            came = await _within(PATIENCE, asyncio.get_running_loop().sock_recv(sock, 4096))
            outcome.got["served in the end" if came else "never served"] += 1
            sock.close()
    if not outcome.got["waiting"]:
        outcome.wrong.append("the limit was not reached")
    return outcome.only("served at once", "waiting", "served in the end")


async def _asked(port: int, request: bytes, *, receive: int = 0) -> socket.socket:
    """A connection on which that was sent; `receive`: the size of its receive buffer, 0 is what is
    usual."""
    sock = socket.socket()
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    sock.send(request)
    return sock


def _has_answer(sock: socket.socket) -> bool:
    try:
        return sock.recv(4096, socket.MSG_PEEK).startswith(b"HTTP/1.1 200 ")
    except BlockingIOError:
        return False


# Workers that are bad.


async def garbage(scene: Scene) -> Outcome:
    """Answers that are none, all kinds in turn."""
    paths = [f"hostile/garbage/{number}" for number in range(len(GARBAGE))]
    return (await _keep_asking(scene.port, paths)).only("502")


async def closes_early(scene: Scene) -> Outcome:
    """No answer, half of a body, half of a chunk."""
    return (await _keep_asking(scene.port, ["hostile/close", "hostile/cut", "hostile/cut-chunk"])).only("502", "cut")


async def answers_early(scene: Scene) -> Outcome:
    """A whole answer before the request's body has come: passed on, and that was the last on the
    connection."""
    outcome = await _for_a_while(20, lambda: _early(scene.port))
    return outcome.only("200 and the end")


async def _early(port: int) -> str:
    async with _connected(port) as (reader, writer):
        writer.write(b"POST /hostile/early HTTP/1.1\r\nHost: early\r\nContent-Length: 4000000\r\n\r\n" + bytes(500_000))
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        whole = answer.endswith(b"early") and b"\r\nConnection: close\r\n" in answer
        return f"{_kind(answer)} and the end" if whole else f"{_kind(answer)}, not as it should be"


async def answers_twice(scene: Scene) -> Outcome:
    """Two answers to one request: nobody ever gets the second."""
    outcome = await _for_a_while(20, lambda: _twice(scene.port))
    return outcome.only("the first, always")


async def _twice(port: int) -> str:
    async with _connected(port) as (reader, writer):
        for _ in range(20):
            writer.write(b"GET /hostile/twice HTTP/1.1\r\nHost: twice\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            body = await asyncio.wait_for(reader.readexactly(3), PATIENCE)
            if not head.startswith(b"HTTP/1.1 200 ") or body != b"one":
                return f"{head[9:12].decode()} {body.decode()}"
        return "the first, always"


async def slow_worker(scene: Scene) -> Outcome:
    """A byte of the head per second: given up on. A byte of the body per second moves, so the
    client decides."""
    request = "GET /hostile/%s HTTP/1.1\r\nHost: slow\r\nConnection: close\r\n\r\n"
    every = [_ask(scene.port, (request % path).encode()) for path in ("slow-head", "slow-body") for _ in range(250)]
    return (await _all(every)).only("504", "still coming")


CASES = (
    Case(name="slow-head", run=slow_head, growth=16, about="1000 clients, a byte of the head per second"),
    Case(name="slow-body", run=slow_body, growth=24, about="800 clients, a byte of the body per second"),
    Case(name="stalled-body", run=stalled_body, growth=16, about="500 bodies of which half comes"),
    Case(name="never-read", run=never_read, growth=64, about="200 x 8 MiB from TCP, not read"),
    Case(name="never-read-copied", run=never_read_copied, growth=64, about="200 x 8 MiB from Unix, not read"),
    Case(name="never-read-file", run=never_read_file, growth=16, about="200 x 8 MiB of a file, not read"),
    Case(name="idle", run=idle, growth=282, connections=IDLE, fresh=0, about=f"{IDLE} idle connections, and one more"),
    Case(name="idle-shared", run=idle_shared, growth=64, processes=2, about=f"{MANY} idle connections, two processes"),
    Case(name="descriptors", run=descriptors, growth=16, descriptors=256, fresh=0, about="600 clients, limit 256"),
    Case(name="garbage", run=garbage, growth=16, about="a worker's answers that are none"),
    Case(name="closes-early", run=closes_early, growth=16, about="no answer, half of one"),
    Case(name="answers-early", run=answers_early, growth=32, about="an answer before the request's end"),
    Case(name="answers-twice", run=answers_twice, growth=16, about="two answers to one request"),
    Case(name="slow-worker", run=slow_worker, growth=16, about="500 answers, a byte per second"),
)


# What they are made of.


@contextlib.asynccontextmanager
async def _connected(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), PATIENCE)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    for at in range(len(data)):
        writer.write(data[at : at + 1])
        await asyncio.sleep(SECOND)


async def _ask(port: int, request: bytes) -> str:
    """Ask once, and read until the end, or as long as a case lasts."""
    async with _connected(port) as (reader, writer):
        writer.write(request)
        received = bytearray()
        try:
            async with asyncio.timeout(SPAN):
                while data := await reader.read(65536):
                    received += data
        except TimeoutError:
            return "still coming" if received else "unanswered"
        except ConnectionResetError:
            pass
        return _kind(bytes(received))


async def _keep_asking(port: int, paths: Sequence[str]) -> Outcome:
    """Twenty clients, a hundred requests per second in all, these paths in turn."""
    turn = 0

    async def ask() -> str:
        nonlocal turn
        path, turn = paths[turn % len(paths)], turn + 1
        await asyncio.sleep(0.2)
        return await _ask(port, f"GET /{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())

    return await _for_a_while(20, ask)


async def _for_a_while(clients: int, action: Callable[[], Awaitable[str]]) -> Outcome:
    """So many clients do that again and again; what they got. What runs at the end is finished."""
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SPAN

    async def client() -> None:
        while loop.time() < deadline:
            outcome.got[await _told(action())] += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    return outcome


async def _all(actions: Sequence[Awaitable[str]]) -> Outcome:
    return Outcome(Counter(await asyncio.gather(*(_told(action) for action in actions))))


async def _told(action: Awaitable[str]) -> str:
    try:
        return await action
    except (OSError, EOFError, TimeoutError) as error:
        return type(error).__name__


async def _within(seconds: float, action: Awaitable[bytes]) -> bool:
    """Whether something came in time."""
    try:
        return bool(await asyncio.wait_for(action, seconds))
    except (TimeoutError, EOFError):
        return False


def _kind(answer: bytes) -> str:
    """The status of a whole answer; `cut` for what is not whole, `nothing`."""
    while answer.startswith(b"HTTP/1.1 1"):
        answer = answer.partition(b"\r\n\r\n")[2]
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return "nothing"
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
    whole = len(body) == length if length is not None else body.endswith(b"0\r\n\r\n")
    return head[9:12].decode() if whole else "cut"
