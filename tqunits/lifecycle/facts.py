"""The facts about a worker when somebody asks why it is down. They are values; host/evidence.py
gathers them.

No fact is a conclusion from other facts: each one comes from systemd, the kernel, a file or the
worker itself.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from tqunits.health import OK, HealthType, Statuses
from tqunits.lifecycle import state
from tqunits.lifecycle.state import Detail, NoInstance, State
from tqunits.light_dataclass import dataclass
from tqunits.model import Profile, Relaxation, Sandbox


class Access(StrEnum):
    """What keeps a worker from a path that it needs."""

    THERE = "there"  # nothing that we can see
    MISSING = "missing"
    HIDDEN = "hidden"  # its sandbox puts an empty folder in the place of a parent folder
    BARRED = "barred"  # the worker's user may not enter a parent folder
    REFUSED = "refused"  # the file's own mode excludes the worker's user
    NOT_EXECUTABLE = "not-executable"
    NO_INTERPRETER = "no-interpreter"  # the program in its first line (#!) is missing


@dataclass(frozen=True, slots=True)
class Look:
    """One path as the worker's user would see it."""

    path: str
    access: Access
    cause: str = ""  # the folder that is closed or hidden, or the file, with mode and owner; or the interpreter
    with_homes: bool = False  # for a hidden path: its user could use it if homes were visible


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitEnd:
    """How one start of a unit ended. `code` is systemd's word: exited, killed, dumped; "" when
    there is none."""

    result: str  # the unit's Result: success, exit-code, signal, oom-kill, timeout, start-limit-hit, ...
    code: str = ""  # of the main process
    status: int = 0  # the exit status, or the number of the signal
    gate: int | None = None  # the exit status of the readiness gate, if the gate failed
    program: str = ""  # the path of the main process' program
    is_started: bool = False  # the worker was healthy first, and ended later


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All facts about one worker. An unknown fact is None, "" or empty."""

    name: str
    state: State | NoInstance
    detail: Detail = Detail.NONE
    end: UnitEnd | None = None  # of the last start that has ended; None: there is none, or it is unknown
    gave_up: bool = False  # it failed too often: systemd does not start it again
    restarts: int = 0
    names_killer: bool = True  # systemd would report a kill for lack of memory (cgroup v2)

    source: str = ""  # its worker.yaml
    finding: str = ""  # the first error in it: place and message
    finding_hint: str = ""
    left_out: str = ""  # why the last install has not changed it
    left_out_hint: str = ""
    is_enabled: bool = True
    unserved: str = ""  # static files only: why none is served
    unbuilt: str = ""  # that its program is still to be built

    lines: tuple[str, ...] = ()  # its messages in that start, oldest first, without the gate's and systemd's
    verdict: str = ""  # the gate's line
    kernel: str = ""  # the kernel's message about the death of the main process
    answer: str = ""  # the present answer to its health check; "" when healthy, or not asked

    address: str = ""  # where it is to listen: 127.0.0.1:9000, or the path of its socket
    health: str = ""  # what its health check asks: a path, or the words of a command
    health_type: HealthType | None = HealthType.HTTP  # None: it sends READY=1 itself
    accepted: tuple[Statuses, ...] = OK  # the statuses that count as healthy
    health_host: str = ""  # the Host field of the check; "": the address
    patience: str = ""  # timeouts.start in words
    holder: str = ""  # the other program that has its port, in words
    memory_max: str = ""  # its limit in words
    user: str = ""
    folder: str = ""
    state_folder: str = ""
    sandbox: Sandbox | None = None  # the installed one
    missing: frozenset[Relaxation] = frozenset()  # the relaxations that it does not have and could have
    by_grant: frozenset[Profile | Relaxation] = frozenset()  # those that it gets only by a grant of root's
    looks: tuple[Look, ...] = field(default=())  # of its program, and of the path in its error

    @property
    def is_installed(self) -> bool:
        """Whether it has an instance."""
        return isinstance(self.state, State)

    @property
    def is_static(self) -> bool:
        """Whether it consists of files that the router serves."""
        return self.state is NoInstance.STATIC

    @property
    def comes_again(self) -> bool:
        """Whether systemd waits to start it again."""
        return state.comes_again(self.state, self.detail)

    @property
    def runs(self) -> bool:
        """Whether its start is complete, and its program has not ended since."""
        return state.runs(self.state, self.detail)

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
        """What the gate asks at a start, and at which address."""
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
