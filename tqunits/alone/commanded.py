"""A health check that is a program: the gate runs it, and reads how it ends and what it says.

It is a child of the gate's, so in the worker's sandbox as its user, in a process group of its own:
what has not ended in time is killed with all that it has started there.
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

_LIMIT = 4096  # bytes of what it says
_NOT_CAUGHT = (signal.SIGKILL, signal.SIGSTOP)
_RESET = [number for number in range(1, 32) if number not in _NOT_CAUGHT]  # nothing ignored, as Python does SIGPIPE


class NotEnded(Exception):
    """It has not ended in time."""


class Interrupted(Exception):
    """The process that was watched has ended before it."""


def run(argv: list[str], process: int, deadline: float) -> tuple[str, str]:
    """Run it to its end: what is wrong ("" for exit status 0), and what it has said.

    `process`: a pidfd that ends the wait, or -1; `deadline` on the monotonic clock. Raises
    NotEnded, Interrupted, and OSError where it can not be run.
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
        _kill(child)  # with what it may have left behind: until somebody has waited for it, its number is its own
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
    """Until the child has ended; what it leaves running may hold the pipe, and go on writing."""
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
