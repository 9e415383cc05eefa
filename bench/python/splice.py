"""What a MiB costs when it is copied and when it is spliced.

`recv` and `send` against tqunits/proxy/transport/relay.py.

    .venv/bin/python -m bench.python splice [--rounds N] [--seconds N] [--connections N]

An origin sends, a sink receives and only then lets the origin send on, as a client asks for its
next page; in between are so many pairs of sockets, moved by one way or the other on uvloop. The
figure is the CPU time of this process, which does nothing else, per MiB that it moved. Two tables:
bodies of 1 MiB, each by a relay of its own, for several sizes of pipes and of copies; and pieces of
an endless stream, which tell from which size on a turn of a relay is worth it. In each round every
way has its turn; figures are medians of the rounds, and in brackets the least.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import selectors
import signal
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.watched import Watched
from tqunits.proxy.transport.relay import End, Pipes, Relay
from tqunits.system import loop as event_loop

KIB, MIB = 1 << 10, 1 << 20
COPY_SIZES = (64 * KIB, 256 * KIB)
PIPE_SIZES = (64 * KIB, 256 * KIB, MIB)
PIECES = (4 * KIB, 16 * KIB, 32 * KIB, 64 * KIB)
LINKS = (("tcp", "tcp"), ("unix", "tcp"), ("tcp", "unix"), ("unix", "unix"))
WARM_UP = 0.2
"""Seconds until the buffers of TCP have found their size; not longer than what is measured."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to move: `size` is that of a `recv`, or of a pipe."""

    source: str
    target: str
    splices: bool
    size: int
    piece: int  # bytes that the origin sends at once
    endless: bool  # one relay for all pieces, instead of one for each


@dataclass(frozen=True, slots=True)
class Cost:
    """What one round gave."""

    cpu_us: float  # per MiB
    wakes: float  # calls from the loop per MiB


Pair = tuple[socket.socket, socket.socket]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    bodies = [
        Way(source, target, splices, size, MIB, endless=False)
        for source, target in LINKS
        for splices, sizes in ((False, COPY_SIZES), (True, PIPE_SIZES))
        for size in sizes
    ]
    pieces = [
        Way(source, target, splices, size, piece, endless=True)
        for source, target in LINKS[:2]
        for piece in PIECES
        for splices, size in ((False, 64 * KIB), (True, 256 * KIB))
    ]
    for ways in (bodies, pieces):
        print(f"{'from':>6}{'to':>6}{'piece':>8}{'way':>8}{'size':>8}{'CPU µs/MiB':>20}{'wakes/MiB':>11}")
        _table(ways, arguments.rounds, arguments.seconds, arguments.connections)


