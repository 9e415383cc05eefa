"""The honest client of bench/endurance, in a process of its own: it asks at a steady rate, and
checks every answer.

    honest.py PORT PATH KEPT FRESH

KEPT connections are kept, FRESH clients connect anew for each request; each asks every INTERVAL,
GET and POST with a body in turn. An answer must be whole and repeat the number of its request. A
line on stdin ends a phase, whose report is a line of JSON on stdout; the end of stdin ends the
program. Latency counts from when a request was due, so a stall counts for all that it held up.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter

INTERVAL = 0.01
PATIENCE = 30.0
BODY = b"x" * 4096


class Phase:
    """What came of the requests of one phase."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.failed: Counter[str] = Counter()

    def report(self) -> str:
        found = sorted(self.latencies) or [0.0]
        p50, p99 = (round(found[int(len(found) * part)] * 1e6) for part in (0.5, 0.99))
        figures = {"requests": len(self.latencies), "p50_us": p50, "p99_us": p99, "max_us": round(found[-1] * 1e6)}
        return json.dumps({**figures, "failed": self.failed})


class Client:
    """One of them."""

    def __init__(self, port: int, path: str, number: int, *, keeps: bool) -> None:
        self.port = port
        self.path = path
        self.number = number
        self.keeps = keeps
        self.phase = Phase()
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self) -> None:
        count, due = 0, time.monotonic() + INTERVAL * self.number / 8
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            count, phase = count + 1, self.phase
            try:
                await asyncio.wait_for(self.ask(f"{self.number}-{count}", post=count % 2 == 0), PATIENCE)
                phase.latencies.append(time.monotonic() - due)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                phase.failed[f"{type(error).__name__}: {error}"] += 1
                self.drop()
            if not self.keeps:
                self.drop()
            due = max(due + INTERVAL, time.monotonic() - PATIENCE)

    async def ask(self, identity: str, *, post: bool) -> None:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        body = BODY if post else b""
        length = f"Content-Length: {len(body)}\r\n" if post else ""
        line = f"{'POST' if post else 'GET'} {self.path}/{identity} HTTP/1.1\r\n"
        writer.write(f"{line}Host: honest\r\n{length}\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not head.startswith("HTTP/1.1 200 "):
            raise ValueError(head.partition("\r\n")[0])
        size = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("Content-Length:"))
        text = await reader.readexactly(size)
        if text != f"{identity} {len(body)}".encode():
            raise ValueError(f"not the answer to {identity}: {text!r}")

    def drop(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def main() -> None:
    """Ask until stdin ends."""
    port, path, kept, fresh = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    clients = [Client(port, path, number, keeps=number < kept) for number in range(kept + fresh)]
    running = [asyncio.create_task(client.run()) for client in clients]
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    phase = Phase()
    while True:
        for client in clients:
            client.phase = phase
        if not await commands.readline():
            break
        print(phase.report(), flush=True)
        phase = Phase()
    for task in running:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
