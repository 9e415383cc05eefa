"""Asks the router's processes about one worker, at their leave sockets: DIR/N/leave.sock, open to
every local user.

    GET /serving/api?wait_us=5000000 HTTP/1.1

A process looks at the worker's file `serving` itself, and answers when none of its requests is in
flight at a worker whose file is gone, or when the time is over. So to ask tells it when to look,
and nothing else.
"""

from __future__ import annotations

import _socket as socket
import errno
import os
import select
import time

_MAX_ANSWER = 4096
_PAUSE_S = 0.02  # until a process that turned a question down is asked again
_SEND_S = 1.0  # to be asked takes no longer; a process that stands still is not waited for
_TURN_S = 30.0  # a process answers after so long at most, and is asked again
_GRACE_S = 0.3  # for the answer of a process that has waited for all the time there was
_BUSY = (errno.EAGAIN, errno.ECONNRESET, errno.EPIPE)


def tell(folder: str, name: str) -> None:
    """Have every process look at the worker's file now; what they find does not matter here."""
    for path in _sockets(folder):
        _close(_asked(path, name, 0.0))


def wait(folder: str, name: str, seconds: float, process: int = -1) -> int:
    """Wait until no router process has a request at the worker; gives how many still have, when the
    time is over.

    `process`: a pidfd of the worker, or -1; there is nothing to wait for when it has ended.
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
    """None: this process is done. Else the connection of the next question."""
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
    """Whether the process has no request at the worker, or believes that it serves, which waiting
    does not change."""
    return b'"in_flight": 0' in answer or b'"serving": true' in answer


def _asked(path: str, name: str, seconds: float) -> socket.socket | None:
    """A connection on which the question has been sent; None where no router process runs."""
    wait_us = int(min(seconds, _TURN_S) * 1e6)
    question = f"GET /serving/{name}?wait_us={wait_us} HTTP/1.1\r\nHost: router\r\n\r\n"
    deadline = time.monotonic() + _SEND_S
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_SEND_S)
        try:
            sock.connect(path)
            sock.send(question.encode("ascii"))  # fits any socket buffer: no partial sends
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
