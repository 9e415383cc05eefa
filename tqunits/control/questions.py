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

    `patience`: seconds in all. (The import of http.client takes 27 ms of CPU.)
    """
    deadline = time.monotonic() + patience
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            _connect(peer, path)
            peer.settimeout(patience)
            peer.sendall(protocol.question(target))
            return _body(peer, deadline)
    except OSError:
        return None


def _connect(peer: socket.socket, path: Path) -> None:
    """With a time limit of the kernel's: a socket that does not block is refused (EAGAIN) while
    many wait to be accepted."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(TIMEOUT_S), 0))
    peer.connect(str(path))


def _body(peer: socket.socket, deadline: float) -> bytes | None:
    """Read to the end, which the server makes after each answer. Raises OSError."""
    found = bytearray()
    while (left := deadline - time.monotonic()) > 0:
        peer.settimeout(left)
        more = peer.recv(65536)
        if not more:
            return protocol.body_of(bytes(found))
        found += more
        if len(found) > protocol.MAX_RECEIVED:
            return None
    return None
