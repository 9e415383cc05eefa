"""What is known of a worker when somebody asks why it is down: values alone, gathered by
host/evidence.py.

Nothing here is concluded from anything else: a fact is what systemd, the kernel, a file or the
worker itself has said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tqunits.health import OK, HealthType, Statuses
from tqunits.model import Profile, Relaxation, Sandbox


class Access(StrEnum):
    """What stands between a worker and a path that it wants."""

    THERE = "there"  # nothing that could be seen
    MISSING = "missing"
    HIDDEN = "hidden"  # its sandbox puts an empty folder in the place of one above it
    BARRED = "barred"  # a folder above it may not be entered by the worker's user
    REFUSED = "refused"  # its own mode keeps the worker's user out
    NOT_EXECUTABLE = "not-executable"
    NO_INTERPRETER = "no-interpreter"  # what its first line names is missing


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a path, as the worker's user would have it."""

    path: str
    access: Access
    cause: str = ""  # the folder that bars or is hidden, the file that refuses, with mode and owner; the interpreter
    with_homes: bool = False  # of what is hidden: its user might use it, were homes not


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitEnd:
    """How one start of a unit ended. Codes are systemd's words: exited, killed, dumped; "" when
    there is none."""

    result: str  # the unit's Result: success, exit-code, signal, oom-kill, timeout, start-limit-hit, ...
    code: str = ""  # of the main process
    status: int = 0  # its exit status, or the signal's number
    gate: int | None = None  # the exit status of the readiness gate, when that is what failed
    program: str = ""  # the path of the main process' program
    is_started: bool = False  # it was healthy once: the end came later


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of one worker. What is not known is None, "" or empty."""

    name: str
    state: str  # a word of host/status.py: running, starting, restarting, failed, stopped, ...
    end: UnitEnd | None = None  # of the last start that has ended; None: none has, as far as is known
    gave_up: bool = False  # it failed too often: systemd does not start it again by itself
    comes_again: bool = False  # systemd waits to start it again
    restarts: int = 0
    names_killer: bool = True  # systemd would know whom the kernel kills for want of memory (cgroup v2)

    source: str = ""  # its worker.yaml
    finding: str = ""  # the first error in it: place and message
    finding_hint: str = ""
    left_out: str = ""  # why the last install has left it as it is
    left_out_hint: str = ""
    is_installed: bool = True
    is_enabled: bool = True
    is_static: bool = False
    unserved: str = ""  # of files: why none is served
    unbuilt: str = ""  # its program, where that is still to be built

    lines: tuple[str, ...] = ()  # its words in that start, oldest first, without the gate's and the manager's
    verdict: str = ""  # the gate's line
    kernel: str = ""  # the kernel's line about the death of its main process
    answer: str = ""  # what its health check answers now, where it runs; "" when that is 200, or nobody has asked

    address: str = ""  # where it is to listen: 127.0.0.1:9000, or the path of its socket
    health: str = ""  # what its health check asks for: a path, or the words of a command
    health_type: HealthType | None = HealthType.HTTP  # None: it says itself when it is ready
    accepted: tuple[Statuses, ...] = OK  # the statuses that mean well
    health_host: str = ""  # the Host field of the question; "": the address
    patience: str = ""  # timeouts.start in words
    holder: str = ""  # who else has its port, in words
    memory_max: str = ""  # its limit in words
    user: str = ""
    folder: str = ""
    state_folder: str = ""
    sandbox: Sandbox | None = None  # as it is installed
    missing: frozenset[Relaxation] = frozenset()  # what its sandbox does not give it, and could
    by_grant: frozenset[Profile | Relaxation] = frozenset()  # what it gets only if root grants it
    looks: tuple[Look, ...] = field(default=())  # at its program, and at the path of its error

    @property
    def check(self) -> str:
        """Its health check, as a sentence names it."""
        match self.health_type:
            case HealthType.HTTP:
                return f"its health check at {self.health}"
            case HealthType.COMMAND:
                return f"its health check `{self.health}`"
            case _:
                return "its health check"

    @property
    def asked(self) -> str:
        """What is asked at a start, and where."""
        match self.health_type:
            case None:
                return "its own READY=1"
            case HealthType.NONE:
                return "none is asked for"
            case HealthType.HTTP:
                return f"{self.address}{self.health}"
            case HealthType.TCP:
                return f"a connection to {self.address}"
            case HealthType.COMMAND:
                return f"`{self.health}`"
