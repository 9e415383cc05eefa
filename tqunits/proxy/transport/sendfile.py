"""A file on its way to a client: sendfile(2) on a plain connection, in pieces through TLS.

The client's connection is the only reader of the file and the only writer of the socket: what it has not taken yet
(`outbox`) goes first, so this begins when that is empty and goes on when it is again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tqunits.proxy.reactor.watched import Watched

if TYPE_CHECKING:
    from tqunits.proxy.downstream.client import Client
    from tqunits.proxy.routes.site import Answer

MAX_TURN: Final = 1024 * 1024
"""Bytes per turn of the loop, so that one large file does not hold up everybody else."""

PIECE: Final = 64 * 1024


class FileBody(Watched):
    """What is left to be sent of one file."""

    __slots__ = ("_at_once", "_client", "_descriptor", "_left", "_offset", "_writing")

    def __init__(self, client: Client, answer: Answer) -> None:
        self._client = client
        self._descriptor = answer.descriptor
        self._offset = answer.offset
        self._left = answer.length if answer.descriptor >= 0 else 0
        self._writing = False  # it is told when the socket takes more
        self._at_once = True

    def begin(self, head: bytes) -> bool:
        """Send the head and what goes out at once; whether that was all. If not, the client is told of the end."""
        if not self._client.write_out(head):
            return False  # gone, and with it this
        if not self._client.outbox:
            self.go_on()
        self._at_once = False
        return not self._left and not self._client.closed and not self._client.outbox

    def go_on(self) -> None:
        """The client has taken what waited: send more."""
        client, before = self._client, self._left
        try:
            while self._left and before - self._left < MAX_TURN and not client.outbox:
                sent = self._send()
                if not sent:
                    client.cut("a static file has become shorter")
                    return
                self._offset += sent
                self._left -= sent
        except BlockingIOError:
            self._await_room()
        except OSError:
            client.abort()
            return
        if client.closed:
            return
        client.account.sent += before - self._left
        client.moved()
        if not self._left:
            self._finish()
        elif not client.outbox and not self._writing:
            self._await_room()

    def close(self) -> None:
        """No more of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._writing and not self._client.closed:
            self._client.poller.remove_writer(self._client.sock)
        self._left = 0

    def _send(self) -> int:
        """Bytes that are out or wait in the outbox; 0: the file has no more. Raises OSError."""
        client = self._client
        if client.secured is None:
            return os.sendfile(client.sock.fileno(), self._descriptor, self._offset, min(self._left, MAX_TURN))
        data = os.pread(self._descriptor, min(self._left, PIECE), self._offset)
        if data:
            client.write_out(data)
        return len(data)

    def _await_room(self) -> None:
        if not self._writing:
            self._writing = True
            self._client.poller.add_writer(self._client.sock, self)

    def on_writable(self) -> None:
        if self._client.secured is not None:  # its own writer empties the outbox
            self._writing = False
            self._client.poller.remove_writer(self._client.sock)
        self.go_on()

    def on_fault(self) -> None:
        """A call of ours has failed."""
        self._client.on_fault()

    def _finish(self) -> None:
        self.close()
        self._writing = False
        if not self._at_once:
            self._client.file_sent()
