"""The outputs of the access log with real sockets, files and pipes: the router waits for none of
them, and reports lost lines."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tqunits.errors import TqunitsError, UsageError
from tqunits.metrics.access_formats import End, Entry, combined
from tqunits.proxy.log.sinks import (
    FLUSH,
    JOURNAL,
    MAX_WAITING,
    STDOUT,
    AccessLog,
    Destination,
    FileSink,
    Format,
    JournalSink,
    Sink,
    parse_destination,
)

ENTRY = Entry(
    time=0.0,
    client=b"192.0.2.1",
    method=b"GET",
    target=b"/",
    minor=1,
    status=200,
    received=0,
    sent=2,
    duration=100,
    worker="api",
    endpoint="127.0.0.1:9000",
    request_id=b"1",
    host=b"a.example",
    referer=b"",
    user_agent=b"",
    scheme=b"http",
    end=End.OK,
    retries=0,
)


pytestmark = pytest.mark.loops("uvloop")


class Journal:
    """journald as its clients see it: a datagram socket with a name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind(str(path))

    def entries(self) -> Iterator[bytes]:
        """The datagrams that have come."""
        while True:
            try:
                yield self.sock.recv(1024 * 1024)
            except BlockingIOError:
                return

    def stop(self) -> None:
        self.sock.close()
        self.path.unlink()


@pytest.fixture
def said() -> list[str]:
    """The messages for the operator."""
    return []


# The journal


def test_the_journal_gets_each_line_as_a_datagram(folder: Path, said: list[str]) -> None:
    journal = Journal(folder / "socket")
    sink = JournalSink(said.append, str(journal.path))
    sink.write(b"MESSAGE=1\n")
    sink.write(b"MESSAGE=2\n")
    assert list(journal.entries()) == [b"MESSAGE=1\n", b"MESSAGE=2\n"]
    sink.close()
    journal.stop()
    assert (sink.dropped, said) == (0, [])


def test_the_largest_entry_is_one_datagram(folder: Path, said: list[str]) -> None:
    journal = Journal(folder / "socket")
    sink = JournalSink(said.append, str(journal.path))
    sink.write(b"MESSAGE=" + b"x" * 128 * 1024 + b"\n")
    assert [len(entry) for entry in journal.entries()] == [128 * 1024 + 9]
    sink.close()
    journal.stop()


def test_a_journal_that_does_not_read_is_not_waited_for(folder: Path, said: list[str]) -> None:
    journal = Journal(folder / "socket")
    sink = JournalSink(said.append, str(journal.path))
    written = 0
    while not sink.dropped:
        sink.write(b"MESSAGE=x\n")
        written += 1
    sink.write(b"MESSAGE=x\n")
    assert sink.dropped == 2
    assert len(list(journal.entries())) == written - 1
    sink.write(b"MESSAGE=y\n")
    sink.write(b"MESSAGE=z\n")
    assert list(journal.entries()) == [b"MESSAGE=y\nTQ_DROPPED=2\n", b"MESSAGE=z\n"]
    assert len(said) == 1
    sink.close()
    journal.stop()


def test_a_journal_that_comes_back_is_found_again(folder: Path, said: list[str]) -> None:
    journal = Journal(folder / "socket")
    sink = JournalSink(said.append, str(journal.path))
    sink.write(b"MESSAGE=1\n")
    journal.sock.close()
    sink.write(b"MESSAGE=2\n")  # ECONNREFUSED
    journal.path.unlink()
    sink.write(b"MESSAGE=3\n")  # ENOENT
    journal = Journal(folder / "socket")
    sink.write(b"MESSAGE=4\n")
    assert list(journal.entries()) == [b"MESSAGE=4\nTQ_DROPPED=2\n"]
    assert (sink.dropped, said) == (
        2,
        [f"access log: lines are dropped: {journal.path}: Connection refused"],
    )
    sink.close()
    journal.stop()


def test_a_loss_is_told_again_after_a_reload(folder: Path, said: list[str]) -> None:
    sink = JournalSink(said.append, str(folder / "nobody"))
    for _ in range(3):
        sink.write(b"MESSAGE=x\n")
    sink.reopen()
    sink.write(b"MESSAGE=x\n")
    assert (sink.dropped, len(said)) == (4, 2)
    sink.close()


