"""The HTTP server under the blog: a thread per connection, keep-alive, bounded bodies, a stop that
loses nothing."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer

PORT, SOCKET = int(os.environ.get("WORKER_PORT", "0")), os.environ.get("WORKER_SOCKET", "")
HANDED = os.environ.get("LISTEN_PID") == str(os.getpid())  # listen: fd; the socket is open already (sd_listen_fds(3))
HANDED_FD = 3
IDLE_SECONDS = 150  # longer than the router's timeouts.idle (120 s): the side that sends the requests closes first
MAX_BODY = 8192  # bytes: a form with one line of text
STOPPING = threading.Event()
IDLE: set[socket.socket] = set()  # connections that wait for their next request


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
        if HANDED:
            self.socket.close()
            self.socket = socket.socket(fileno=HANDED_FD)
            return None
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


class Connection(BaseHTTPRequestHandler):
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

    def body(self) -> bytes | None:
        """The request's body; None, answered with why, when its length is unknown or too large."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self.answer(411, "text/plain", "a Content-Length is needed\n", Connection="close")
        elif int(length) > MAX_BODY:
            self.answer(413, "text/plain", "too much\n", Connection="close")
        else:
            return self.rfile.read(int(length))
        return None

    def answer(self, status: int, kind: str, text: str, **headers: str) -> None:
        """Send a whole answer; `headers` in Python's spelling (Set_Cookie)."""
        body = text.encode()
        unread = self.command != "POST" and self.headers.get("Content-Length", "0") != "0"
        if STOPPING.is_set() or unread or "Transfer-Encoding" in self.headers:
            headers["Connection"] = "close"  # a body that nobody read would pass for the next request
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        log(6, "request", line=self.requestline, status=int(code))

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it so
        log(4, format % arguments)


def serve(connection: type[Connection]) -> None:
    """Serve with that class until SIGTERM."""
    with Server(("127.0.0.1", PORT), connection) as server:
        server.run()
    log(6, "stopped")
