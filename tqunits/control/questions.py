"""Asks the router's processes for their state, at their control sockets.

Ask only processes that run: a connection to the socket of a stopped process would start it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tqunits.control import protocol
from tqunits.control.protocol import Doing
from tqunits.layout import Layout
from tqunits.units import name

TIMEOUT_S = 5.0
"""For an answer that needs no wait."""

_OK = 200
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
    """The body of the answer at a control socket; None when there is none, or a refusal."""
    connection = _LocalConnection(path, patience)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        found = response.read(protocol.MAX_ANSWER + 1)
    except (OSError, HTTPException, ValueError):  # any invalid answer
        return None
    finally:
        connection.close()
    return found if response.status == _OK and len(found) <= protocol.MAX_ANSWER else None


class _LocalConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("router", timeout=patience)
        self._path = path

    def connect(self) -> None:
        """With a time limit of the kernel's: a socket that does not block is refused (EAGAIN) while
        many wait to be accepted."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(TIMEOUT_S), 0))
        self.sock.connect(str(self._path))
        self.sock.settimeout(self.timeout)