# Files


async def test_the_lines_of_one_turn_are_written_when_the_loop_has_turned(folder: Path, said: list[str]) -> None:
    path = folder / "log"

    loop = asyncio.get_running_loop()
    sink = FileSink(str(path), loop, said.append)
    sink.write(b"1\n")
    sink.write(b"2\n")
    assert path.read_bytes() == b""
    await asyncio.sleep(0)
    assert path.read_bytes() == b"1\n2\n"
    sink.write(b"3\n")
    sink.close()
    assert path.read_bytes() == b"1\n2\n3\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert said == []


async def test_much_is_written_before_the_loop_has_turned(folder: Path, said: list[str]) -> None:
    path = folder / "log"

    loop = asyncio.get_running_loop()
    sink = FileSink(str(path), loop, said.append)
    sink.write(b"x" * FLUSH + b"\n")
    assert path.stat().st_size == FLUSH + 1
    sink.close()


async def test_a_file_is_added_to(folder: Path, said: list[str]) -> None:
    path = folder / "log"
    path.write_bytes(b"before\n")

    loop = asyncio.get_running_loop()
    one, other = FileSink(str(path), loop, said.append), FileSink(str(path), loop, said.append)
    one.write(b"1\n")
    other.write(b"2\n")
    other.close()
    one.close()
    assert path.read_bytes() == b"before\n2\n1\n"


async def test_after_a_rotation_the_new_file_is_written(folder: Path, said: list[str]) -> None:
    path = folder / "log"

    loop = asyncio.get_running_loop()
    sink = FileSink(str(path), loop, said.append)
    sink.write(b"1\n")
    path.rename(folder / "log.1")
    sink.write(b"2\n")
    sink.reopen()
    sink.write(b"3\n")
    sink.close()
    assert (folder / "log.1").read_bytes() == b"1\n2\n"
    assert path.read_bytes() == b"3\n"


async def test_a_file_that_can_not_be_opened_again_is_an_error_and_the_old_one_stays(
    folder: Path, said: list[str]
) -> None:
    path = folder / "logs" / "log"
    path.parent.mkdir()

    loop = asyncio.get_running_loop()
    sink = FileSink(str(path), loop, said.append)
    path.parent.rename(folder / "moved")
    with pytest.raises(TqunitsError, match="No such file"):
        sink.reopen()
    sink.write(b"1\n")
    sink.close()
    assert (folder / "moved" / "log").read_bytes() == b"1\n"


async def test_a_full_disk_drops_whole_lines(said: list[str]) -> None:
    loop = asyncio.get_running_loop()
    sink = FileSink("/dev/full", loop, said.append)
    sink.write(b"1\n")
    sink.write(b"2\n")
    await asyncio.sleep(0)
    assert sink.dropped == 2
    sink.write(b"3\n")
    sink.close()
    assert sink.dropped == 3
    assert said == ["access log: lines are dropped: /dev/full: No space left on device"]


# Pipes


