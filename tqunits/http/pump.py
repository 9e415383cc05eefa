"""Pumps move a body from one connection to the other: bytes of one framing in, bytes of the next
hop's framing out.

Each pump is fed what was received and gives what to send; it knows when the body is over (`done`),
what came behind it (`surplus`: the next request, or a worker's garbage), and whether an end of the
stream is the end of the body. A chunked body is taken apart and framed anew (RFC 9112 §7.1): sizes
strict, extensions and padding dropped, trailers filtered. A pump never keeps payload: what it holds
back is at most one chunk line or one trailer section.
"""

from __future__ import annotations

from typing import Final

from tqunits.http.fields import trailer_lines
from tqunits.http.grammar import (
    CHUNK_LINE,
    CHUNK_LINE_BEGINNING,
    PADDED_CHUNK_LINE,
    PADDED_CHUNK_LINE_BEGINNING,
    Malformed,
)

MAX_CHUNK_LINE: Final = 1024
"""16 digits and an extension; nobody sends extensions, so this is generous."""

MAX_EXTENSIONS: Final = 4 * 1024
"""Over one whole body: extensions are bytes that count as no content, a flood that no body limit
sees."""

MAX_TRAILERS: Final = 8 * 1024
"""A checksum and a status, with room."""

MAX_LINES: Final = 256
"""Chunk lines that are read in one call, which is 0.3 ms at most: 72 KiB of chunks of one byte are
12 000 of them, and whoever sends such would have every turn of the loop. Chunks of 288 bytes on
average are not held up by it."""

BULK: Final = 64
"""Chunk lines that come at once from which they are looked at for what they carry: a stream of
events or words comes one by one as a rule, however small its chunks are, and is never one."""

MAX_FRAMING: Final = 16 * 1024
MAX_FRAMING_RETURNED: Final = 256 * 1024
"""How much longer the framing of what came in bulk may be than twice the payload, in a request's
body and in a response's. Go's net/http has such a rule and the same number since CVE-2023-39326
(net/http/internal/chunked.go, `excess`), but lets chunks of one byte pass. Here chunks have to
carry less than two bytes on average to count at all: 5461 of one byte in a request are too many.
Programs that write their pages letter by letter exist (a WSGI application that returns a string in
the place of a list), so a response may have 87 381."""

LAST_CHUNK: Final = b"0\r\n\r\n"


class Pump:
    """The transfer of one body."""

    __slots__ = ("done", "rest", "surplus")

    def __init__(self) -> None:
        self.done = False
        self.surplus = b""
        self.rest = b""  # of what was received: the next call begins with it, and is to come before more is read

    def feed(self, data: bytes) -> bytes:
        """Take what was received; gives what is to be sent. Raises Malformed. Not to be called once
        `done`.

        Of nothing comes nothing but what `rest` gives, and no end of what has none: a head that
        comes alone has nothing of the body behind it yet.
        """
        raise AssertionError

    def end(self) -> bytes | None:
        """The stream has ended, regularly: gives what is still to be sent, or None when the body is
        cut short."""
        return None


