"""TLS over a connection: a raw socket on one side, on the other what `stream.Stream` knows a socket
by.

OpenSSL reads and writes memory (SSL_set_bio), and the socket stays ours: readiness, close, reset
and half-close mean what they mean without TLS. (ssl.SSLSocket takes the descriptor, says plaintext
after shutdown(), and gives one record per recv.) Measured against it: the same for small requests,
5 us more than without TLS; for large responses a little less processor time, four records in one
send; for large requests a tenth more, for the copy into that memory.

The contract is the plain socket's, readiness included, so that nothing else has to know:

* recv gives everything that one read of the socket held, however many records that was. Nothing
  decrypted is ever left behind that the kernel would not announce. Half a record is
  BlockingIOError: its other half will be announced.
* After the client's close_notify recv gives b"" for ever, and the socket is shut for reading, so
  the kernel says readable: whoever has the data that came just before will be called again for the
  end.
* An end without close_notify is an error (RFC 8446 §6.1): somebody may have cut the stream.
* send gives how many bytes it has taken, and wants the rest again, the same bytes first. They may
  be encrypted by then, so the count follows what the kernel took of the ciphertext, and the last
  byte counts when the kernel has it all.
* send never waits for a read, nor recv for a write: renegotiation is off, and OpenSSL answers a
  KeyUpdate (RFC 8446 §4.6.3) with the next write. The exceptions that would say so
  (SSLWantReadError, SSLWantWriteError) are OSErrors and no BlockingIOErrors, so a connection that
  came to it would end, not spin.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from enum import Enum
from typing import Final

from tqunits.proxy.transport.stream import RECEIVE

HELLO: Final = b"\x16"
"""The first byte of every TLS connection: a record of the type handshake (RFC 8446 §5.1). No token
has it (RFC 9110 §5.6.2) and no line end, so no HTTP request begins with it."""

RECORD: Final = 16 * 1024
"""The most that one record holds (RFC 8446 §5.1); and what a handshake reads at once."""

CHUNK: Final = RECEIVE
"""What is encrypted at once: as much as a stream hands on at once. Encrypted, it waits here for the
kernel."""

MAX_WAITING: Final = 2 * CHUNK
"""Ciphertext that waits for the kernel: a chunk, and OpenSSL's own words (alerts) to a client that
asks for them and does not read them. Beyond it the client is cut."""


class Step(Enum):
    """What a handshake waits for."""

    DONE = 1
    READ = 2
    WRITE = 3


class _Memories:
    """What OpenSSL reads from and writes to: one pair for all connections of the process.

    A memory keeps the size of the largest write it ever saw, 87 KiB after one large body, for as
    long as the connection idles. So they are shared, which is right as long as every call leaves
    both empty: what OpenSSL has not taken belongs to one connection only.
    """

    __slots__ = ("incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()


_MEMORIES: Final = _Memories()


class Secured:
    """The server's end of one TLS connection."""

    __slots__ = (
        "_early",
        "_ended",
        "_incoming",
        "_is_open",
        "_outgoing",
        "_owed",
        "_read",
        "_rest",
        "_sock",
        "_tls",
        "received",
    )

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """`sock` is connected and non-blocking, and nothing has been read from it (but by
        MSG_PEEK)."""
        self._sock = sock
        self._incoming = _MEMORIES.incoming
        self._outgoing = _MEMORIES.outgoing
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._read = self._tls.read
        self._is_open = False  # the handshake is done
        self._ended = False  # the client has said close_notify
        self._early = b""  # received with the end of the handshake, not decrypted yet
        self._rest = b""  # encrypted, not taken by the kernel yet
        self.received = 0  # bytes of ciphertext
        self._owed = 0  # bytes given to `send` that are in `_rest`, and not yet said to be taken

    def handshake(self) -> Step:
        """Go on with the handshake; again when the socket is as the step says. Raises OSError: it
        has failed.

        After DONE the first request may be here already: `recv` is to be tried at once.
        """
        if not self._push():
            return Step.WRITE
        if not self._is_open:
            try:
                self._receive_handshake(self._sock.recv(RECORD))
            except BlockingIOError:
                return Step.READ
            if not self._push():
                return Step.WRITE
        return Step.DONE if self._is_open else Step.READ

    def recv(self, size: int) -> bytes:
        """What the client has sent, decrypted; `size` bounds what is taken from the socket, as it
        bounds the result.

        Raises BlockingIOError when nothing whole is there, OSError when the connection is broken or
        was cut.
        """
        if self._ended:
            return b""
        raw = self._early or self._sock.recv(size)
        if not raw:
            raise ConnectionResetError("the end of the stream without close_notify")
        self._early = b""
        self.received += len(raw)
        self._incoming.write(raw)
        try:
            data = self._read(RECORD)
            if self._incoming.pending or not data:
                data = self._gather(data)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLZeroReturnError:  # Python's word for close_notify once both sides have said it
            self._end()
            return b""
        except ssl.SSLError:
            self._say_why()
            raise
        finally:
            if self._outgoing.pending or self._incoming.pending:
                self._leave()
        return data

    def send(self, data: bytes) -> int:
        """Encrypt and send; gives how many bytes are taken. The rest is to be given again, first
        and unchanged.

        Raises BlockingIOError when the kernel takes nothing, OSError when the connection is broken.
        """
        if self._rest or self._owed:
            return self._send_on(data)
        size = len(data)
        if size > CHUNK:
            size, data = CHUNK, data[:CHUNK]
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self._say_why()
            raise
        record = self._outgoing.read()
        try:
            taken = self._sock.send(record)
        except BlockingIOError:
            taken = 0
        if taken == len(record):
            return size
        self._rest = record[taken:]
        self._owed = size
        return self._pay(taken)

    def shutdown(self, how: int) -> None:
        """End the sending side (`how` is SHUT_WR): close_notify, then the socket's own; reading
        goes on.

        To be called when everything sent is taken. A client that cuts its own side off before may
        miss the close_notify: then what ended looks cut, never the reverse. Raises OSError like the
        socket's.
        """
        with contextlib.suppress(ssl.SSLError):  # it wants the client's close_notify, which recv will meet
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._sock.send(self._rest + self._outgoing.read())
        self._rest = b""
        self._sock.shutdown(how)

    def _receive_handshake(self, raw: bytes) -> None:
        if not raw:
            raise ConnectionResetError("the end of the stream in the handshake")
        self._incoming.write(raw)
        try:
            self._tls.do_handshake()
            self._is_open = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._say_why()
            raise
        self._early = self._incoming.read()
        self._rest = self._outgoing.read()

    def _gather(self, data: bytes) -> bytes:
        """The records behind the first one, and the end if it is there."""
        parts = [data]
        try:
            while parts[-1] and self._incoming.pending:
                parts.append(self._read(RECORD))
        except ssl.SSLWantReadError:
            pass  # half a record
        except ssl.SSLZeroReturnError:
            parts.append(b"")
        if not parts[-1]:
            self._end()
        return b"".join(parts)

    def _end(self) -> None:
        """The client's close_notify: nothing counts behind it."""
        self._ended = True
        with contextlib.suppress(OSError):  # the client may be gone already
            self._sock.shutdown(socket.SHUT_RD)

    def _send_on(self, data: bytes) -> int:
        before = len(self._rest)
        if not self._push():
            return self._pay(before - len(self._rest))
        if not self._owed:
            return self.send(data)
        owed, self._owed = self._owed, 0
        return owed

    def _pay(self, taken: int) -> int:
        """Bytes to report for so many of the ciphertext: all but one, until everything is out."""
        paid = min(taken, self._owed - 1)
        if paid <= 0:
            raise BlockingIOError
        self._owed -= paid
        return paid

    def _push(self) -> bool:
        """Send what waits; whether nothing does any more."""
        if not self._rest:
            return True
        try:
            self._rest = self._rest[self._sock.send(self._rest) :]
        except BlockingIOError:
            return False
        return not self._rest

    def _leave(self) -> None:
        """Leave the memory empty for the next connection. Nobody waits for what OpenSSL has to say
        of its own: what can not go now goes with the next send."""
        self._early = self._incoming.read()
        self._rest += self._outgoing.read()
        if not self._push() and len(self._rest) > MAX_WAITING:
            raise ConnectionResetError("the client does not read what it asks for")

    def _say_why(self) -> None:
        """The alert of a connection that is over, if there is one and room for it."""
        self._incoming.read()
        alert = self._outgoing.read()
        if not self._rest:
            with contextlib.suppress(OSError):
                self._sock.send(alert)