class Reader:
    """The reading end of a named pipe that holds one page."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.open()
        self.room = fcntl.fcntl(self.descriptor, fcntl.F_SETPIPE_SZ, 4096)

    def open(self) -> None:
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        """Read what is there."""
        try:
            return os.read(self.descriptor, 16 * MAX_WAITING)
        except BlockingIOError:
            return b""

    async def read_all(self, size: int) -> bytes:
        """Read until that many bytes have come, and let the loop run meanwhile."""
        data = b""
        while len(data) < size:
            data += self.read()
            await asyncio.sleep(0)
        return data

    def close(self) -> None:
        os.close(self.descriptor)


def numbered(count: int) -> list[bytes]:
    return [b"%0999d\n" % number for number in range(count)]


async def test_a_full_pipe_is_not_waited_for_and_gets_the_rest_when_it_is_read(folder: Path, said: list[str]) -> None:
    reader = Reader(folder / "pipe")
    lines = numbered(50)

    loop = asyncio.get_running_loop()
    sink = FileSink(str(folder / "pipe"), loop, said.append)
    for line in lines:
        sink.write(line)
    await asyncio.sleep(0)  # and the pipe is full
    assert await reader.read_all(50_000) == b"".join(lines)
    sink.write(b"more\n")
    assert await reader.read_all(5) == b"more\n"
    sink.close()
    assert sink.dropped == 0
    reader.close()


async def test_what_waits_for_a_reader_is_bounded(folder: Path, said: list[str]) -> None:
    reader = Reader(folder / "pipe")
    lines = numbered(3 * MAX_WAITING // 1000)

    loop = asyncio.get_running_loop()
    sink = FileSink(str(folder / "pipe"), loop, said.append)
    for line in lines:
        sink.write(line)
    taken = len(lines) - sink.dropped
    assert MAX_WAITING - 1000 < taken * 1000 <= MAX_WAITING + reader.room
    assert await reader.read_all(taken * 1000) == b"".join(lines[:taken])
    sink.close()
    reader.close()
    assert said == [f"access log: lines are dropped: {folder}/pipe: its reader does not keep up"]


async def test_what_waits_at_the_end_is_counted(folder: Path, said: list[str]) -> None:
    reader = Reader(folder / "pipe")

    loop = asyncio.get_running_loop()
    sink = FileSink(str(folder / "pipe"), loop, said.append)
    for line in numbered(10):
        sink.write(line)
    sink.close()
    assert sink.dropped == 10 - len(reader.read()) // 1000
    reader.close()


async def test_a_reader_that_leaves_takes_no_half_line_into_the_next(folder: Path, said: list[str]) -> None:
    """The pipe has taken four lines and a part of the fifth when its reader closes it. The next
    reader gets the rest of that line."""
    reader = Reader(folder / "pipe")
    lines = numbered(10)

    loop = asyncio.get_running_loop()
    sink = FileSink(str(folder / "pipe"), loop, said.append)
    sink.write(b"".join(lines))
    await asyncio.sleep(0)
    reader.close()
    while not sink.dropped:
        await asyncio.sleep(0)
    assert sink.dropped == 5
    reader.open()
    sink.write(b"next\n")
    assert await reader.read_all(5005) == b"".join(lines[:5]) + b"next\n"
    sink.close()
    reader.close()
    assert said == [f"access log: lines are dropped: {folder}/pipe: Broken pipe"]


async def test_a_pipe_stays_open_at_a_reload(folder: Path, said: list[str]) -> None:
    reader = Reader(folder / "pipe")

    loop = asyncio.get_running_loop()
    sink = FileSink(str(folder / "pipe"), loop, said.append)
    sink.write(b"1\n")
    sink.reopen()
    sink.close()
    assert reader.read() == b"1\n"
    reader.close()


# Standard output


@pytest.fixture
def stdout() -> Iterator[Callable[[int], None]]:
    """Make another file the process' descriptor 1, and restore the old one at the end."""
    before = os.dup(1)

    def become(descriptor: int) -> None:
        os.dup2(descriptor, 1)

    yield become
    os.dup2(before, 1)
    os.close(before)


def log_to_stdout() -> None:
    sink = FileSink(STDOUT, asyncio.get_running_loop(), lambda _: None)
    sink.write(b"1\n")
    sink.reopen()
    sink.write(b"2\n")
    sink.close()
    os.fstat(1)  # it is still open


async def test_stdout_is_a_pipe_that_stays_blocking_for_others(stdout: Callable[[int], None]) -> None:
    reading, writing = os.pipe()
    stdout(writing)
    log_to_stdout()
    assert os.read(reading, 100) == b"1\n2\n"
    assert os.get_blocking(writing)
    os.close(reading)
    os.close(writing)


async def test_stdout_is_a_socket(stdout: Callable[[int], None]) -> None:
    """As with StandardOutput=journal."""
    here, there = socket.socketpair()
    with here, there:
        stdout(there.fileno())
        log_to_stdout()
        assert here.recv(100) == b"1\n2\n"
        assert os.get_blocking(there.fileno())


