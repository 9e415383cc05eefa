"""index: the smallest complete worker in Python. One file, the standard library, nothing of
tqunits; copy it and begin.

It listens where it is told, answers /health, logs one JSON line per request, and on SIGTERM
finishes what it has begun. The router stands in front of it: slow clients, TLS and oversized heads
are its concern, not ours.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from html import escape
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer

PORT, SOCKET = int(os.environ.get("WORKER_PORT", "0")), os.environ.get("WORKER_SOCKET", "")
ROUTE = os.environ.get("WORKER_ROUTE", "/")
IDLE_SECONDS = 150  # longer than the router's timeouts.idle (120 s): the side that sends the requests closes first
STOPPING = threading.Event()
IDLE: set[socket.socket] = set()  # connections that wait for their next request
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>index</title><h1>It works</h1>
<p>Process {pid}. Go on to <a href="{at}/api/">api</a>, <a href="{at}/admin/">admin</a>, <a href="{at}/blog/">blog</a>.
</html>
"""


def log(priority: int, message: str, **fields: object) -> None:
    """One line of JSON; the journal takes <N> as its priority and removes it (sd-daemon(3))."""
    sys.stderr.write(f"<{priority}>{json.dumps({'message': message, **fields})}\n")


def hang_up(connection: socket.socket) -> None:
    """Take no more requests from it: what has arrived is still read, then comes the end."""
    with suppress(OSError):  # it is gone already
        connection.shutdown(socket.SHUT_RD)


class Server(ThreadingTCPServer):
    """A thread per connection; limits.tasks_max bounds their number."""

    address_family = socket.AF_UNIX if SOCKET else socket.AF_INET
    allow_reuse_address = True
    request_queue_size = 128
    timeout = 0  # handle_request() never waits: run() does

    def server_bind(self) -> None:
        if not SOCKET:
            return super().server_bind()
        Path(SOCKET).unlink(missing_ok=True)  # left by a crash
        self.socket.bind(SOCKET)
        return Path(SOCKET).chmod(0o660)  # the folder's group is the router's

    def run(self) -> None:
        """Serve until SIGTERM, then answer every request that has arrived."""
        stop, alarm = socket.socketpair()
        alarm.setblocking(False)
        signal.set_wakeup_fd(alarm.fileno())  # a handler in Python would wait for this thread, which waits in select()
        signal.signal(signal.SIGTERM, lambda *_: None)
        log(6, "listening", socket=SOCKET or f"127.0.0.1:{PORT}")
        while stop not in select.select([self.socket, stop], [], [])[0]:
            self.handle_request()
        STOPPING.set()
        while select.select([self.socket], [], [], 0)[0]:  # connections that the kernel has accepted for us
            self.handle_request()
        for connection in list(IDLE):
            hang_up(connection)
        self.server_close()  # waits for the threads

    def handle_error(self, request: object, client_address: object) -> None:
        log(4, "connection lost", error=repr(sys.exc_info()[1]))


class Handler(BaseHTTPRequestHandler):
    """One connection: any number of requests, one after the other."""

    protocol_version = "HTTP/1.1"  # keep-alive
    timeout = IDLE_SECONDS
    wbufsize = 65536  # head and body leave in one packet

    def handle_one_request(self) -> None:
        IDLE.add(self.connection)
        if STOPPING.is_set():  # after add(): run() sees us, or we see it
            hang_up(self.connection)
        super().handle_one_request()

    def finish(self) -> None:
        IDLE.discard(self.connection)
        super().finish()

    def parse_request(self) -> bool:
        IDLE.discard(self.connection)  # its request has arrived
        return super().parse_request()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self.answer(200, "text/html; charset=utf-8", self.page())
        elif path in ("/health", "/slow"):
            time.sleep(1 if path == "/slow" else 0)  # a restart meanwhile loses nothing
            self.answer(200, "text/plain", "ok\n")
        else:
            self.answer(404, "text/plain", "not found\n")

    do_HEAD = do_GET

    def page(self) -> str:
        prefix = escape(self.headers.get("X-Forwarded-Prefix", ROUTE).rstrip("/"))  # where the client sees us
        return PAGE.format(pid=os.getpid(), at=prefix)

    def answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        unread = "Transfer-Encoding" in self.headers or self.headers.get("Content-Length", "0") != "0"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if STOPPING.is_set() or unread:  # a body that nobody read would pass for the next request
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        log(6, "request", line=self.requestline, status=int(code))

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it so
        log(4, format % arguments)


if __name__ == "__main__":
    with Server(("127.0.0.1", PORT), Handler) as server:
        server.run()
    log(6, "stopped")
