"""A worker that ends at SIGTERM at once, also during a request.

Answers with the number of the request (`?id=`) and the length of its body, and notes every POST. It
listens as its environment says: on a port, on a Unix socket of its own, or on a socket that systemd
hands over.

A POST takes TAKES seconds: so there are always requests that have begun and not ended, and the
clients, which ask without a pause, do not take all processors from what is tested.
"""

import asyncio
import os
import socket

NOTES = os.open(os.path.join(os.environ["STATE_DIRECTORY"], "posts"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
FILL = b"." * 20000
BACKLOG = 1000
TAKES = 0.03


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
            identity = head.split(b" ", 2)[1].partition(b"id=")[2]
            if head.startswith(b"POST"):
                os.write(NOTES, identity + b"\n")
                await asyncio.sleep(TAKES)
            answer = b"%b %d %b.end" % (identity, len(body), FILL)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def listen() -> asyncio.Server:
    if "LISTEN_FDS" in os.environ:
        return await asyncio.start_server(serve, sock=socket.socket(fileno=3), backlog=BACKLOG)
    if "WORKER_SOCKET" in os.environ:
        return await asyncio.start_unix_server(serve, os.environ["WORKER_SOCKET"], backlog=BACKLOG)
    return await asyncio.start_server(serve, "127.0.0.1", int(os.environ["WORKER_PORT"]), backlog=BACKLOG)


async def main() -> None:
    await (await listen()).serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
