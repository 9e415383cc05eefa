"""Bytes from one socket to another that never pass through Python: splice(2) through a pipe.

A `Relay` moves a known number of bytes, or all until the end of the stream; nothing of them is
looked at. While it runs it owns the reader of its source and the writer of its target, and nothing
else: not the sockets, not the other two directions, no deadline. Both sockets must be non-blocking,
because SPLICE_F_NONBLOCK speaks of the pipe only, and raw: what TLS has encrypted is no use to the
other side.

A pipe is filled only when it is empty. So a fill that would block says that the source has nothing
(splice(2) has one EAGAIN for that and for a full pipe), an end of the stream is seen only when
everything before it is out, and back-pressure needs no counting: while the target takes nothing,
nothing is read. A relay that waits for its source holds no pipe. And one whose source gives little
at a time hands over to copying, which costs two system calls per piece where a relay makes three.

Pipes are accounted per user (pipe(7): pipe-user-pages-soft, 64 MiB). Beyond that an unprivileged
user's new pipes have two pages, which is worse than copying; and each takes two descriptors, which
clients need more. So there is a bound, and a relay that gets no pipe hands over as well.
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
"""Bytes that must be left of a body for a relay to be worth its beginning and its end."""

LITTLE: Final = 32 * 1024
"""A turn that moves less, because the source has no more, would be cheaper as a copy
(bench/python/splice.py)."""

PIPE_SIZE: Final = 256 * 1024
"""Bytes that one relay holds at most. From TCP to TCP, 64 KiB costs half as much again per MiB and
1 MiB saves a tenth (bench/python/splice.py)."""

MIN_PIPE: Final = 64 * 1024
"""What the kernel gives without being asked, unless the user has too many."""

MAX_PIPES: Final = 128
"""Pipes in use at once: half of what the kernel grants one user, so two processes of one user have
room."""

MAX_IDLE: Final = 16
"""Empty pipes kept open. Only a relay whose target is slow holds one for longer than a turn."""

TURN: Final = 1024 * 1024
"""Bytes that one relay moves before it is the others' turn: about 0.2 ms, and never more than a
pipe above it."""

ENDLESS: Final = 2**62
"""Bytes left of what ends with its stream."""

_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


def pays(pipes: Pipes, source: socket.socket, target: socket.socket, left: int = ENDLESS) -> bool:
    """Whether a relay is cheaper than copying what is `left`, bytes.

    From a Unix socket to TCP it is not: measured at best the same, for the price of a pipe.
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
        """A pipe of `size` bytes, or of what the kernel grants; None when that is too little, or
        nothing."""
        try:
            pipe = cls(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:  # EMFILE, ENFILE, ENOMEM
            return None
        with contextlib.suppress(PermissionError):  # more than the user may have: it stays as it came
            pipe.size = fcntl.fcntl(pipe.write_end, fcntl.F_SETPIPE_SZ, size)
        if pipe.size >= MIN_PIPE:
            return pipe
        pipe.close()
        return None

    def close(self) -> None:
        """What is in it is lost."""
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
        """Whether the bound is reached: a relay that began now would hand over at once."""
        return self.in_use >= self._most

    def take(self) -> Pipe | None:
        """An empty pipe; None when there is none to be had."""
        if self.exhausted:
            return None
        pipe = self._idle.pop() if self._idle else Pipe.open(self._size)
        if pipe is not None:
            self.in_use += 1
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Take it back. Only an empty one is used again: what is left in it would go to somebody
        else."""
        self.in_use -= 1
        if pipe.held or len(self._idle) >= self._max_idle:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            self._idle.pop().close()


class End(Enum):
    """How a relay ended. But for the broken ones, all that it took has been taken by the target's
    kernel."""

    DONE = 1  # that was all of it; the source's reader is the owner's again
    HANDED_OVER = 2  # copy what is left; the source's reader is the owner's again
    ENDED = 3  # the source sends no more; nobody reads it
    SOURCE_BROKEN = 4
    TARGET_BROKEN = 5


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Relay(Watched):
    """One way, from `source` to `target`.

    `limit` is in bytes, None: until the end of the stream. `reader` is who is told that the source
    is readable once the relay does not read any more. `on_moved` is called at most once per turn,
    when something moved; `on_end` once, from a turn of the loop, never from `start` or `abort`.
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
        self._loaded = False  # something taken is not yet out
        self._reading = False
        self._writing = False
        self.left = ENDLESS if limit is None else limit  # bytes still to be taken from the source
        self.moved = 0  # bytes that the target's kernel has taken
        self.was_blocked = False  # as `blocked` is, since whoever wants to know set this back

    @property
    def blocked(self) -> bool:
        """Whether it is the target that is waited for, not the source."""
        return self._loaded

    def start(self) -> None:
        """Begin. Nothing may wait to be sent to the target, and nobody else may write to it until
        the end."""
        self._reading = True
        self._poller.add_reader(self._source, self)  # in the place of the owner's: no system call

    def abort(self) -> None:
        """Stop now, before either socket is closed. What was taken and is not out is lost; `on_end`
        is not called."""
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
        """A call of ours has failed, perhaps the owner's who was told of the end."""
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
        """The end of the relay, or None when one of the sockets is waited for. Whose fault it is
        `_loaded` tells."""
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
        """Fill and empty the pipe by turns until so much is moved, or an end. Raises what splice(2)
        does."""
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
        """Fill the empty pipe; gives the bytes taken, 0 at the end of the stream."""
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
        """Let go of the target and of the pipe."""
        if self._writing:
            self._writing = False
            self._poller.remove_writer(self._target)
        if self._pipe is not None:
            self._pipes.give(self._pipe)
            self._pipe = None


class ChunkRelay(Relay):
    """The same, and every load goes out as a chunk (RFC 9112 §7.1); the last chunk is the owner's
    to send.

    For a body that ends with its connection, to a client that reads chunks. `moved` counts the
    payload.
    """

    __slots__ = ("_after", "_before")

    flags: ClassVar[int] = _FLAGS | os.SPLICE_F_MORE  # the chunk's CRLF follows at once

    def _load(self, pipe: Pipe) -> int:
        taken = super()._load(pipe)
        if taken:  # an end is no chunk: one without payload would be the last
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