def _table(ways: Sequence[Way], rounds: int, seconds: float, connections: int) -> None:
    costs: dict[Way, list[Cost]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            costs[way].append(measure(way, seconds, connections))
    for way, found in costs.items():
        cpu = [cost.cpu_us for cost in found]
        name = "splice" if way.splices else "copy"
        print(
            f"{way.source:>6}{way.target:>6}{way.piece // KIB:>7}K{name:>8}{way.size // KIB:>7}K"
            f"{statistics.median(cpu):>11.1f} ({min(cpu):>6.1f}){statistics.median(c.wakes for c in found):>11.2f}",
            flush=True,
        )


def measure(way: Way, seconds: float, connections: int) -> Cost:
    """One round."""
    before = [_pair(way.source) for _ in range(connections)]
    behind = [_pair(way.target) for _ in range(connections)]
    asking = [socket.socketpair() for _ in range(connections)]
    every = [sock for pair in (*before, *behind, *asking) for sock in pair]
    peers = [
        _child(every, [one for one, _ in before], [one for one, _ in asking], partial(_originate, way.piece)),
        _child(every, [one for _, one in behind], [one for _, one in asking], partial(_sink, way.piece)),
    ]
    try:
        links = [(source, target) for (_, source), (target, _) in zip(before, behind, strict=True)]
        return event_loop.run(lambda loop: _moving(loop, way, links, seconds))
    finally:
        for peer in peers:
            os.kill(peer, signal.SIGKILL)
            os.waitpid(peer, 0)
        for sock in every:
            sock.close()


async def _moving(loop: asyncio.AbstractEventLoop, way: Way, links: Sequence[Pair], seconds: float) -> Cost:
    poller, pipes = Poller(loop), Pipes(size=way.size)
    movers = [Splicing(poller, pipes, link, way) if way.splices else Copying(poller, link, way.size) for link in links]
    await asyncio.sleep(min(WARM_UP, seconds))
    moved, wakes, cpu = sum(m.moved for m in movers), sum(m.wakes for m in movers), time.process_time()
    await asyncio.sleep(seconds)
    while sum(m.moved for m in movers) == moved:  # the other ends had no CPU so far
        await asyncio.sleep(seconds)
    cpu = time.process_time() - cpu
    moved, wakes = sum(m.moved for m in movers) - moved, sum(m.wakes for m in movers) - wakes
    for mover in movers:
        mover.stop()
    pipes.close()
    poller.close()
    return Cost(cpu * 1e6 / (moved / MIB), wakes / (moved / MIB))


class Copying(Watched):
    """As tqunits/proxy/transport/stream.py moves: send at once what came, and read no more until
    all of it is out."""

    def __init__(self, poller: Poller, link: Pair, size: int) -> None:
        self._poller = poller
        self._source, self._target = link
        self._size = size
        self._waiting = b""
        self.moved = 0
        self.wakes = 0
        poller.add_reader(self._source, self)

    def stop(self) -> None:
        self._poller.remove_reader(self._source)
        self._poller.remove_writer(self._target)

    def on_readable(self) -> None:
        self.wakes += 1
        data = self._source.recv(self._size)
        if self._send(data):
            self._poller.remove_reader(self._source)
            self._poller.add_writer(self._target, self)

    def on_writable(self) -> None:
        self.wakes += 1
        if not self._send(self._waiting):
            self._poller.remove_writer(self._target)
            self._poller.add_reader(self._source, self)

    def on_fault(self) -> None:
        raise AssertionError

    def _send(self, data: bytes) -> bytes:
        """Send; gives, and keeps, what is left."""
        try:
            sent = self._target.send(data)
        except BlockingIOError:
            sent = 0
        self.moved += sent
        self._waiting = data[sent:]
        return self._waiting


class Steady(Relay):
    """A relay that never hands over."""

    little: ClassVar[int] = 0


class Splicing(Watched):
    """One relay after the other."""

    def __init__(self, poller: Poller, pipes: Pipes, link: Pair, way: Way) -> None:
        self._poller = poller
        self._pipes = pipes
        self._link = link
        self._limit = None if way.endless else way.piece
        self._done = 0
        self.wakes = 0
        self._start()

    @property
    def moved(self) -> int:
        return self._done + self._relay.moved

    def stop(self) -> None:
        self._relay.abort()

    def _start(self) -> None:
        self._relay = Steady(
            self._poller,
            self._pipes,
            *self._link,
            limit=self._limit,
            reader=self,
            on_moved=self._on_moved,
            on_end=self._on_end,
        )
        self._relay.start()

    def _on_moved(self) -> None:
        self.wakes += 1

    def _on_end(self, end: End) -> None:
        self.wakes += 1
        self._done += self._relay.moved
        if end is End.DONE:
            self._start()

    def on_readable(self) -> None:
        """Nobody reads but the relays: what comes between two of them waits for the next."""

    def on_fault(self) -> None:
        raise AssertionError


def _pair(kind: str) -> Pair:
    """Two ends of a connection, non-blocking."""
    if kind == "unix":
        one, other = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = socket.create_connection(server.getsockname())
            other, _ = server.accept()
        for sock in (one, other):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setblocking(False)
    other.setblocking(False)
    return one, other


Work = Callable[[Sequence[socket.socket], Sequence[socket.socket]], None]


def _child(
    every: Sequence[socket.socket], data: Sequence[socket.socket], asking: Sequence[socket.socket], work: Work
) -> int:
    """A process with these sockets only, so that it sees the end of the others; gives its
    number."""
    child = os.fork()
    if child:
        return child
    try:
        for sock in {*every} - {*data, *asking}:
            sock.close()
        work(data, asking)
    except OSError:
        pass  # the other side was killed first
    finally:
        os._exit(0)


def _originate(piece: int, data: Sequence[socket.socket], asking: Sequence[socket.socket]) -> None:
    """Send a piece whenever one is asked for."""
    waiting = selectors.DefaultSelector()
    text = memoryview(bytes(piece))
    for sock, asked in zip(data, asking, strict=True):
        waiting.register(asked, selectors.EVENT_READ, (asked, sock))
    left = dict.fromkeys(data, 0)
    while True:
        for key, _ in waiting.select():
            asked, sock = key.data
            if asked:
                if not asked.recv(1):
                    return
                left[sock] = piece
            with contextlib.suppress(BlockingIOError):
                left[sock] -= sock.send(text[-left[sock] :])
            if left[sock] and asked:
                waiting.register(sock, selectors.EVENT_WRITE, (None, sock))
            elif not left[sock] and not asked:
                waiting.unregister(sock)


def _sink(piece: int, data: Sequence[socket.socket], asking: Sequence[socket.socket]) -> None:
    """Ask for a piece, receive it, and ask for the next."""
    waiting = selectors.DefaultSelector()
    buffer = bytearray(64 * KIB)
    for sock, ask in zip(data, asking, strict=True):
        waiting.register(sock, selectors.EVENT_READ, (sock, ask))
        ask.send(b"?")
    left = dict.fromkeys(data, piece)
    while True:
        for key, _ in waiting.select():
            sock, ask = key.data
            got = sock.recv_into(buffer)
            if not got:
                return
            left[sock] -= got
            if not left[sock]:
                left[sock] = piece
                ask.send(b"?")


if __name__ == "__main__":
    main()
