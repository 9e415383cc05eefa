"""The client of bench/host/supervisors.py: it runs beside the workers. It needs pystemd.

    crashes.py serving PORT...         wait until all of them answer
    crashes.py crash PAUSE PORT...     kill the worker at each port, and wait until it is back
    crashes.py start TIMES PORT ARG... start a program, wait until it serves, kill it, and again
    crashes.py unit PAUSE PORT UNIT... stop each unit of systemd, start it, wait until it serves

A worker answers a request with its process id, so a killed one is back when another process
answers at its port. The client asks without a pause but for 0.5 ms between two tries. `crash`,
`start` and `unit` print a list of milliseconds until the whole answer is there: from the kill, from
before the fork, from the moment when systemd is asked to start the unit. (Its timestamps would not
do: InactiveExitTimestamp comes after the fork.) PAUSE: seconds before each, so that what is done
after a start disturbs no other.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess  # noqa: TID251 - a program of its own, not part of the package
import sys
import time
from collections.abc import Iterable, Sequence

from pystemd.dbuslib import DBus  # noqa: TID251 - a program of its own
from pystemd.systemd1 import Manager  # noqa: TID251

BETWEEN = 0.0005
PATIENCE = 60.0
"""Seconds."""


def main(command: str, *words: str) -> int:
    """Do what is asked; print what it took."""
    match command:
        case "serving":
            print(json.dumps([answer(int(port)) for port in words]))
        case "crash":
            print(json.dumps([crash(int(port), float(words[0])) for port in words[1:]]))
        case "start":
            times, port, *argv = words
            print(json.dumps([start(int(port), argv) for _ in range(int(times))]))
        case "unit":
            pairs = zip(words[1::2], words[2::2], strict=True)
            print(json.dumps(start_units(float(words[0]), ((int(port), unit) for port, unit in pairs))))
        case _:
            raise ValueError(command)
    return 0


def crash(port: int, pause: float) -> float:
    """Milliseconds from the kill of the worker at that port until another process answers there."""
    time.sleep(pause)
    before = answer(port)
    begin = time.perf_counter()
    os.kill(before, signal.SIGKILL)
    answer(port, other_than=before)
    return (time.perf_counter() - begin) * 1000


def start(port: int, argv: Sequence[str]) -> float:
    """Milliseconds that a program needs by itself."""
    time.sleep(0.1)
    environment = {**os.environ, "WORKER_PORT": str(port)}
    begin = time.perf_counter()
    with subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            answer(port)
            return (time.perf_counter() - begin) * 1000
        finally:
            process.kill()


def start_units(pause: float, units: Iterable[tuple[int, str]]) -> list[float]:
    """Milliseconds that the start of each unit needs, without a crash before it."""
    taken = []
    with DBus() as bus, Manager(bus=bus) as manager:
        for port, unit in units:
            subprocess.run(["/usr/bin/systemctl", "stop", unit], check=True)
            time.sleep(pause)
            begin = time.perf_counter()
            manager.Manager.StartUnit(unit.encode(), b"replace")
            answer(port)
            taken.append((time.perf_counter() - begin) * 1000)
    return taken


def answer(port: int, *, other_than: int = 0) -> int:
    """The process that answers at the port, as soon as one does."""
    deadline = time.monotonic() + PATIENCE
    while (pid := ask(port)) in (0, other_than):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers at port {port} within {PATIENCE:g} s")
        time.sleep(BETWEEN)
    return pid


def ask(port: int) -> int:
    """The process that answers at the port; 0 if none does at the moment."""
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while more := connection.recv(4096):
                received += more
    except ConnectionError:
        return 0
    head, _, body = received.partition(b"\r\n\r\n")
    return int(body) if head.startswith(b"HTTP/1.1 200 ") and body else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
