"""Commands that go on until they are ended: their lines, or what they draw on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from machine import Machine, terminate

BY_CTRL_C = ("env", "--default-signal=INT")
"""Where the tests themselves ignore it, as jobs of a shell in the background do."""

LIMIT_S = 30.0
"""For each thing that is waited for."""


class Watching:
    """A command, and its lines."""

    def __init__(self, machine: Machine, *words: str, user: str | None = None) -> None:
        self.process = machine.start([*BY_CTRL_C, machine.tqunits_path, *words], user=user)
        self._read: dict[int, str] = {}

    def line(self) -> str:
        return self._line(self.process.stdout)

    def message(self) -> str:
        return self._line(self.process.stderr)

    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.line()))

    def documents(self, *, until: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Those up to the first of which this is true."""
        found = [self.document()]
        while not until(found[-1]):
            found.append(self.document())
        return found

    def messages(self) -> str:
        """All that are left, after an end by Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)
        _, messages = self.process.communicate(timeout=LIMIT_S)
        return "".join(self._read.values()) + messages

    def _line(self, stream: IO[str] | None) -> str:
        assert stream is not None
        descriptor, deadline = stream.fileno(), time.monotonic() + LIMIT_S
        while "\n" not in (text := self._read.get(descriptor, "")):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(descriptor, 65536) if ready else b""
            assert data, f"no line: {text!r}, exit status {self.process.poll()}"
            self._read[descriptor] = text + data.decode()
        line, _, self._read[descriptor] = text.partition("\n")
        return line


@contextmanager
def started(machine: Machine, *words: str, user: str | None = None) -> Iterator[Watching]:
    """A command of tqunits, which is ended at last."""
    found = Watching(machine, *words, user=user)
    try:
        yield found
    finally:
        terminate(found.process)


class Terminal:
    """A terminal, and what a command draws on it."""

    def __init__(self, machine: Machine, *words: str) -> None:
        self.reading, writing = pty.openpty()
        self.resize(200, 50)
        argv = ["setsid", "--ctty", "--wait", *BY_CTRL_C, machine.tqunits_path, *words]
        environment = {"TERM": "xterm"}
        self.process = machine.start(argv, env=environment, stdin=writing, stdout=writing, stderr=writing)
        os.close(writing)
        self.drawn = ""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.reading, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.reading, text)

    def sees(self, what: Callable[[str], bool]) -> str:
        """Read until one whole drawing is so; returns it."""
        deadline = time.monotonic() + LIMIT_S
        while not (found := [each for each in self._drawings() if what(each)]):
            assert self._read(deadline), f"not drawn: {self.drawn[-3000:]!r}"
        self.drawn = self.drawn[self.drawn.rindex("\x1b[H") :]
        return found[-1]

    def rest(self) -> str:
        """All that comes until the program ends."""
        deadline = time.monotonic() + LIMIT_S
        while self._read(deadline):
            pass
        return self.drawn

    def _drawings(self) -> list[str]:
        """Those that are complete."""
        return [each.partition("\x1b[J")[0] for each in self.drawn.split("\x1b[H")[1:] if "\x1b[J" in each]

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.reading], [], [], max(0.0, deadline - time.monotonic()))
        try:
            data = os.read(self.reading, 65536) if ready else b""
        except OSError:  # EIO: the program has ended
            data = b""
        self.drawn += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def terminal(machine: Machine, *words: str) -> Iterator[Terminal]:
    """A command of tqunits on a terminal, which is hung up at last."""
    found = Terminal(machine, *words)
    try:
        yield found
    finally:
        os.close(found.reading)
        found.process.wait(LIMIT_S)


def plain(drawing: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[mK]", "", drawing).replace("\r\n", "\n")