class LengthPump(Pump):
    """A body of a known length."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        super().__init__()
        self.left = length

    def feed(self, data: bytes) -> bytes:
        self.left -= len(data)
        if self.left > 0:
            return data
        self.done = True
        if self.left < 0:
            data, self.surplus = data[: self.left], data[self.left :]
        return data


class ClosePump(Pump):
    """A body that ends with the connection: only a worker may send one (RFC 9112 §6.3)."""

    __slots__ = ("rechunk",)

    def __init__(self, *, rechunk: bool) -> None:
        super().__init__()
        self.rechunk = rechunk

    def feed(self, data: bytes) -> bytes:
        return chunk(data) if self.rechunk else data

    def end(self) -> bytes | None:
        self.done = True
        return LAST_CHUNK if self.rechunk else b""


class ChunkedPump(Pump):
    """A chunked body, to be chunked anew or, for HTTP/1.0, not at all."""

    __slots__ = (
        "_excess",
        "_extensions",
        "_held",
        "_in_trailers",
        "_left",
        "_limit",
        "_most",
        "_padded",
        "_scanned",
        "_trailers",
        "rechunk",
        "trailing",
    )

    def __init__(
        self,
        *,
        rechunk: bool,
        limit: int = 0,
        trailers: bool = True,
        framing: int = MAX_FRAMING_RETURNED,
        padded: bool = False,
    ) -> None:
        """`limit`, `trailers`: as for `framing.Framing.pump`. `framing`: MAX_FRAMING or
        MAX_FRAMING_RETURNED.

        `padded`: spaces after a size are accepted, and trailers mended, as in workers' responses.
        """
        super().__init__()
        self._padded = padded
        self._most = framing
        self._excess = 0  # how much longer the framing was than twice the payload, of what came in bulk
        self.rechunk = rechunk  # may be changed as long as nothing of the body has gone on
        self.trailing = b""  # trailers that nobody was told of, because chunks alone have them
        self._limit = limit + 1 if limit else 0  # one more than the payload still allowed; 0: any
        self._trailers = trailers
        self._left = 0  # of the current chunk: payload and its CRLF
        self._held = bytearray()  # an unfinished chunk line or trailer section
        self._scanned = 0
        self._in_trailers = False
        self._extensions = 0

    def feed(self, data: bytes) -> bytes:
        if self.rest:
            data, self.rest = self.rest + data, b""
        if self._held and not self._in_trailers:
            data = bytes(self._held) + data
            self._held.clear()
        pieces: list[bytes] = []
        at = lines = 0
        while at < len(data) and not self._in_trailers:
            if self._left:
                at = self._payload(data, at, pieces)
            elif lines < MAX_LINES:
                lines += 1
                at = self._chunk_line(data, at)
            else:
                self.rest = data[at:]
                break
        payload = b"".join(pieces)
        if lines > BULK:
            self._weigh(at, len(payload))
        out = chunk(payload) if self.rechunk else payload
        return out + self._trailer_section(data[at:]) if self._in_trailers else out

    def _weigh(self, size: int, payload: int) -> None:
        """So much came in bulk, framing and all, and this is what it carried."""
        self._excess = max(0, self._excess + size - 3 * payload)
        if self._excess > self._most:
            raise Malformed(400, "chunks of hardly a byte: the body is mostly framing")

    def _payload(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take what there is of the current chunk and of the CRLF behind it."""
        end = at + self._left
        stop = min(end - 2, len(data))
        if at < stop:
            pieces.append(data[at:stop])
        expected = b"\r\n"[max(0, 2 - self._left) :]
        came = data[max(at, end - 2) : end]
        if not expected.startswith(came):
            raise Malformed(400, "a chunk that does not end with CRLF")
        taken = min(end, len(data))
        self._left = end - taken
        return taken

    def _chunk_line(self, data: bytes, at: int) -> int:
        pattern = PADDED_CHUNK_LINE if self._padded else CHUNK_LINE
        line = pattern.match(data, at, at + MAX_CHUNK_LINE)
        if line is None:
            return self._unfinished_line(data, at)
        extension = line[2]
        if extension is not None:
            self._count_extension(len(extension))
        size = int(line[1], 16)
        if self._limit and size:
            self._limit -= size
            if self._limit <= 0:
                raise Malformed(413, "the body is too large")
        self._left = size + 2 if size else 0
        self._in_trailers = not size
        return line.end()

    def _count_extension(self, size: int) -> None:
        self._extensions += size
        if self._extensions > MAX_EXTENSIONS:
            raise Malformed(400, "too many chunk extensions")

    def _unfinished_line(self, data: bytes, at: int) -> int:
        rest = data[at:]
        beginning = PADDED_CHUNK_LINE_BEGINNING if self._padded else CHUNK_LINE_BEGINNING
        if len(rest) >= MAX_CHUNK_LINE or beginning.fullmatch(rest) is None:
            raise Malformed(400, "a chunk size that is not 1 to 16 hex digits and CRLF")
        self._held += rest
        return len(data)

    def _trailer_section(self, data: bytes) -> bytes:
        """Collect the trailers until their empty line; gives the end of the body as the next hop
        reads it."""
        held = self._held
        if not held and data.startswith(b"\r\n"):
            return self._finish(b"", data[2:])
        held += data
        if held.startswith(b"\r\n"):
            return self._finish(b"", bytes(held[2:]))
        end = held.find(b"\r\n\r\n", max(0, self._scanned - 3))
        self._scanned = len(held)
        if (end if end >= 0 else len(held) - 3) > MAX_TRAILERS:  # the last three may be of the end
            raise Malformed(431, "the trailers are longer than 8 KiB")
        if end < 0:
            return b""
        return self._finish(trailer_lines(bytes(held[: end + 4]), mend=self._padded), bytes(held[end + 4 :]))

    def _finish(self, lines: bytes, surplus: bytes) -> bytes:
        self.done = True
        self.surplus = surplus
        self._held = bytearray()
        lines = lines if self._trailers else b""
        if not self.rechunk:
            self.trailing = lines
            return b""
        return last_chunk(lines)


def last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body; `trailers`: whole lines, each with its CRLF."""
    return b"0\r\n%b\r\n" % trailers


def chunk(payload: bytes) -> bytes:
    """Nothing is no chunk: one without payload is the last, and only an end writes that."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
