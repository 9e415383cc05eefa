"""Moves bytes from one socket to another in the kernel, not through Python: splice(2) through a
pipe.

A `Relay` moves a known number of bytes, or all until the end of the stream, without looking at
them. While it runs it owns the reader of its source and the writer of its target, and nothing else:
not the sockets, not the other two directions, no deadline. Both sockets must be non-blocking,
because SPLICE_F_NONBLOCK is about the pipe only; and they must not use TLS, because the other side
could not decrypt the bytes.

A pipe is filled only when it is empty. So EAGAIN while filling means that the source has nothing
(splice(2) has the same error for a full pipe). The end of the stream is seen only after everything
before it was sent. And back-pressure needs no counting: while the target takes nothing, nothing is
read. A relay that waits for its source holds no pipe. If the source gives little at a time, the
relay hands over to copying, which needs two system calls per piece where a relay needs three.

The kernel limits pipes per user (pipe(7): pipe-user-pages-soft, 64 MiB). Beyond the limit an
unprivileged user's new pipes have two pages, which is worse than copying. And each pipe needs two
descriptors, which clients need more. So the number of pipes is bounded, and a relay that gets none
hands over as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable
from enum import Enum
from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.watched import Watched

WORTH: Final = 64 * 1024
"""Bytes of a body that must be left, or a relay costs more than it saves."""

LITTLE: Final = 32 * 1024
"""If a turn moves fewer bytes, because the source has no more, copying is cheaper
(bench/python/splice.py)."""

PIPE_SIZE: Final = 256 * 1024
"""The most bytes that one relay holds. From TCP to TCP 64 KiB costs half as much again per MiB, and
1 MiB saves a tenth (bench/python/splice.py)."""

MIN_PIPE: Final = 64 * 1024
"""The kernel's default size, unless the user has too many pipes."""

MAX_PIPES: Final = 128
"""Pipes in use at once: half of what the kernel grants one user, so that two processes of a user
have room."""

MAX_IDLE: Final = 16
"""Empty pipes kept open. Only a relay with a slow target holds a pipe for longer than a turn."""

TURN: Final = 1024 * 1024
"""Bytes that one relay moves in its turn: about 0.2 ms; at most one pipe more."""

ENDLESS: Final = 2**62
"""Stands for the bytes left when the end of the stream decides."""

_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


def pays(pipes: Pipes, source: socket.socket, target: socket.socket, left: int = ENDLESS) -> bool:
    """Whether a relay is cheaper than copying `left` bytes.

    From a Unix socket to TCP it is not: it was measured as equal at best, and costs a pipe.
    """
    if left < WORTH or pipes.exhausted:
        return False
    return source.family != socket.AF_UNIX or target.family == socket.AF_UNIX


