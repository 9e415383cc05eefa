"""Runs other programs, or replaces this process by one. The only module that imports subprocess.

No shell is used: a command is an argv. Nothing is read from the caller's terminal. Only the last
OUTPUT_LIMIT bytes of each stream are kept, so that a program that prints without end does not fill
the memory.
"""

from __future__ import annotations

import os
import pwd
import selectors
import signal
import subprocess  # noqa: TID251 - this is its door
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

from tqunits.errors import TimedOut, TqunitsError
from tqunits.light_dataclass import dataclass

OUTPUT_LIMIT = 16 << 20
"""Bytes kept of each stream: enough for the journal of many restarts."""

_CHUNK = 1 << 16  # a pipe's capacity on Linux (pipe(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended: its exit status (negative: the signal that killed it) and what it
    wrote."""

    returncode: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    input: str | None = None,  # noqa: A002 - subprocess's own word for it
    timeout_s: float | None = None,
    environment: Mapping[str, str] | None = None,
    working_directory: Path | None = None,
    user: str | None = None,
) -> Completed:
    """Run a program to its end. `environment` replaces the caller's; with `user` root runs the
    program as that account.

    Raises FileNotFoundError when there is no such program, and TimedOut after `timeout_s`; then the
    program is killed.
    """
    account = _account(user) if user else None
    with os.fdopen(os.memfd_create("stdin"), "r+b") as stdin:  # not a temporary file: /tmp may be full
        stdin.write((input or "").encode("utf-8", "surrogateescape"))
        stdin.seek(0)
        with subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=working_directory,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
        ) as process:
            try:
                stdout, stderr = _collect(process, argv[0], timeout_s)
            except BaseException:
                process.kill()
                raise
            return Completed(returncode=process.wait(), stdout=_text(stdout), stderr=_text(stderr))


def replace_process(argv: Sequence[str]) -> NoReturn:
    """Execute another program in this process: it keeps our terminal, our PID and our parent.
    Raises TqunitsError when it is missing."""
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and execve(2) would pass that on
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - no shell is what we want
    except FileNotFoundError:
        raise TqunitsError(f"{argv[0]} is not installed") from None


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise TqunitsError(f"no such user: {user}") from None


def _collect(process: subprocess.Popen[bytes], program: str, timeout_s: float | None) -> tuple[bytes, bytes]:
    """The tails of both streams, read until both have ended."""
    assert process.stdout and process.stderr
    tails: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for stream in tails:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left = None if deadline is None else deadline - time.monotonic()
            ready = selector.select(left) if left is None or left > 0 else []
            if not ready and left is not None:
                raise TimedOut(f"{program} did not finish within {timeout_s:g} s")
            for key, _ in ready:
                if not _read(key.fd, tails[_stream(tails, key.fd)]):
                    selector.unregister(key.fd)
    return bytes(tails[process.stdout]), bytes(tails[process.stderr])


def _stream(tails: Mapping[IO[bytes], bytearray], descriptor: int) -> IO[bytes]:
    return next(stream for stream in tails if stream.fileno() == descriptor)


def _read(descriptor: int, tail: bytearray) -> bool:
    """Read what is there; False at the end of the stream."""
    chunk = os.read(descriptor, _CHUNK)
    tail += chunk
    if len(tail) > OUTPUT_LIMIT:
        del tail[: len(tail) - OUTPUT_LIMIT]
    return bool(chunk)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")
