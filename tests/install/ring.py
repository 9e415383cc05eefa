"""A worker that tries to use io_uring, which circumvents every filter of socket calls
(io_uring(7)).

GET /rings answers JSON: the result of each of its three system calls. GET /health runs an asyncio
loop with a thread and a child process, because these must still work.
"""

import asyncio
import ctypes
import errno
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

CALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}  # the same on every architecture
SQE_BYTES = 120  # struct io_uring_params, linux/io_uring.h


def rings() -> dict[str, str]:
    """The error of each call, by name; OK if there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    outcome = {}
    for name, number in CALLS.items():
        parameters = ctypes.create_string_buffer(SQE_BYTES)
        first = 1 if name == "io_uring_setup" else -1  # entries, or a descriptor that does not exist
        ctypes.set_errno(0)
        result = libc.syscall(number, first, parameters, 0, 0, 0, 0)
        outcome[name] = "OK" if result >= 0 else errno.errorcode[ctypes.get_errno()]
    return outcome


async def work() -> str:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(6 * 7)", stdout=asyncio.subprocess.PIPE)
    said, _ = await child.communicate()
    return await asyncio.to_thread(said.decode)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(rings() if self.path == "/rings" else asyncio.run(work())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if "WORKER_PORT" in os.environ:
        HTTPServer(("127.0.0.1", int(os.environ["WORKER_PORT"])), Handler).serve_forever()
    print("rings:", json.dumps(rings(), sort_keys=True), file=sys.stderr, flush=True)
