"""Where a collector such as Prometheus asks for the metrics: GET /metrics at a loopback address
(`manager.metrics`).

Everybody on this host may connect, and a TCP socket does not tell who he is. So there are numbers
and names only, never a cause or an answer of a worker; a client gets little time, and there are few
at once. An address that another program has is tried again, and the manager runs on meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from tqunits.control import protocol
from tqunits.control.protocol import Problem
from tqunits.control.server import LocalServer
from tqunits.http.head import RequestHead
from tqunits.metrics.openmetrics import CONTENT_TYPE

PATH: Final = "/metrics"

MAX_CLIENTS: Final = 16
"""Connections at once: each holds one text, which is some 1 MB with 300 workers."""

PATIENCE_S: Final = 3.0
"""For a request, and for reading the answer. A collector sends its request at once."""

RETRY_S: Final = 10.0
"""Between two attempts to get the address."""


class MetricsEndpoint:
    """The server of the metrics. Its methods run on the event loop."""

    def __init__(
        self,
        address: str,
        text: Callable[[], Awaitable[bytes]],
        say: Callable[[str], None],
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        """`address`: 127.0.0.1:PORT or [::1]:PORT."""
        self._address = address
        self._text = text
        self._say = say
        self._retry_s = retry_s
        self._is_said = False
        self._server: LocalServer | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen, now or as soon as the address is free."""
        try:
            sock = _bound(self._address)
        except OSError as error:
            self._wait(error)
            return
        self._server = LocalServer(
            sock,
            self._answer,
            mode=0,
            max_clients=MAX_CLIENTS,
            patience=PATIENCE_S,
            max_body=protocol.MAX_QUESTION,
        )
        await self._server.start()
        if self._is_said:
            self._say(f"metrics are at {self._address} now")

    def close(self) -> None:
        """Listen no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()

    def _wait(self, error: OSError) -> None:
        if not self._is_said:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            self._say(
                f"manager.metrics: {self._address}: {reason}; there are no metrics until it is free: "
                "'ss -ltnp' tells who has it"
            )
        self._is_said = True
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._retry_s, self._again)

    def _again(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self.start())

    async def _answer(self, head: RequestHead, _: bytes, __: int) -> tuple[str, bytes]:
        if head.target.partition(b"?")[0] != PATH.encode():
            raise Problem(404, f"there is GET {PATH}")
        if head.method != b"GET":
            raise Problem(405, "use GET")
        return CONTENT_TYPE, await self._text()


def _bound(address: str) -> socket.socket:
    """A socket that is bound to this address. Raises OSError."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a restart of the manager
        sock.bind((host.strip("[]"), int(port)))
        sock.listen(MAX_CLIENTS)  # fails where another program listens already
    except OSError:
        sock.close()
        raise
    return sock
