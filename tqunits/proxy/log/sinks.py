"""The access log: which requests are logged, and where the lines go, without a request ever waiting
for it.

Everything here is non-blocking. A line that the journal, the disk or the reader of a pipe does not
take is dropped and counted: `dropped` is part of the metrics, the journal's next entry says how
many are missing before it (TQ_DROPPED=), and the first loss is a line on stderr, told again only
after a reload.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

from mypy_extensions import mypyc_attr

from tqunits.errors import TqunitsError, UsageError
from tqunits.metrics.access_formats import End, Entry, combined, journal_datagram, json_line

JOURNAL: Final = "/run/systemd/journal/socket"

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

JOURNAL_BUFFER: Final = 1024 * 1024
"""SO_SNDBUF towards the journal, which bounds what it has not read yet (the kernel caps it at
net.core.wmem_max)."""

FLUSH: Final = 64 * 1024
"""What is written before the loop has turned: a whole pipe's capacity."""

MAX_WAITING: Final = 1024 * 1024
"""What waits for a reader that does not read: some thousand lines, a pause of a log shipper under
load."""

STDOUT: Final = "-"

Warn = Callable[[str], None]


class Format(StrEnum):
    """What a line looks like; the journal's goes to the journal, the others to a file."""

    JOURNAL = "journal"
    COMBINED = "combined"
    JSON = "json"


_WRITERS: Final = {Format.JOURNAL: journal_datagram, Format.COMBINED: combined, Format.JSON: json_line}


@dataclass(frozen=True, slots=True)
class Destination:
    """The value of --access-log."""

    format: Format
    path: str = ""  # of a file; STDOUT; of the journal's socket


def parse_destination(text: str, namespace: str = "") -> Destination | None:
    """Read `journal`, `combined[:PATH]`, `json[:PATH]` or `none` (None). Raises UsageError.

    `namespace`: of the journal, which has a socket of its own (systemd-journald.service(8), JOURNAL
    NAMESPACES).
    """
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise UsageError(f"--journal-namespace {namespace}: letters, digits, '-' and '_'")
    if text == "none":
        return None
    name, colon, path = text.partition(":")
    if name not in set(Format):
        raise UsageError(f"--access-log {text}: {name!r} is no format", hint=f"write {_CHOICES}")
    if name == Format.JOURNAL:
        if colon:
            raise UsageError(f"--access-log {text}: the journal has no path", hint="write --access-log journal")
        return Destination(Format.JOURNAL, f"/run/systemd/journal.{namespace}/socket" if namespace else JOURNAL)
    if colon and not path:
        raise UsageError(f"--access-log {text}: no path", hint=f"write {name}:/var/log/tqunits/access.log, or {name}:-")
    return Destination(Format(name), path or STDOUT)


_CHOICES: Final = "journal, combined:/var/log/tqunits/access.log, json (to stdout) or none"


class _Opened(NamedTuple):
    """A descriptor that does not block, and what to do with it."""

    descriptor: int
    send: Callable[[bytearray], int]  # gives how many bytes were taken; raises OSError
    close: Callable[[], None]
    rotates: bool  # a file with a name, which another file may get


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Sink:
    """Where lines go."""

    def __init__(self, warn: Warn) -> None:
        self.dropped = 0  # lines that nobody took
        self._warn = warn
        self._warned = False

    def write(self, line: bytes) -> None:
        """Take one line, now or at the latest when the loop has turned; or drop it."""
        raise AssertionError

    def reopen(self) -> None:
        """The configuration is read again: begin anew. Raises TqunitsError and stays as it was."""
        self._warned = False

    def close(self) -> None:
        """Write what can be written at once, and end."""
        raise AssertionError

    def _drop(self, lines: int, reason: str) -> None:
        self.dropped += lines
        if not self._warned:
            self._warned = True
            self._warn(f"access log: lines are dropped: {reason}")


class JournalSink(Sink):
    """The journal's native socket: one datagram per line.

    The name is looked up for each datagram, as libsystemd does it: a journal that was restarted is
    found again, with no connection that could have gone stale.
    """

    def __init__(self, warn: Warn, path: str = JOURNAL) -> None:
        super().__init__(warn)
        self._path = path
        self._missing = 0  # dropped, and not told yet
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, JOURNAL_BUFFER)

    def write(self, line: bytes) -> None:
        if self._missing:
            line += b"TQ_DROPPED=%d\n" % self._missing
        try:
            self._sock.sendto(line, self._path)
        except OSError as error:
            self._missing += 1
            self._drop(1, f"{self._path}: {error.strerror or error}")
        else:
            self._missing = 0

    def close(self) -> None:
        self._sock.close()