class Pipe:
    """A pipe, and how much is in it."""

    __slots__ = ("held", "read_end", "size", "write_end")

    def __init__(self, read_end: int, write_end: int) -> None:
        self.read_end = read_end
        self.write_end = write_end
        self.size = fcntl.fcntl(write_end, fcntl.F_GETPIPE_SZ)  # bytes
        self.held = 0  # bytes

    @classmethod
    def open(cls, size: int) -> Pipe | None:
        """A pipe of `size` bytes, or of the size that the kernel grants; None when that is too
        small or there is none."""
        try:
            pipe = cls(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:  # EMFILE, ENFILE, ENOMEM
            return None
        with contextlib.suppress(PermissionError):  # beyond the user's limit: it keeps its size
            pipe.size = fcntl.fcntl(pipe.write_end, fcntl.F_SETPIPE_SZ, size)
        if pipe.size >= MIN_PIPE:
            return pipe
        pipe.close()
        return None

    def close(self) -> None:
        """Its content is lost."""
        os.close(self.read_end)
        os.close(self.write_end)


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Pipes:
    """The pipes of one process."""

    __slots__ = ("_idle", "_max_idle", "_most", "_size", "in_use")

    def __init__(self, *, size: int = PIPE_SIZE, most: int = MAX_PIPES, idle: int = MAX_IDLE) -> None:
        self._size = size
        self._most = most
        self._max_idle = idle
        self._idle: list[Pipe] = []
        self.in_use = 0

    @property
    def exhausted(self) -> bool:
        """Whether the bound is reached: a relay that begins now would hand over at once."""
        return self.in_use >= self._most

    def take(self) -> Pipe | None:
        """An empty pipe; None when there is none."""
        if self.exhausted:
            return None
        pipe = self._idle.pop() if self._idle else Pipe.open(self._size)
        if pipe is not None:
            self.in_use += 1
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Return a pipe. Only an empty one is used again: its content would go to somebody else."""
        self.in_use -= 1
        if pipe.held or len(self._idle) >= self._max_idle:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close unused pipes."""
        while self._idle:
            self._idle.pop().close()


class End(Enum):
    """How a relay ended. Unless a side is broken, the target's kernel has taken everything that the
    relay took."""

    DONE = 1  # everything was moved; the owner reads the source again
    HANDED_OVER = 2  # the owner copies the rest, and reads the source again
    ENDED = 3  # the source has ended; nobody reads it
    SOURCE_BROKEN = 4
    TARGET_BROKEN = 5


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Relay(Watched):
    """One direction, from `source` to `target`.

    `limit` is in bytes; None: until the end of the stream. `reader` becomes the reader of the
    source when the relay does not read any more. `on_moved` is called at most once per turn, if
    something moved; `on_end` once, from a turn of the loop, never from `start` or `abort`.
    """

    __slots__ = (
        "_loaded",
        "_on_end",
        "_on_moved",
        "_pipe",
        "_pipes",
        "_poller",
        "_reader",
        "_reading",
        "_source",
        "_target",
        "_writing",
        "left",
        "moved",
        "was_blocked",
    )

    turn: ClassVar[int] = TURN
    little: ClassVar[int] = LITTLE
    flags: ClassVar[int] = _FLAGS

    def __init__(
        self,
        poller: Poller,
        pipes: Pipes,
        source: socket.socket,
        target: socket.socket,
        *,
        limit: int | None,
        reader: Watched,
        on_moved: Callable[[], None],
        on_end: Callable[[End], None],
    ) -> None:
        self._poller = poller
        self._pipes = pipes
        self._pipe: Pipe | None = None
        self._source = source
        self._target = target
        self._reader = reader
        self._on_moved = on_moved
        self._on_end = on_end
        self._loaded = False  # the pipe is not empty
        self._reading = False
        self._writing = False
        self.left = ENDLESS if limit is None else limit  # bytes still to be taken from the source
        self.moved = 0  # bytes that the target's kernel has taken
        self.was_blocked = False  # `blocked` at any time since the caller has reset it

    @property
    def blocked(self) -> bool:
        """Whether the relay waits for the target, not for the source."""
        return self._loaded

    def start(self) -> None:
        """Begin. The target's outbox must be empty, and nobody else may write to it until the
        end."""
        self._reading = True
        self._poller.add_reader(self._source, self)  # replaces the owner without a system call

    def abort(self) -> None:
        """Stop now, before either socket is closed. Bytes in the pipe are lost, and `on_end` is not
        called."""
        if self._reading:
            self._poller.remove_reader(self._source)
        self._release()
        self._reading = False

    def on_readable(self) -> None:
        """The source has something, or its end."""
        self._turn()

    def on_writable(self) -> None:
        """The target has room."""
        self._turn()

    def on_fault(self) -> None:
        """A call of ours has failed, perhaps the owner's `on_end`."""
        self._reader.on_fault()

    def _turn(self) -> None:
        """Move what can be moved now."""
        before = self.moved
        end = self._attempt(before)
        if not self._loaded and self._pipe is not None:
            self._pipes.give(self._pipe)
            self._pipe = None
        if end is not None:
            self._finish(end)
            return
        if self.moved != before:
            self._on_moved()

    def _attempt(self, before: int) -> End | None:
        """Returns how the relay ended, or None when it waits for one of the sockets. `_loaded`
        tells which side an error belongs to."""
        try:
            return self._move(before + self.turn)
        except BlockingIOError:
            if self._loaded:
                self._wait_for_target()
            elif self.moved - before < self.little:
                return End.HANDED_OVER
            else:
                self._wait_for_source()
            return None
        except OSError:
            return End.TARGET_BROKEN if self._loaded else End.SOURCE_BROKEN

    def _move(self, stop: int) -> End | None:
        """Fill and empty the pipe in turns until so much is moved, or an end. Raises the errors of
        splice(2)."""
        pipe = self._pipe or self._pipes.take()
        if pipe is None:
            return End.HANDED_OVER
        self._pipe = pipe
        if self._loaded:
            self._unload(pipe)
        while self.left:
            if self.moved >= stop:
                return None
            if not self._load(pipe):
                return End.ENDED
            self._unload(pipe)
        return End.DONE

    def _load(self, pipe: Pipe) -> int:
        """Fill the empty pipe; returns the bytes taken, 0 at the end of the stream."""
        taken = os.splice(self._source.fileno(), pipe.write_end, min(self.left, pipe.size), flags=_FLAGS)
        pipe.held = taken
        self.left -= taken
        self._loaded = taken > 0
        return taken

    def _unload(self, pipe: Pipe) -> None:
        """Empty the pipe."""
        while pipe.held:
            sent = os.splice(pipe.read_end, self._target.fileno(), pipe.held, flags=self.flags)
            pipe.held -= sent
            self.moved += sent
        self._loaded = False

    def _wait_for_source(self) -> None:
        if not self._reading:
            self._reading = True
            self._poller.add_reader(self._source, self)
        if self._writing:
            self._writing = False
            self._poller.remove_writer(self._target)

    def _wait_for_target(self) -> None:
        self.was_blocked = True
        if self._reading:
            self._reading = False
            self._poller.remove_reader(self._source)
        if not self._writing:
            self._writing = True
            self._poller.add_writer(self._target, self)

    def _finish(self, end: End) -> None:
        self._release()
        if end is End.DONE or end is End.HANDED_OVER:
            self._poller.add_reader(self._source, self._reader)
        elif self._reading:
            self._poller.remove_reader(self._source)
        self._reading = False
        self._on_end(end)

    def _release(self) -> None:
        """Release the target and the pipe."""
        if self._writing:
            self._writing = False
            self._poller.remove_writer(self._target)
        if self._pipe is not None:
            self._pipes.give(self._pipe)
            self._pipe = None


class ChunkRelay(Relay):
    """The same, but each load is sent as a chunk (RFC 9112 §7.1); the owner sends the last chunk.

    For a body that ends with its connection, to a client that accepts chunks. `moved` counts the
    payload.
    """

    __slots__ = ("_after", "_before")

    flags: ClassVar[int] = _FLAGS | os.SPLICE_F_MORE  # the chunk's CRLF follows at once

    def _load(self, pipe: Pipe) -> int:
        taken = super()._load(pipe)
        if taken:  # an empty chunk would be the last one
            self._before = b"%x\r\n" % taken
            self._after = b"\r\n"
        return taken

    def _unload(self, pipe: Pipe) -> None:
        while self._before:
            self._before = self._before[self._target.send(self._before, socket.MSG_MORE) :]
        if pipe.held:
            super()._unload(pipe)
            self._loaded = True
        while self._after:
            self._after = self._after[self._target.send(self._after) :]
        self._loaded = False
