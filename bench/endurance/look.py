"""What bench/endurance looks at: a router of one process or more, their memory, descriptors and
connections.

Descriptors and connections are what /proc says, so they count what the kernel has, not what a
router believes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Process, memory_of

_LOCAL, _REMOTE, _STATE, _INODE = 1, 2, 3, 9
"""Fields of a line of /proc/net/tcp (proc_pid_net(5)); addresses are hexadecimal, the host's byte
order."""

_ESTABLISHED = "01"
_HONEST = "0100007F"
"""127.0.0.1: the honest client's. Crowds come from other addresses."""


@dataclass(frozen=True, slots=True)
class Router:
    """A running one: `started` are the processes of ours, `pids` those that serve (nginx has a
    master besides)."""

    port: int
    started: tuple[Process, ...]
    pids: tuple[int, ...]

    @classmethod
    def of(cls, port: int, *started: Process) -> Router:
        """One whose processes all serve."""
        return cls(port, started, tuple(process.pid for process in started))

    def check(self) -> None:
        """Raises RuntimeError, with what it said, when one of its processes has ended."""
        for process in self.started:
            process.check()

    def log(self) -> str:
        """What all have said."""
        return "".join(process.log() for process in self.started)

    def waited_s(self) -> float:
        """Seconds that a process stood in a run queue, on average
        (Documentation/scheduler/sched-stats.rst)."""
        every = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) for pid in self.pids]
        return sum(every) / 1e9 / len(every)

    def crowd(self) -> list[int]:
        """How many connections of crowds each process has open."""
        here = _established(self.port)
        return [sum(target in here for target in _targets(pid)) for pid in self.pids]


@dataclass(frozen=True, slots=True)
class Look:
    """A router at one moment, all its processes together."""

    pss: int  # KiB
    rss: int  # KiB
    descriptors: int  # without pipes
    pipes: int  # ends of pipes: empty ones are kept for the next large body, a bounded number
    each: tuple[int, ...]  # PSS of each process, KiB

    @classmethod
    def at(cls, pids: Sequence[int]) -> Look:
        """Raises OSError when one has ended."""
        memory = [memory_of([pid]) for pid in pids]
        targets = [target for pid in pids for target in _targets(pid)]
        pipes = sum(target.startswith("pipe:") for target in targets)
        each = tuple(pss for pss, _ in memory)
        return cls(sum(each), sum(rss for _, rss in memory), len(targets) - pipes, pipes, each)

    def most(self, other: Look) -> Look:
        """The larger of each figure, which need not be of the same moment."""
        return Look(
            max(self.pss, other.pss),
            max(self.rss, other.rss),
            max(self.descriptors, other.descriptors),
            max(self.pipes, other.pipes),
            tuple(max(pair) for pair in zip(self.each, other.each, strict=True)),
        )


def _established(port: int) -> set[str]:
    """What /proc/PID/fd calls the sockets of that port on which a crowd's connection is
    established."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ours = int(fields[_LOCAL].rpartition(":")[2], 16) == port and fields[_STATE] == _ESTABLISHED
        if ours and not fields[_REMOTE].startswith(_HONEST):
            found.add(f"socket:[{fields[_INODE]}]")
    return found


def _targets(pid: int) -> list[str]:
    return [_target(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # closed meanwhile
        return ""
