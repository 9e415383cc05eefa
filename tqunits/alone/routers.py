"""Asks the router's processes about one instance, at their leave sockets: DIR/N/leave.sock, which
every local user may use.

    GET /serving/api?wait_us=5000000 HTTP/1.1

A process looks at the instance's file `serving` itself. If the file is gone, it answers when none
of its requests is in flight there, or when the time is over. So a question only makes a process
look at the file, and gives the asker no power.
"""

from __future__ import annotations

import _socket as socket
import errno
import os
import select
import time

_MAX_ANSWER = 4096
_PAUSE_S = 0.02  # before a process that turned a question down is asked again
_SEND_S = 1.0  # for sending the question; a process that hangs is not waited for
_TURN_S = 30.0  # the longest time until an answer; then the process is asked again
_GRACE_S = 0.3  # for the answer of a process after the whole time is over
_BUSY = (errno.EAGAIN, errno.ECONNRESET, errno.EPIPE)


def tell(folder: str, name: str) -> None:
    """Make every process look at the file now. Their answers do not matter here."""
    for path in _sockets(folder):
        _close(_asked(path, name, 0.0))


def wait(folder: str, name: str, seconds: float, process: int = -1) -> int:
    """Wait until no router process has a request at the instance. Returns how many still have one
    when the time is over.

    `process`: a pidfd of the worker, or -1. When it has ended, the wait ends.
    """
    deadline = time.monotonic() + seconds
    asked = {path: _asked(path, name, seconds) for path in _sockets(folder)}
    while waiting := {path: sock for path, sock in asked.items() if sock is not None}:
        left = deadline + _GRACE_S - time.monotonic()
        ready = _ready([sock.fileno() for sock in waiting.values()], process, left)
        if process in ready:
            return 0
        if not ready or left <= _GRACE_S:
            return sum(sock.fileno() not in ready or not _is_done(_answer(sock)) for sock in waiting.values())
        for path, sock in waiting.items():
            if sock.fileno() in ready:
                asked[path] = _next(path, name, sock, deadline)
    return 0


def _next(path: str, name: str, sock: socket.socket, deadline: float) -> socket.socket | None:
    """The connection of the next question; None: this process is done."""
    answer = _answer(sock)
    sock.close()
    if _is_done(answer):
        return None
    left = max(0.0, deadline - time.monotonic())
    if b'"in_flight":' not in answer:  # turned down, or cut off
        time.sleep(min(_PAUSE_S, left))
    return _asked(path, name, left)


def _answer(sock: socket.socket) -> bytes:
    try:
        return sock.recv(_MAX_ANSWER)
    except OSError:
        return b""


def _is_done(answer: bytes) -> bool:
    """Whether the process has no request at the instance, or still sees its file `serving`, which
    waiting would not change."""
    return b'"in_flight": 0' in answer or b'"serving": true' in answer


def _asked(path: str, name: str, seconds: float) -> socket.socket | None:
    """A connection on which the question was sent; None when no router process listens there."""
    wait_us = int(min(seconds, _TURN_S) * 1e6)
    question = f"GET /serving/{name}?wait_us={wait_us} HTTP/1.1\r\nHost: router\r\n\r\n"
    deadline = time.monotonic() + _SEND_S
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_SEND_S)
        try:
            sock.connect(path)
            sock.send(question.encode("ascii"))  # fits every socket buffer: never sent in part
        except OSError as error:
            sock.close()
            if error.errno not in _BUSY or time.monotonic() >= deadline:
                return None
            time.sleep(_PAUSE_S)
        else:
            return sock


def _sockets(folder: str) -> list[str]:
    try:
        return [f"{folder}/{process}/leave.sock" for process in sorted(os.listdir(folder))]  # noqa: PTH208 - as cheap
    except OSError:
        return []  # no router runs


def _ready(descriptors: list[int], process: int, seconds: float) -> list[int]:
    poll = select.poll()
    for descriptor in [*descriptors, process] if process >= 0 else descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)]


def _close(sock: socket.socket | None) -> None:
    if sock is not None:
        sock.close()
