"""A worker that answers with what it was sent; the tests copy it into the machine. SIGTERM ends it
at once, also during a request.

GET /fields: the request's fields as JSON, names in lower case. GET /bytes?of=N: so many bytes.
POST: the SHA-256 of the body. GET /first and /second: "done", once SIGUSR1 and SIGUSR2 have come.
GET /live becomes a WebSocket whose frames nobody looks at: what comes is sent back, behind the
number of the process.
"""

import hashlib
import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIRST, SECOND = threading.Event(), threading.Event()
CHUNK = 65536


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?of=")
        if path == "/fields":
            self.answer(json.dumps({name.lower(): value for name, value in self.headers.items()}).encode())
        elif path == "/bytes":
            self.answer(b"x" * int(query))
        elif path in {"/first", "/second"}:
            (FIRST if path == "/first" else SECOND).wait()
            self.answer(b"done")
        elif path == "/live":
            self.talk()
        else:
            self.answer(b"ok")

    def do_POST(self) -> None:
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read(min(left, CHUNK))
            digest.update(data)
            left -= len(data)
        self.answer(digest.hexdigest().encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def talk(self) -> None:
        self.close_connection = True
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.end_headers()
        while data := self.connection.recv(CHUNK):
            self.connection.sendall(b"%d %b" % (os.getpid(), data))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called there
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: FIRST.set())
    signal.signal(signal.SIGUSR2, lambda *_: SECOND.set())
    Server(("127.0.0.1", int(os.environ["WORKER_PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
