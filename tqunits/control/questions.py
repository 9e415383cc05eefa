"""Asks the router's processes for their state, at their control sockets.

Ask only processes that run: a connection to the socket of a stopped process would start it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tqunits.control import protocol
from tqunits.control.protocol import Doing
from tqunits.layout import Layout
from tqunits.units import name

_TIMEOUT_S = 5.0


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
    return _answer(Path(layout.control_socket(name.process_of(unit))), protocol.STATUS)


def _answer(path: Path, target: str) -> bytes | None:
    connection = _LocalConnection(path)
    try:
        connection.request("GET", target)
        answer = connection.getresponse().read(protocol.MAX_ANSWER + 1)
    except (OSError, HTTPException, ValueError):  # any invalid answer
        return None
    finally:
        connection.close()
    return answer if len(answer) <= protocol.MAX_ANSWER else None


class _LocalConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("router", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))
