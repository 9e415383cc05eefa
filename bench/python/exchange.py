"""What Python costs per request, without the kernel: one client and one worker whose sockets are
functions.

    .venv/bin/python -m bench.python exchange [--runs N] [--profile]
    .venv/bin/python -m bench.python interpreted bench/python/exchange.py [--runs N] [--profile]

Drives the real `Client` and `Upstream` by their `on_readable`, as the loop would, with a `recv` and
a `send` that cost next to nothing. *repeated*: the same request and response each time; *varied*:
query, cookie, referer and ETag differ; *posted*: varied, and each has a body, whose length differs
as well (a look whether the worker's connection still stands is a real system call); *logged*:
varied, and each is written for the journal, but not sent there. Prints the least of many short
runs, in microseconds; with --profile the functions that cost most in varied ones, which a profiler
sees only where they are interpreted.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import socket
import time
from collections.abc import Iterable
from itertools import cycle

from tqunits.cli.route_options import snapshot_of
from tqunits.metrics.access_formats import journal_datagram
from tqunits.proxy.downstream.client import Client
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.log.sinks import AccessLog, Sink
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.upstream.connection import IDLE, Upstream
from tqunits.system import loop as event_loop

REQUEST = (
    b"GET /api/p?q=%d HTTP/1.1\r\nHost: www.example.org:8080\r\nConnection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Linux"\r\n'
    b"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
    b"(KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
    b"Referer: https://www.example.org/%d\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\nCookie: session=%d; theme=dark\r\n\r\n"
)
BODY = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Tue, 24 Nov 2026 20:00:00 GMT\r\n"
    b'ETag: "%d"\r\nContent-Length: 13\r\n\r\nHello, world\n'
)
SIZE = 1000


class Tape:
    """A wire that gives the same texts over and over, and takes everything."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._texts = cycle(texts)

    def recv(self, size: int, /) -> bytes:
        return next(self._texts)

    def send(self, data: bytes, /) -> int:
        return len(data)

    def shutdown(self, how: int, /) -> None:
        raise AssertionError


class Nowhere(Sink):
    """A sink that costs nothing."""

    def write(self, line: bytes) -> None:
        pass


class Bench:
    """A router with one client and one worker, both at rest."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: AccessLog | None = None) -> None:
        snapshot = snapshot_of(["/api=127.0.0.1:9"], strip=True)
        self.router = Router(loop, snapshot, complaints=Complaints(), name=b"tqunits-bench", seed=b"8 bytes.", log=log)
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        (endpoint,) = self.router.endpoints
        self.client = Client(near, Peer(b"127.0.0.1", believed=False, secured=None), self.router)
        self.client.wake(b"")
        self.router.clients.joined(self.client)
        self.client.rest()
        self.upstream = Upstream(far, endpoint, IDLE)
        self.upstream.resume()
        endpoint.idle.append(self.upstream)

    def cost(self, runs: int, *, varied: bool, posted: bool = False) -> float:
        """Microseconds per exchange."""
        numbers = range(SIZE) if varied else [0] * SIZE
        client, upstream = self.client, self.upstream
        client.wire = Tape([post(n) if posted else filled(REQUEST, n) for n in numbers])
        upstream.wire = Tape([filled(RESPONSE, n) for n in numbers])
        least = float("inf")
        for _ in range(runs):
            begin = time.perf_counter()
            for _ in range(SIZE):
                client.on_readable()
                upstream.on_readable()
            least = min(least, time.perf_counter() - begin)
        return least / SIZE * 1e6


def filled(text: bytes, number: int) -> bytes:
    """The text with that number in all its places."""
    return text % ((number,) * text.count(b"%d"))


def post(number: int) -> bytes:
    """A request with a body of so many bytes."""
    return filled(REQUEST.replace(b"GET", b"POST").removesuffix(b"\r\n") + BODY, number) + b"x" * number


async def main(loop: asyncio.AbstractEventLoop) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=80, help=f"of {SIZE} exchanges each (80)")
    parser.add_argument("--profile", action="store_true", help="the functions that cost most")
    arguments = parser.parse_args()
    bench, logging = Bench(loop), Bench(loop, AccessLog(Nowhere(print), journal_datagram))
    costs = {
        "repeated": bench.cost(arguments.runs, varied=False),
        "varied": bench.cost(arguments.runs, varied=True),
        "posted": bench.cost(arguments.runs, varied=True, posted=True),
        "logged": logging.cost(arguments.runs, varied=True),
    }
    for name, cost in costs.items():
        print(f"{name}: {cost:.1f} us per exchange")
    if arguments.profile:
        with cProfile.Profile() as profile:
            bench.cost(arguments.runs, varied=True)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    event_loop.run(main)
