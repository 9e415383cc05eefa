"""A booted systemd in which tests run programs: in a container (booted.py) or in a virtual machine
(tests/vm/guest.py).

The subclasses implement how a program is run in it and how a file gets in and out; the rest is
here.
"""

import abc
import contextlib
import functools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

POLL_SECONDS = 0.02  # how often we poll a condition that has no event to wait for: the first interval
MOST_POLL_SECONDS = 0.1  # the longest; a poll starts programs in the machine: 50 a second take a third of a CPU
_CURSOR = "test-cursor"  # the identifier of our own lines
TAIL_LINES = 60  # of the journal, for the report of a failed test
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}


class MachineError(Exception):
    """A program in the machine failed, or a wait was too long; the text has the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A program to be run in the machine, to its end."""

    argv: Sequence[str]
    input: str | None  # None: no input
    timeout: float  # seconds
    user: str | None  # None: root
    env: Mapping[str, str]  # besides ENVIRONMENT
    merge: bool  # stderr goes into stdout


class Host(abc.ABC):
    """All paths are paths in the machine."""

    tqunits_path = "/usr/local/bin/tqunits"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abc.abstractmethod
    def stop(self) -> None:
        """End it at once, if it runs."""

    @abc.abstractmethod
    def perform(self, call: Call) -> subprocess.CompletedProcess[str]:
        """Run a program. Raises MachineError when its time is over."""

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - subprocess.run's name for it
        timeout: float = 60.0,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        merge: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. If it fails, `check` raises MachineError with its output;
        `merge` puts stderr into stdout."""
        call = Call(argv=argv, input=input, timeout=timeout, user=user, env=env or {}, merge=merge)
        done = self.perform(call)
        if check and done.returncode != 0:
            raise MachineError(describe(argv, f"exit status {done.returncode}", done.stdout, done.stderr))
        return done

    @abc.abstractmethod
    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file and make the folders above it."""

    @abc.abstractmethod
    def read(self, path: str) -> str: ...

    @abc.abstractmethod
    def exists(self, path: str) -> bool: ...

    def tqunits(
        self,
        *args: str,
        check: bool = True,
        input: str | None = None,  # noqa: A002
        timeout: float = 60.0,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the machine's tqunits."""
        return self.run([self.tqunits_path, *args], check=check, input=input, timeout=timeout, user=user, env=env)

    def systemctl(self, *args: str, check: bool = True) -> str:
        """Run systemctl and return what it prints."""
        return self.run(["systemctl", *args], check=check).stdout

    def show(self, unit: str, name: str) -> str:
        """One property of a unit, as systemctl prints it."""
        return self.systemctl("show", "--value", f"--property={name}", "--", unit).removesuffix("\n")

    @contextlib.contextmanager
    def without_bus(self) -> Iterator[None]:
        """Stop D-Bus meanwhile."""
        self.systemctl("stop", "dbus.socket", "dbus.service")
        try:
            yield
        finally:
            self.systemctl("start", "dbus.socket")
            self.rejoin_bus()

    def rejoin_bus(self) -> None:
        """Restart logind. On systemd 257 it keeps its connection to the D-Bus that has ended; a
        program that asks it would wait for 25 s, in vain."""
        self.systemctl("try-restart", "systemd-logind.service")

    def user(self, name: str) -> tuple[int, int]:
        """The numeric ids of a user and of its group, from the machine's own table."""
        for line in self.read("/etc/passwd").splitlines():
            fields = line.split(":")
            if fields[0] == name:
                return int(fields[2]), int(fields[3])
        raise MachineError(f"no user {name} in the machine")

    def _become(self, user: str) -> list[str]:
        """The words in front of a command line that runs it as a user."""
        uid, gid = self.user(user)
        return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--init-groups", "env", "HOME=/", f"USER={user}"]

    def remove(self, path: str) -> None:
        """Remove a file or a whole folder; it may be missing."""
        self.run(["rm", "-rf", "--", path])

    # Waiting

    def wait_until(self, condition: Sequence[str] | Callable[[], bool], *, timeout: float = 30.0) -> None:
        """Wait until a program in the machine exits 0, or until a function returns true.
        MachineError if that takes too long."""
        is_true = condition if callable(condition) else functools.partial(self._succeeds, condition)
        deadline = time.monotonic() + timeout
        nothing, pause = threading.Event(), POLL_SECONDS
        while not is_true():
            if time.monotonic() > deadline:
                raise MachineError(f"not within {timeout:g} s: {condition}\n{self.journal_tail()}")
            nothing.wait(pause)
            pause = min(1.25 * pause, MOST_POLL_SECONDS)

    def _succeeds(self, argv: Sequence[str]) -> bool:
        return self.run(argv, check=False).returncode == 0

    # The journal

    def journal(self, unit: str | None = None, *args: str) -> str:
        """The messages of a unit, or of all, in this boot, oldest first, without time and host.

        With a unit and --after-cursor=, journalctl of systemd 252 skips the first entry. The entry
        of `cursor` is of no unit of ours, so it may as well begin there."""
        only = [f"--unit={unit}"] if unit else []
        from_here = [each.replace("--after-cursor=", "--cursor=") if unit else each for each in args]
        return self.run(["journalctl", "--boot", "--output=cat", "--no-pager", *only, *from_here]).stdout

    def cursor(self) -> str:
        """The argument with which `journal` returns only what comes from here on, and nothing of
        earlier tests."""
        line = f"systemd-cat --identifier={_CURSOR} echo 'from here on'; journalctl --sync;"
        line += f" journalctl --identifier={_CURSOR} --lines=1 --show-cursor --quiet"
        return f"--after-cursor={self.run(['sh', '-euc', line]).stdout.rpartition('-- cursor: ')[2].strip()}"

    def journal_tail(self, unit: str | None = None, lines: int = TAIL_LINES) -> str:
        """The end of the journal, for the report of a failed test."""
        only = [f"--unit={unit}"] if unit else []
        argv = ["journalctl", "--boot", "--no-pager", "--no-hostname", "-o", "short-precise", f"--lines={lines}", *only]
        return self.run(argv, check=False).stdout


def describe(argv: Sequence[str], what: str, out: str | None, err: str | None) -> str:
    """The output of a failed program, for MachineError."""
    return "\n".join([f"{' '.join(argv)}: {what}", (out or "").rstrip(), (err or "").rstrip()]).rstrip()
