"""Whether a worker's kernel has taken any of a request. If not, no program has seen it, and it may
be sent again.

A worker closes, and at the same moment a request is sent to it. Its kernel sends the end of the
stream and then answers the request with a reset (RFC 9293 §3.10.7.4: no program can read it any
more), and acknowledges none of its bytes. All three can be seen here: recv(2) returns the end and
not ECONNRESET; the socket's state is that after a reset; and the kernel still holds the whole
request as not acknowledged. If the reset came first, this proves nothing, because a program may
have read before it closed. Nor does an end without a reset, because the other end may still be
read. A Unix socket refuses such a request at once (EPIPE); for a request that it took there is no
such information.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Final

_CLOSED: Final = 7
"""TCP_CLOSE of the kernel's include/net/tcp_states.h: here only a reset leads to it, since we have
not closed."""


def is_untaken(sock: socket.socket, size: int) -> bool:
    """Whether none of `size` bytes, all that was sent since the last answer, was taken. Call it
    after recv(2) has returned an end."""
    if sock.family == socket.AF_UNIX:
        return False
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        (unacknowledged,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))  # SIOCOUTQ, tcp(7)
    except OSError:
        return False
    return bool(state == _CLOSED and unacknowledged == size)