async def test_a_full_socket_is_not_waited_for(stdout: Callable[[int], None]) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        stdout(there.fileno())

        loop = asyncio.get_running_loop()
        sink = FileSink(STDOUT, loop, lambda _: None)
        line = b"x" * FLUSH + b"\n"
        while not sink.dropped:
            sink.write(line)
        received = await loop.sock_recv(here, FLUSH)
        assert line.startswith(received)
        sink.close()


# The log


class Lines(Sink):
    """An output that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)


SAMPLES = {
    "all": (1, 200, End.OK, 12),
    "every third": (3, 200, End.OK, 4),
    "refusals are sampled too": (3, 404, End.REFUSED, 4),
    "clients that left too": (3, 499, End.GONE, 4),
    "server errors are kept": (1000, 500, End.OK, 12),
    "the router's errors are kept": (1000, 504, End.REFUSED, 12),
    "cut responses are kept": (1000, 200, End.CUT, 12),
    "none of a thousand yet": (1000, 200, End.OK, 0),
}


@pytest.mark.parametrize(("sample", "status", "end", "kept"), SAMPLES.values(), ids=SAMPLES)
def test_samples(sample: int, status: int, end: End, kept: int) -> None:
    log = AccessLog(Lines(), combined, sample)
    assert sum(log.wants(status, end) for _ in range(12)) == kept


def test_errors_do_not_shift_the_sample() -> None:
    log = AccessLog(Lines(), combined, 2)
    assert [log.wants(status, End.OK) for status in (200, 500, 200, 500, 200, 200)] == [
        False,
        True,
        True,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(("name", "beginning"), [("combined", b"192.0.2.1 - - ["), ("json", b'{"time":')])
async def test_a_log_writes_its_format(folder: Path, name: str, beginning: bytes, said: list[str]) -> None:
    loop = asyncio.get_running_loop()
    destination = parse_destination(f"{name}:{folder}/log")
    assert destination is not None
    log = AccessLog.open(destination, loop, said.append)
    log.write(ENTRY)
    log.reopen()
    log.write(ENTRY)
    log.close()
    assert log.dropped == 0
    lines = (folder / "log").read_bytes().splitlines()
    assert len(lines) == 2
    assert all(line.startswith(beginning) for line in lines)


async def test_a_log_whose_file_can_not_be_opened_says_so(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TqunitsError, match=r"can not open the access log .*: Is a directory"):
        AccessLog.open(Destination(Format.JSON, str(folder)), loop, lambda _: None)


OPTIONS = {
    "none": None,
    "journal": Destination(Format.JOURNAL, JOURNAL),
    "combined": Destination(Format.COMBINED, "-"),
    "combined:-": Destination(Format.COMBINED, "-"),
    "combined:/var/log/access.log": Destination(Format.COMBINED, "/var/log/access.log"),
    "json": Destination(Format.JSON, "-"),
    "json:a:b": Destination(Format.JSON, "a:b"),
}


@pytest.mark.parametrize(("text", "destination"), OPTIONS.items(), ids=OPTIONS)
def test_options(text: str, destination: Destination | None) -> None:
    assert parse_destination(text) == destination


def test_a_namespace_of_the_journal_has_its_own_socket() -> None:
    assert parse_destination("journal", "tq-access") == Destination(
        Format.JOURNAL, "/run/systemd/journal.tq-access/socket"
    )
    for wrong in ("../journal", "a/b", "-a", "a b"):
        with pytest.raises(UsageError):
            parse_destination("journal", wrong)


WRONG_OPTIONS = {
    "": "journal, combined:",
    "None": "journal, combined:",
    "/var/log/access.log": "journal, combined:",
    "syslog:/dev/log": "journal, combined:",
    "none:x": "journal, combined:",
    "journal:/run/x": "--access-log journal",
    "combined:": "combined:/var/log/tqunits/access.log",
    "json:": "json:/var/log/tqunits/access.log",
}


@pytest.mark.parametrize(("text", "advice"), WRONG_OPTIONS.items(), ids=[text or "empty" for text in WRONG_OPTIONS])
def test_a_wrong_option_says_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_destination(text)
    assert refused.value.hint is not None
    assert advice in refused.value.hint
