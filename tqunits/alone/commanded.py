"""A health check that is a program: the gate runs it and reads its exit status and its output.

The program is a child of the gate, so it runs in the worker's sandbox as the worker's user. It has
a process group of its own: at the end of the time the whole group is killed.
"""

from __future__ import annotations

import errno
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the built-in part: the rest loads enum

_LIMIT = 4096  # bytes of its output
_NOT_CAUGHT = (signal.SIGKILL, signal.SIGSTOP)
_RESET = [number for number in range(1, 32) if number not in _NOT_CAUGHT]  # none stays ignored, as SIGPIPE is in Python


class NotEnded(Exception):
    """The program has not ended in time."""


class Interrupted(Exception):
    """The watched process (the worker) has ended before the program."""


def run(argv: list[str], process: int, deadline: float) -> tuple[str, str]:
    """Run the program to its end. Returns what is wrong ("" for exit status 0), and its output.

    `process`: a pidfd whose end ends the wait, or -1. `deadline`: on the monotonic clock. Raises
    NotEnded, Interrupted, and OSError when it can not be run.
    """
    out, into = os.pipe()
    try:
        child = _start(argv, into)
    except BaseException:
        os.close(out)
        raise
    finally:
        os.close(into)
    try:
        said = _watch(child, out, process, deadline)
    finally:
        os.close(out)
        _kill(child)  # with what it may have left behind; its PID can not be reused before waitpid(2)
        status = os.waitpid(child, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    return ("" if code == 0 else f"exit status {code}" if code > 0 else f"killed by signal {-code}"), said


def _start(argv: list[str], into: int) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, into, 1),
        (os.POSIX_SPAWN_DUP2, into, 2),
    ]
    return os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setpgroup=0, setsigdef=_RESET)


def _watch(child: int, out: int, process: int, deadline: float) -> str:
    """Read its output until the child has ended. A process that it leaves running may keep the pipe
    open and go on writing."""
    end = os.pidfd_open(child)
    try:
        said = b""
        poll = select.poll()
        for descriptor in (out, end, process):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
            if process in ready:
                raise Interrupted
            if out in ready:
                more = os.read(out, _LIMIT)
                said += more[: _LIMIT - len(said)]
                if not more:
                    poll.unregister(out)
            if end in ready and (out not in ready or len(said) == _LIMIT):
                return said.decode("latin-1")
            if end not in ready and time.monotonic() >= deadline:
                raise NotEnded
    finally:
        os.close(end)


def _kill(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise
