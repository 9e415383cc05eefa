"""A worker that misbehaves: zoo_animal.py KIND. The tests and bench/host/zoo.py copy it into a
machine.

Each one answers on its port, one request after the other, until it does what its kind does. Two
kinds sleep: to take their time is what they are for. No test waits by it: tests wait for what comes
of it, a state or an answer.
"""

import os
import signal
import socket
import sys
import time
from contextlib import suppress

KIND = sys.argv[1]
PATIENT = 3  # healthy answers before it shows its kind: its start has passed by then


def answer(connection: socket.socket, status: str) -> None:
    head = connection.recv(4096)
    if KIND == "busy" and not head.startswith(b"GET /health"):
        time.sleep(1)
    body = b"no database" if status.startswith("500") else b"ok"
    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    connection.close()


def misbehave() -> None:
    """What its kind does between two requests, once its start has passed."""
    if KIND == "hangs":
        while True:
            signal.pause()
    if KIND == "eats":
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1 << 20)))
    if KIND == "forks" and os.fork() == 0:
        while True:
            with suppress(OSError):
                os.fork()


if KIND == "dies":
    sys.exit(3)
if KIND == "slow":
    time.sleep(4)
if KIND == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
served = 0
server = socket.create_server(("127.0.0.1", int(os.environ["WORKER_PORT"])))
while True:
    one, _ = server.accept()
    answer(one, "500 Internal Server Error" if KIND == "sick" and served >= PATIENT else "200 OK")
    served += 1
    if served == PATIENT:
        misbehave()
