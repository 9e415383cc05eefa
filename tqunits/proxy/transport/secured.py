"""TLS over a connection: it wraps a raw socket, and offers the methods that `stream.Stream` uses of
a socket.

OpenSSL reads and writes memory (SSL_set_bio), and we keep the socket: readiness, close, reset and
half-close mean the same as without TLS. (ssl.SSLSocket takes the descriptor, sends plaintext after
shutdown(), and returns one record per recv.) Measured against it: the same for small requests, 5 us
more than without TLS; for large responses a little less processor time, four records in one send;
for large requests a tenth more, for the copy into that memory.

The contract is that of a plain socket, including readiness, so that callers need not know the
difference:

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
"""Bytes that are encrypted at once: what a stream hands on at once. The result waits here until the
kernel takes it."""

MAX_WAITING: Final = 2 * CHUNK
"""Encrypted bytes that wait for the kernel: a chunk, and OpenSSL's own messages (alerts) to a
client that provokes them and does not read them. Beyond it the client is cut off."""


class Step(Enum):
    """What a handshake waits for."""

    DONE = 1
    READ = 2
    WRITE = 3


class _Memories:
    """The memory that OpenSSL reads from and writes to: one pair for all connections of the
    process.

    A memory BIO keeps the size of its largest write, 87 KiB after one large body, as long as a
    connection exists. So one pair is shared. This is correct because every call leaves both empty:
    data that OpenSSL has not taken stays with its connection.
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
        """`sock` is connected and non-blocking, and nothing was read from it (except by
        MSG_PEEK)."""
        self._sock = sock
        self._incoming = _MEMORIES.incoming
        self._outgoing = _MEMORIES.outgoing
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._read = self._tls.read
        self._is_open = False  # whether the handshake is done
        self._ended = False  # the client has sent close_notify
        self._early = b""  # received with the end of the handshake, still encrypted
        self._rest = b""  # encrypted bytes that the kernel has not taken yet
        self.received = 0  # bytes of ciphertext
        self._owed = 0  # bytes given to `send` that are in `_rest`, and not reported as taken yet

    def handshake(self) -> Step:
        """Go on with the handshake. Call again when the socket is ready for the returned step.
        Raises OSError: it has failed.

        After DONE the first request may be here already: call `recv` at once.
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
        """The client's data, decrypted. `size` bounds what is read from the socket, and so the
        result.

        Raises BlockingIOError when no complete record is here, OSError when the connection is
        broken or was cut.
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
        except ssl.SSLZeroReturnError:  # Python raises it for close_notify after both sides have sent it
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
        """Encrypt and send; returns how many bytes are taken. Give the rest again, unchanged and
        first.

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
        """End the sending side (`how` is SHUT_WR): close_notify, then the socket's shutdown;
        reading goes on.

        Call it when everything is sent. A client that ended its own side before may miss the
        close_notify: then a complete stream looks cut, never the reverse. Raises OSError like the
        socket's.
        """
        with contextlib.suppress(ssl.SSLError):  # it waits for the client's close_notify, which recv will read
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
        """The records after the first one, and the end if it is there."""
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
        """The client's close_notify: nothing after it counts."""
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
        """How many bytes to report for so much ciphertext: all but one, until everything is
        sent."""
        paid = min(taken, self._owed - 1)
        if paid <= 0:
            raise BlockingIOError
        self._owed -= paid
        return paid

    def _push(self) -> bool:
        """Send what waits; returns whether nothing waits any more."""
        if not self._rest:
            return True
        try:
            self._rest = self._rest[self._sock.send(self._rest) :]
        except BlockingIOError:
            return False
        return not self._rest

    def _leave(self) -> None:
        """Empty the memory for the next connection. OpenSSL's own messages are not urgent: what can
        not be sent now goes with the next send."""
        self._early = self._incoming.read()
        self._rest += self._outgoing.read()
        if not self._push() and len(self._rest) > MAX_WAITING:
            raise ConnectionResetError("the client does not read what it asks for")

    def _say_why(self) -> None:
        """Send the alert of a failed connection, if there is one and the kernel takes it."""
        self._incoming.read()
        alert = self._outgoing.read()
        if not self._rest:
            with contextlib.suppress(OSError):
                self._sock.send(alert)
