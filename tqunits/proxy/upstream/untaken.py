"""Whether a worker's kernel took any of a request: if it did not, no program has seen it, and it
may be sent again.

A worker closes, and at the same moment a request leaves for it. Its kernel answers the end of the
stream first and a reset to the request (RFC 9293 §3.10.7.4: nobody can read it any more), and
acknowledges nothing of it. All three are seen here: recv(2) gives the end and not ECONNRESET, the
socket's state is that after a reset, and what the kernel still holds as not acknowledged is the
whole request. An end whose reset came first says nothing, for a program may have read before it
closed; nor does one without a reset, whose other end may be read still. A Unix socket refuses such
a request at once (EPIPE), and of one that it took it keeps no account.
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
    """Whether none of `size` bytes, all that was sent since the last answer, was taken. After
    recv(2) gave an end."""
    if sock.family == socket.AF_UNIX:
        return False
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        (unacknowledged,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))  # SIOCOUTQ, tcp(7)
    except OSError:
        return False
    return bool(state == _CLOSED and unacknowledged == size)
