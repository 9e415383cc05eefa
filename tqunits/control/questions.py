"""Asks at control sockets, and the router's processes for their state.

Ask only processes that run: a connection to the socket of a stopped process would start it.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from tqunits.control import protocol
from tqunits.control.protocol import Doing
from tqunits.layout import Layout
from tqunits.units import name

TIMEOUT_S = 5.0
"""For an answer that needs no wait."""

_TIMEVAL = struct.Struct("ll")


class Unanswered(Exception):
    """A server has taken the request, and ended or was silent before its answer was whole."""


def ask(unit: str, layout: Layout) -> Mapping[str, Doing] | None:
    """For each worker in its routes, its state in this process; None when the process does not
    answer."""
    answer = _status(unit, layout)
    return None if answer is None else protocol.doing(answer)


def release(unit: str, layout: Layout) -> str | None:
    """The release whose code this process runs; None when it does not say."""
    answer = _status(unit, layout)
    return None if answer is None else protocol.release(answer)


def _status(unit: str, layout: Layout) -> bytes | None:
    return answer(Path(layout.control_socket(name.process_of(unit))), protocol.STATUS)


def answer(path: Path, target: str, *, patience: float = TIMEOUT_S) -> bytes | None:
    """The body of the answer at a control socket; None when there is none, or a refusal.

    `patience`: seconds in all.
    """
    try:
        found = exchange(path, protocol.question(target), patience=patience)
    except Unanswered:
        return None
    return found[1] if found is not None and found[0] == 200 else None


def exchange(path: Path, request: bytes, *, patience: float) -> tuple[int, bytes] | None:
    """The status and the body of the answer to a request; None when nobody has taken it. Raises
    Unanswered when somebody has, and has not answered.

    `patience`: seconds in all. (The import of http.client takes 27 ms of CPU.)
    """
    deadline = time.monotonic() + patience
    try:
        pending = PendingAnswer(path, request, patience)
    except OSError:
        return None
    with pending:
        found = pending.whole(deadline - time.monotonic())
    if found is None:
        raise Unanswered
    return found


class PendingAnswer:
    """The answer to a question that is sent here. The descriptor is readable when the answer comes,
    and when the other side goes without one. Use it in a `with`, or close it."""

    def __init__(self, path: Path, request: bytes, patience: float = TIMEOUT_S) -> None:
        """Raises OSError: nobody has taken the request, or not all of it."""
        self._peer = socket.socket(socket.AF_UNIX)
        try:
            _connect(self._peer, path)
            self._peer.settimeout(patience)
            self._peer.sendall(request)
        except OSError:
            self._peer.close()
            raise

    def __enter__(self) -> PendingAnswer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._peer.fileno()

    def whole(self, patience: float = TIMEOUT_S) -> tuple[int, bytes] | None:
        """The status and the body; None when there is no answer within so many seconds."""
        try:
            received = _received(self._peer, time.monotonic() + patience)
        except OSError:
            return None
        return protocol.answered(received) if received is not None else None

    def answer(self) -> bytes | None:
        """The body of an answer that has come; None for a refusal, and when there is none."""
        found = self.whole()
        return found[1] if found is not None and found[0] == 200 else None

    def close(self) -> None:
        """Ask no more; a second call does nothing."""
        self._peer.close()


def _connect(peer: socket.socket, path: Path) -> None:
    """With a time limit of the kernel's: a socket that does not block is refused (EAGAIN) while
    many wait to be accepted."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(TIMEOUT_S), 0))
    peer.connect(str(path))


def _received(peer: socket.socket, deadline: float) -> bytes | None:
    """Read to the end, which the server makes after each answer. Raises OSError."""
    found = bytearray()
    while (left := deadline - time.monotonic()) > 0:
        peer.settimeout(left)
        more = peer.recv(65536)
        if not more:
            return bytes(found)
        found += more
        if len(found) > protocol.MAX_RECEIVED:
            return None
    return None
