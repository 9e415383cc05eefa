"""Whether the loop still tells what a socket has to say.

libuv gives one event of a socket with an error (a reset, above all) and stops watching it, however much is left to be
read before the error comes out (uv__poll_io in src/unix/poll.c); uvloop calls the reader once, and never again. So
whoever has read something and waits for more must ask, or waits for its time-out. asyncio's own loop goes on telling.
"""

from __future__ import annotations

import select
import socket
from typing import Final

_NOTHING_BUT_ERRORS: Final = 0

_poll: Final = select.poll()


def has_failed(sock: socket.socket) -> bool:
    """Whether there is an error or the end of both ways on it; asked without taking it, as SO_ERROR would. 1 us."""
    descriptor = sock.fileno()
    _poll.register(descriptor, _NOTHING_BUT_ERRORS)
    try:
        return bool(_poll.poll(0))
    finally:
        _poll.unregister(descriptor)
