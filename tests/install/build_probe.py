#!/usr/bin/python3
"""Run as a build: tries what a hostile build would, and writes the results to probe.json."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import pathlib
import socket
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
IO_URING_SETUP, FALLOCATE = 425, 285  # x86_64: unistd_64.h
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # sched.h


def outcome(deed: Callable[[], object]) -> str:
    """The name of the error, or "done"."""
    try:
        deed()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "done"


def call(number: int, *arguments: object) -> Callable[[], None]:
    def deed() -> None:
        if LIBC.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "")

    return deed


def unshare(flags: int) -> Callable[[], None]:
    def deed() -> None:
        if LIBC.unshare(flags) < 0:
            raise OSError(ctypes.get_errno(), "")

    return deed


def connect(host: str, port: int) -> Callable[[], None]:
    def deed() -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as client:
            client.settimeout(1)
            client.connect((host, port))

    return deed


def write(path: str) -> Callable[[], object]:
    return lambda: pathlib.Path(path).write_text("")


def room(path: str) -> list[int]:
    found = os.statvfs(path)
    return [found.f_blocks * found.f_frsize, found.f_files]


def preallocate() -> None:
    with pathlib.Path("preallocated").open("wb") as file:
        call(FALLOCATE, file.fileno(), 0, ctypes.c_long(0), ctypes.c_long(1 << 20))()


answers = {
    "io_uring": outcome(call(IO_URING_SETUP, 4, 0)),
    "preallocate": outcome(preallocate),
    "user namespace": outcome(unshare(NEW_USER)),
    "network namespace": outcome(unshare(NEW_NETWORK)),
    "unix": outcome(lambda: socket.socket(socket.AF_UNIX).close()),
    "netlink": outcome(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()),
    "raw": outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()),
    "/run/lock": outcome(write("/run/lock/filled")),
    "127.0.0.1": outcome(connect("127.0.0.1", 8099)),
    "::1": outcome(connect("::1", 8099)),
    "127.0.0.53": outcome(connect("127.0.0.53", 8099)),
    **{f"room in {place}": room(place) for place in ("/tmp", "/var/tmp", "/dev/shm")},
    "greeting": os.environ.get("GREETING", ""),
}
pathlib.Path("probe.json").write_text(json.dumps(answers))
