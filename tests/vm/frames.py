"""The protocol of the control channel: frames with a head, which is a JSON object, and a body of
bytes.

    MAGIC  length of the head, length of the body (both 32 bits, big-endian)  head  body

The agent sends `{"hello": BOOT_ID}` when it starts. A request is `{"number": N, "argv": [...],
"env": {...}, "timeout": S}`, its body the program's standard input. The answer is `{"number": N,
"status": STATUS, "out": BYTES}`, its body stdout and then stderr. STATUS is that of the program, -N
if signal N ended it, or null if it was ended because its time was over. Answers come in any order.
"""

import json
import struct
from dataclasses import dataclass, field

MAGIC = b"\x00vm\xff"
LENGTHS = struct.Struct(">II")
MOST_HEAD = 1 << 20  # bytes: arguments and environment have 2 MiB in the kernel (execve(2)), and need far less
MOST_BODY = 64 << 20  # bytes: a package has 2 MB; a larger length is not of a frame


@dataclass(frozen=True, slots=True)
class Frame:
    head: dict[str, object]
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    head = json.dumps(frame.head).encode()
    return MAGIC + LENGTHS.pack(len(head), len(frame.body)) + head + frame.body


@dataclass(slots=True)
class Decoder:
    """Splits a stream of bytes into frames. Bytes between frames are skipped."""

    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with these bytes."""
        self._rest += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        while self._find():
            start = len(MAGIC) + LENGTHS.size
            if len(self._rest) < start:
                return None
            of_head, of_body = LENGTHS.unpack_from(self._rest, len(MAGIC))
            if of_head <= MOST_HEAD and of_body <= MOST_BODY:
                end = start + of_head + of_body
                if len(self._rest) < end:
                    return None
                head = _parsed(self._rest[start : start + of_head])
                if head is not None:
                    body = bytes(self._rest[start + of_head : end])
                    del self._rest[:end]
                    return Frame(head, body)
            del self._rest[: len(MAGIC)]
        return None

    def _find(self) -> bool:
        """Drop bytes that can not be the beginning of a frame; whether one begins."""
        at = self._rest.find(MAGIC)
        if at < 0:
            kept = next((n for n in range(len(MAGIC) - 1, 0, -1) if self._rest.endswith(MAGIC[:n])), 0)
            del self._rest[: len(self._rest) - kept]
            return False
        del self._rest[:at]
        return True


def _parsed(head: bytes | bytearray) -> dict[str, object] | None:
    try:
        found = json.loads(head)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
