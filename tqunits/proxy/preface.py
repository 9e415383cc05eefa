"""The beginning of a trusted proxy's connection: a PROXY header, or none.

What is looked at stays where it is (MSG_PEEK) until it is known to belong to the header; then exactly the header is
taken, since a ClientHello may stand behind it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from tqunits.http.grammar import Malformed
from tqunits.http.proxy_protocol import may_begin, read
from tqunits.proxy.timers import Timed, Wheel

PEEK: Final = 8192
"""Bytes looked at: more than the longest header that is read."""

Done = Callable[["Preface", bytes | None, bytes], None]
"""Told the address that the proxy speaks for (None: it did not say; b"": itself), and what of the connection has been
taken already that was no header."""


class Preface(Timed):
    """One accepted connection until it is known for whom it speaks."""

    __slots__ = ("_done", "_gone", "_loop", "_sock", "_taken", "_ticks")

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        wheel: Wheel,
        *,
        done: Done,
        gone: Callable[[Preface], None],
    ) -> None:
        """`sock` is non-blocking. Exactly one of `done` and `gone` is called, once; after `gone` it is closed."""
        super().__init__(wheel)
        self._sock = sock
        self._loop = loop
        self._done = done
        self._gone = gone
        self._taken = b""
        self._ticks = 0

    def begin(self, idle_ticks: int, header_ticks: int) -> None:
        """Wait so long for the first byte, and so long from then on for the whole header."""
        self._ticks = header_ticks
        self.touch(idle_ticks)
        self._loop.add_reader(self._sock, self._on_readable)

    def drain(self) -> None:
        """The router stops: a peer that has said nothing yet loses nothing."""
        if not self._taken:
            self.close()

    def close(self) -> None:
        """Give it up."""
        self._leave()
        self._sock.close()
        self._gone(self)

    def expire(self) -> None:
        """Too slow."""
        self.close()

    def _on_readable(self) -> None:
        try:
            seen = self._sock.recv(PEEK, socket.MSG_PEEK)
            if not seen:
                self.close()
                return
            self._look_at(self._taken + seen, len(seen))
        except BlockingIOError:
            return
        except (OSError, Malformed):
            self.close()  # gone, or nobody knows what it speaks

    def _look_at(self, data: bytes, fresh: int) -> None:
        if not may_begin(data):
            self._finish(None, self._taken)
            return
        header = read(data)
        if header is None:  # all of it belongs to the header
            if not self._taken:
                self.touch(self._ticks)
            self._taken += self._sock.recv(fresh)
            return
        self._sock.recv(header.length - len(self._taken))
        self._finish(header.address, b"")

    def _finish(self, speaks_for: bytes | None, first: bytes) -> None:
        self._leave()
        self._done(self, speaks_for, first)

    def _leave(self) -> None:
        self.forget()
        self._loop.remove_reader(self._sock)
