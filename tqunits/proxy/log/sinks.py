"""The access log: which requests are logged and where, without a request ever waiting for it.

All writing is non-blocking. A line that the journal, the disk or the reader of a pipe does not take
is dropped and counted: `dropped` is in the metrics, the journal's next entry has the number of
missing ones (TQ_DROPPED=), and the first loss is reported on stderr, and again only after a reload.
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
"""SO_SNDBUF of the journal's socket, which bounds the entries that journald has not read yet (the
kernel limits it to net.core.wmem_max)."""

FLUSH: Final = 64 * 1024
"""Bytes that are written before the turn of the loop ends: the capacity of a pipe."""

MAX_WAITING: Final = 1024 * 1024
"""Bytes that wait for a slow reader: some thousand lines, enough for a short pause of a log
shipper."""

STDOUT: Final = "-"

Warn = Callable[[str], None]


class Format(StrEnum):
    """The form of a line: the journal's for the journal, the others for a file."""

    JOURNAL = "journal"
    COMBINED = "combined"
    JSON = "json"


_WRITERS: Final = {Format.JOURNAL: journal_datagram, Format.COMBINED: combined, Format.JSON: json_line}


@dataclass(frozen=True, slots=True)
class Destination:
    """The value of --access-log."""

    format: Format
    path: str = ""  # of a file, or STDOUT, or of the journal's socket


def parse_destination(text: str, namespace: str = "") -> Destination | None:
    """Parse `journal`, `combined[:PATH]`, `json[:PATH]` or `none` (None). Raises UsageError.

    `namespace`: that of the journal, whose socket is another one (systemd-journald.service(8),
    JOURNAL NAMESPACES).
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
    """A non-blocking descriptor, and how to use it."""

    descriptor: int
    send: Callable[[bytearray], int]  # returns how many bytes were taken; raises OSError
    close: Callable[[], None]
    rotates: bool  # a file with a name, which a rotation may give to another file


@mypyc_attr(allow_interpreted_subclasses=True)  # tests derive from it
class Sink:
    """Where lines go."""

    def __init__(self, warn: Warn) -> None:
        self.dropped = 0  # dropped lines
        self._warn = warn
        self._warned = False

    def write(self, line: bytes) -> None:
        """Write one line, at the end of this turn of the loop at the latest; or drop it."""
        raise AssertionError

    def reopen(self) -> None:
        """After a reload: open the destination again. Raises TqunitsError; then nothing has
        changed."""
        self._warned = False

    def close(self) -> None:
        """Write what can be written at once, and close."""
        raise AssertionError

    def _drop(self, lines: int, reason: str) -> None:
        self.dropped += lines
        if not self._warned:
            self._warned = True
            self._warn(f"access log: lines are dropped: {reason}")


class JournalSink(Sink):
    """The journal's native socket: one datagram per line.

    The path is resolved for each datagram, as in libsystemd, so a restarted journal is found
    without a connection.
    """

    def __init__(self, warn: Warn, path: str = JOURNAL) -> None:
        super().__init__(warn)
        self._path = path
        self._missing = 0  # dropped lines that are not reported yet
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
    """A file, a named pipe or stdout. All lines of one turn of the loop are one write(2) at its
    end.

    It is opened with O_APPEND, so that several router processes can share a file: the kernel does
    not mix their writes (write(2); in a pipe only up to PIPE_BUF bytes). O_NONBLOCK keeps a full
    pipe from stopping the router; a stalled disk still can.
    """

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop, warn: Warn) -> None:
        """`path`: STDOUT for standard output. Raises TqunitsError if it can not be opened."""
        super().__init__(warn)
        self._path = path
        self._loop = loop
        self._file = _open(path)
        self._waiting = bytearray()
        self._midway = False  # the last written byte was not the end of a line
        self._scheduled = False
        self._watching = False  # the loop watches for room

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
        """After a rotation: go on in the file that now has the name. Pipes and stdout are kept,
        because nobody rotates them."""
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
        """Drop what waits, except the rest of a half-written line, which the next line must not
        continue."""
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
    """The log for the data path. Call `wants` first, so that an entry is made only if it is
    logged."""

    def __init__(self, sink: Sink, write: Callable[[Entry], bytes], sample: int = 1) -> None:
        """`sample`: one in so many requests is logged; failures are always logged."""
        self._sink = sink
        self._format = write
        self._sample = sample
        self._passed = 0  # since the last sample

    @classmethod
    def open(cls, to: Destination, loop: asyncio.AbstractEventLoop, warn: Warn, sample: int = 1) -> AccessLog:
        """Open the log. `warn` gets a message about the first loss. Raises TqunitsError if the file
        can not be opened."""
        sink = JournalSink(warn, to.path) if to.format is Format.JOURNAL else FileSink(to.path, loop, warn)
        return cls(sink, _WRITERS[to.format], sample)

    @property
    def dropped(self) -> int:
        """The number of dropped lines."""
        return self._sink.dropped

    def wants(self, status: int, end: End) -> bool:
        """Whether this request is logged: server errors and cut responses always, every Nth of the
        others."""
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
        """After SIGHUP. Raises TqunitsError; then the old file is still used."""
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
    """Open stdout a second time. O_NONBLOCK belongs to the open file, which stderr or a shell may
    share.

    A socket (StandardOutput=journal) can not be opened again, but has MSG_DONTWAIT.
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
