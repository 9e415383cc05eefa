"""Processes of the benchmarks: started so that none outlives it, and what /proc says of them.

CPU time is the clock of the whole process, all threads, user and system (clock_getcpuclockid(3)):
the same sum as utime and stime of /proc/PID/stat, in nanoseconds instead of ticks of 10 ms. Memory
is PSS and RSS of smaps_rollup.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess  # noqa: TID251 - a program of its own, not part of the package
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 5.0
"""Seconds for a peer to come up or to end; they need a tenth of one."""

_TICK = os.sysconf("SC_CLK_TCK")


class Process:
    """A child in a group of its own, dead when the context ends, and (setpriv) when this program is
    killed."""

    def __init__(
        self, argv: Sequence[str], *, log: Path, listener: int | None = None, folder: Path | None = None
    ) -> None:
        """`listener`: a socket to inherit as systemd passes one (sd_listen_fds(3)). Output goes to
        `log`. `folder`: its working directory, if it is to be another."""
        command = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        if listener is not None:
            closing = "" if listener == 3 else f" {listener}<&-"  # a copy would listen on when the first is closed
            script = f'exec 3<&{listener}{closing}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
            command += ["sh", "-c", script, "sh"]
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                [*command, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if listener is None else (listener,),
                cwd=folder,
            )
        self._log = log
        self.pid = self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.terminate()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):  # what is left of its group, if anything
                os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def check(self) -> None:
        """Raises RuntimeError, with what it said, if it has ended."""
        if self._child.poll() is not None:
            raise RuntimeError(f"{self._child.args!r} ended: {self.log()}")

    def wait_for(self, ready: str) -> str:
        """Its output, once that contains `ready`."""
        deadline = time.monotonic() + PATIENCE
        while ready not in (text := self.log()):
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._child.args!r} is not ready: {text}")
            time.sleep(0.02)
        return text


def output_of(argv: Sequence[str], *, environment: Mapping[str, str] | None = None) -> str:
    """Both streams of a program that ends by itself. Raises RuntimeError if it fails."""
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout}")
    return done.stdout


def children(pid: int) -> list[int]:
    """The children of a process, from the parent's number in each stat."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int(_stat(int(entry.name))[1]) == pid:
                    found.append(int(entry.name))
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds: exact in all, and in ticks the parts."""

    total: float
    user: float
    system: float

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.total - before.total, self.user - before.user, self.system - before.system)


def cpu_of(pids: Sequence[int]) -> Cpu:
    """What these processes have used up to now."""
    parts = [_stat(pid)[11:13] for pid in pids]
    return Cpu(
        sum(time.clock_gettime((~pid << 3) | 2) for pid in pids),  # CPUCLOCK_SCHED of another process
        sum(int(user) for user, _ in parts) / _TICK,
        sum(int(system) for _, system in parts) / _TICK,
    )


def memory_of(pids: Sequence[int]) -> tuple[int, int]:
    """PSS and RSS in KiB."""
    pss = rss = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            pss += int(value.split()[0]) if name == "Pss" else 0
            rss += int(value.split()[0]) if name == "Rss" else 0
    return pss, rss


def machine_time() -> tuple[float, float]:
    """CPU seconds of the whole machine since boot: busy (stolen included), and all."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICK, sum(fields) / _TICK


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; the second may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