class FileSink(Sink):
    """A file, a named pipe or stdout: what one turn of the loop brings is one write(2) at its end.

    O_APPEND, so that several router processes can share a file: the kernel does not mix their
    writes (write(2); a pipe keeps only PIPE_BUF bytes together). O_NONBLOCK keeps a pipe from
    stopping the router; a disk that stalls still can.
    """

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop, warn: Warn) -> None:
        """`path`: STDOUT for standard output. Raises TqunitsError if it can not be opened."""
        super().__init__(warn)
        self._path = path
        self._loop = loop
        self._file = _open(path)
        self._waiting = bytearray()
        self._midway = False  # the last byte written is not a line's last
        self._scheduled = False
        self._watching = False  # the loop says when more is taken

    def write(self, line: bytes) -> None:
        waiting = self._waiting
        if len(waiting) + len(line) > MAX_WAITING:
            self._drop(1, f"{self._path}: its reader does not keep up")
            return
        waiting += line
        if self._watching:
            return
        if len(waiting) >= FLUSH:
            self._flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turned)

    def reopen(self) -> None:
        """After a rotation: go on in the file that has the name now. Pipes and stdout stay: nobody
        rotates them."""
        if self._file.rotates:
            fresh = _open(self._path)
            self._finish(f"{self._path}: the file was changed before they were taken")
            self._file = fresh
        super().reopen()

    def close(self) -> None:
        self._finish(f"{self._path}: closed before they were taken")

    def _finish(self, reason: str) -> None:
        self._flush()
        if self._waiting:
            self._drop(self._waiting.count(b"\n"), reason)
            self._waiting.clear()
        self._midway = False
        self._unwatch()
        self._file.close()

    def _turned(self) -> None:
        self._scheduled = False
        self._flush()

    def _flush(self) -> None:
        """Write until nothing waits or nothing more is taken."""
        waiting = self._waiting
        try:
            while waiting:
                sent = self._file.send(waiting)
                self._midway = waiting[sent - 1] != ord("\n")
                del waiting[:sent]
        except BlockingIOError:
            self._watch()
            return
        except OSError as error:
            self._give_up(error)
        self._unwatch()

    def _give_up(self, error: OSError) -> None:
        """Drop what waits, but for the rest of a line that is half written: the next one must not
        continue it."""
        rest = self._waiting.find(b"\n") + 1 if self._midway else 0
        lost = self._waiting.count(b"\n", rest)
        del self._waiting[rest:]
        self._drop(lost, f"{self._path}: {error.strerror}")

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.add_writer(self._file.descriptor, self._flush)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_writer(self._file.descriptor)


class AccessLog:
    """The log as the data path sees it: ask `wants` first, so that an entry is made only for what
    is logged."""

    def __init__(self, sink: Sink, write: Callable[[Entry], bytes], sample: int = 1) -> None:
        """`sample`: every how many requests one is logged; what failed is always logged."""
        self._sink = sink
        self._format = write
        self._sample = sample
        self._passed = 0  # since the last one that was logged as a sample

    @classmethod
    def open(cls, to: Destination, loop: asyncio.AbstractEventLoop, warn: Warn, sample: int = 1) -> AccessLog:
        """Begin to log. `warn` is told of the first loss. Raises TqunitsError if the file can not
        be opened."""
        sink = JournalSink(warn, to.path) if to.format is Format.JOURNAL else FileSink(to.path, loop, warn)
        return cls(sink, _WRITERS[to.format], sample)

    @property
    def dropped(self) -> int:
        """Lines that nobody took."""
        return self._sink.dropped

    def wants(self, status: int, end: End) -> bool:
        """Whether this request is to be written: server errors and cut responses always, of the
        others every Nth."""
        if status >= 500 or end is End.CUT:
            return True
        self._passed += 1
        if self._passed < self._sample:
            return False
        self._passed = 0
        return True

    def write(self, entry: Entry) -> None:
        """Log a request."""
        self._sink.write(self._format(entry))

    def reopen(self) -> None:
        """After SIGHUP. Raises TqunitsError; then the file of before is still written."""
        self._sink.reopen()

    def close(self) -> None:
        """The last request has ended."""
        self._sink.close()


def _open(path: str) -> _Opened:
    try:
        return _open_stdout() if path == STDOUT else _file(path, _FLAGS | os.O_CREAT)
    except OSError as error:
        raise TqunitsError(
            f"can not open the access log {path}: {error.strerror}", hint="or log to the journal: --access-log journal"
        ) from None


def _open_stdout() -> _Opened:
    """O_NONBLOCK belongs to what is open, not to the descriptor, and stderr or a shell may have the
    same thing open.

    So it is opened a second time; a socket (StandardOutput=journal) can not be, but has
    MSG_DONTWAIT.
    """
    if not stat.S_ISSOCK(os.fstat(1).st_mode):
        return _file("/proc/self/fd/1", _FLAGS)
    sock = socket.socket(fileno=os.dup(1))
    return _Opened(sock.fileno(), lambda data: sock.send(data, socket.MSG_DONTWAIT), sock.close, rotates=False)


_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def _file(path: str, flags: int) -> _Opened:
    descriptor = os.open(path, flags, 0o640)
    rotates = bool(flags & os.O_CREAT) and stat.S_ISREG(os.fstat(descriptor).st_mode)
    return _Opened(descriptor, partial(os.write, descriptor), partial(os.close, descriptor), rotates)
