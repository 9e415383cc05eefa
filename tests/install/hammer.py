"""Clients that keep sending requests until a file appears. Each keeps its connection, and sends
GETs and POSTs with a body in turn.

    hammer.py ENOUGH URL CLIENTS

Prints JSON at the end. Every request has its own number, which the worker's answer repeats. So an
answer that is missing, cut short or for another request is noticed. A request that fails is not
repeated: the failures that a client sees are counted.
"""

import asyncio
import json
import ssl
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

BODY = b"x" * 4000


class Client:
    """One connection after another; each is used for as long as the other end keeps it."""

    def __init__(self, url: str, number: int, tally: "Tally") -> None:
        self.url = urlsplit(url)
        self.number = number
        self.tally = tally
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, enough: asyncio.Event) -> None:
        count = 0
        while not enough.is_set():
            count += 1
            identity = f"{self.number}-{count}"
            try:
                await asyncio.wait_for(self.ask(identity, post=count % 2 == 0), 60)
                self.tally.good += 1
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self.tally.failed[f"{'POST' if count % 2 == 0 else 'GET'} {type(error).__name__}: {error}"] += 1
                self.drop()
        self.drop()

    async def ask(self, identity: str, *, post: bool) -> None:
        if self.streams is None:
            tls = believing() if self.url.scheme == "https" else None
            self.streams = await asyncio.open_connection(self.url.hostname, self.url.port, ssl=tls)
        reader, writer = self.streams
        method, body = (b"POST", BODY) if post else (b"GET", b"")
        head = b"%b %b?id=%b HTTP/1.1\r\nHost: hammer\r\n" % (method, self.url.path.encode(), identity.encode())
        writer.write(head + (b"Content-Length: %d\r\n" % len(body) if post else b"") + b"\r\n" + body)
        if post:
            self.tally.posted.append(identity)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, lines = answer.split(" ", 2)[1], answer.lower().split("\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
        text = await reader.readexactly(length)
        if "connection: close" in lines:
            self.drop()
        if status != "200":
            raise ValueError(f"status {status}")
        if not text.startswith(f"{identity} {len(body)} ".encode()) or not text.endswith(b".end"):
            raise ValueError("another's answer")
        if post:
            self.tally.answered.append(identity)

    def drop(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


@cache
def believing() -> ssl.SSLContext:
    """A client that accepts every certificate, and notices when it is cut off."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


class Tally:
    """The sum of all results."""

    def __init__(self) -> None:
        self.good = 0
        self.failed: Counter[str] = Counter()
        self.posted: list[str] = []
        self.answered: list[str] = []


async def main() -> None:
    enough_file, url, clients = sys.argv[1:]
    tally, enough = Tally(), asyncio.Event()
    running = [asyncio.create_task(Client(url, n, tally).run(enough)) for n in range(int(clients))]
    print("begun", flush=True)
    while not Path(enough_file).exists():
        await asyncio.sleep(0.05)
    enough.set()
    await asyncio.gather(*running)
    print(json.dumps({"good": tally.good, "failed": tally.failed, "answered": tally.answered, "posted": tally.posted}))


if __name__ == "__main__":
    asyncio.run(main())
