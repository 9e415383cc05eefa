"""Sends a file to a client: with sendfile(2) on a plain connection, in pieces through TLS.

The client's connection alone reads the file and writes to the socket. Data in its `outbox` goes
first, so sending begins when that is empty, and goes on each time when it is empty again.
"""

from __future__ import annotations

import os
from typing import Final

from tqunits.proxy.reactor.watched import Watched
from tqunits.proxy.transport.roles import Mover
from tqunits.proxy.transport.stream import Stream

MAX_TURN: Final = 1024 * 1024
"""Bytes per turn of the loop, so that one large file does not hold up everybody else."""

PIECE: Final = 64 * 1024


class FileBody(Watched):
    """The rest of one file that is being sent."""

    __slots__ = ("_at_once", "_descriptor", "_left", "_mover", "_offset", "_stream", "_writing")

    def __init__(self, stream: Stream, mover: Mover, descriptor: int, offset: int, length: int) -> None:
        """Takes over `descriptor`; a negative one means no file, only a head."""
        self._stream = stream
        self._mover = mover
        self._descriptor = descriptor
        self._offset = offset
        self._left = length if descriptor >= 0 else 0
        self._writing = False  # it waits for room in the socket
        self._at_once = True

    def begin(self, head: bytes) -> bool:
        """Send the head and what can be sent at once; returns whether that was all. If not, the
        exchange is told of the end."""
        if not self._mover.write_out(head):
            return False  # the client is gone, and this object with it
        if not self._stream.outbox:
            self.go_on()
        self._at_once = False
        return not self._left and not self._stream.closed and not self._stream.outbox

    def go_on(self) -> None:
        """The outbox is empty: send more."""
        stream, mover, before = self._stream, self._mover, self._left
        try:
            while self._left and before - self._left < MAX_TURN and not stream.outbox:
                sent = self._send()
                if not sent:
                    mover.cut("a static file has become shorter")
                    return
                self._offset += sent
                self._left -= sent
        except BlockingIOError:
            self._await_room()
        except OSError:
            mover.abort()
            return
        if stream.closed:
            return
        mover.sent(before - self._left)
        mover.moved()
        if not self._left:
            self._finish()
        elif not stream.outbox and not self._writing:
            self._await_room()

    def close(self) -> None:
        """Stop sending, and close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._writing and not self._stream.closed:
            self._stream.poller.remove_writer(self._stream.sock)
        self._left = 0

    def _send(self) -> int:
        """Bytes that were sent or wait in the outbox; 0: the file has no more. Raises OSError."""
        stream = self._stream
        if stream.wire is stream.sock:
            return os.sendfile(stream.sock.fileno(), self._descriptor, self._offset, min(self._left, MAX_TURN))
        data = os.pread(self._descriptor, min(self._left, PIECE), self._offset)
        if data:
            self._mover.write_out(data)
        return len(data)

    def _await_room(self) -> None:
        if not self._writing:
            self._writing = True
            self._stream.poller.add_writer(self._stream.sock, self)

    def on_writable(self) -> None:
        if self._stream.wire is not self._stream.sock:  # TLS: the stream's own writer empties the outbox
            self._writing = False
            self._stream.poller.remove_writer(self._stream.sock)
        self.go_on()

    def on_fault(self) -> None:
        """A call of ours has failed."""
        self._stream.on_fault()

    def _finish(self) -> None:
        self.close()
        self._writing = False
        if not self._at_once:
            self._mover.file_sent()
