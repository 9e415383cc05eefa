"""The beginning of a trusted proxy's connection: a PROXY header, or none.

Data is only peeked at (MSG_PEEK) until it is known to belong to the header. Then exactly the header
is read, because a ClientHello may follow.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from tqunits.http.grammar import Malformed
from tqunits.http.proxy_protocol import may_begin, read
from tqunits.proxy.front.arrival import Arrival
from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Wheel

PEEK: Final = 8192
"""Bytes that are peeked at: more than the longest header that is accepted."""

Done = Callable[["Preface", bytes | None, bytes], None]
"""Gets the client's address from the header (None: there was none; b"": the proxy itself), and what
was read already and is no header."""


class Preface(Arrival):
    """One accepted connection until its PROXY header is read."""

    __slots__ = ("_done", "_taken")

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        wheel: Wheel,
        *,
        ticks: int,
        done: Done,
        gone: Callable[[Arrival], None],
    ) -> None:
        super().__init__(sock, poller, wheel, ticks=ticks, gone=gone)
        self._done = done
        self._taken = b""

    def on_readable(self) -> None:
        try:
            seen = self.sock.recv(PEEK, socket.MSG_PEEK)
            if not seen:
                self.close()
                return
            self._look_at(self._taken + seen, len(seen))
        except BlockingIOError:
            return
        except (OSError, Malformed):
            self.close()  # gone, or of an unknown protocol

    def _look_at(self, data: bytes, fresh: int) -> None:
        if not may_begin(data):
            self._finish(None, self._taken)
            return
        header = read(data)
        if header is None:  # all of it belongs to the header
            self.began()
            self._taken += self.sock.recv(fresh)
            return
        self.sock.recv(header.length - len(self._taken))
        self._finish(header.address, b"")

    def _finish(self, speaks_for: bytes | None, first: bytes) -> None:
        self.leave()
        self._done(self, speaks_for, first)
