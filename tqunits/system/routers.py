"""The router's processes, asked at their control sockets what they do (proxy/commands.py has the other end).

Only those that run are asked: a question at the socket of one that is stopped would start it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tqunits.model import Layout

_TIMEOUT_S = 5.0

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer: a router runs as another user, and root does not read without end what it says."""

_NO_ANSWER = (
    *(OSError, HTTPException),
    *(ValueError, RecursionError, LookupError, TypeError, AttributeError, ArithmeticError),  # whatever it has sent
)


@dataclass(frozen=True, slots=True)
class Doing:
    """What a process says of a worker."""

    order: str  # that it carries out; "" for none
    in_flight: int  # requests that have begun there


def ask(unit: str, layout: Layout) -> Mapping[str, Doing] | None:
    """What a process says of each worker of its routes; None where it does not answer."""
    number = unit.partition("@")[2].removesuffix(".service")
    try:
        text = _status(Path(layout.runtime) / "proxy" / number / "control.sock")
        document = json.loads(text)
        orders = document["orders"]
        return {w["name"]: Doing(orders.get(w["name"], ""), int(w["in_flight"])) for w in document["workers"]}
    except _NO_ANSWER:
        return None


def _status(path: Path) -> bytes:
    connection = _Connection(path)
    try:
        connection.request("GET", "/status")
        text = connection.getresponse().read(MAX_ANSWER + 1)
        if len(text) > MAX_ANSWER:
            raise ValueError(f"{path}: longer than {MAX_ANSWER} bytes")
        return text
    finally:
        connection.close()


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("router", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))
