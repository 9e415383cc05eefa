"""Calls to the service manager and properties of units. org.freedesktop.systemd1(5) has the methods
and properties.

Jobs are queued and waited for in jobs.py, on signals of a second connection (signals.py).
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from tqunits.lifecycle.outcome import Failure
from tqunits.light_dataclass import dataclass
from tqunits.system.dbus import (
    MANAGER,
    SYSTEMD,
    Argument,
    Connection,
    NotLoaded,
    Refused,
    assignments,
    boolean,
    integer,
    mapping,
    number,
    object_path,
    rows,
    string,
    strings,
)

_LAUNCHER = "/launch.py"  # of alone/, as units/rendering.py has it in ExecStart=
_COMMANDS = "a(sasbttttuii)"  # ExecStart= and the like: path, argv, ignore its failure, 4 times, pid, si_code, status


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """A loaded unit, as `systemctl list-units` shows it."""

    name: str
    description: str
    load: str
    active: str
    sub: str
    job: str = ""  # the type of its pending job: start, stop, restart, ...

    @property
    def is_resting(self) -> bool:
        """Whether nothing of it runs: it has ended, or failed, which keeps it loaded."""
        return self.active in ("inactive", "failed")


def require_bus(*, user_mode: bool) -> None:
    """Raise TqunitsError where there is no service manager to ask, such as --user without a
    session. For those who do something before they open the bus."""
    with Bus(user_mode=user_mode):
        pass


class Bus:
    """A connection to the service manager: the system's, or the caller's own. Use it in a
    `with`."""

    def __init__(self, *, user_mode: bool = False) -> None:
        self.user_mode = user_mode
        self._connection: Connection | None = None

    def __enter__(self) -> Bus:
        self._connection = Connection(user_mode=self.user_mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def systemd_version(self) -> int:
        """The major version of the running manager: 252, 257."""
        text = str(self._calls.property(SYSTEMD, MANAGER, "Version", "s"))
        found = re.match(r"v?(\d+)", text)  # "252.39-1~deb12u2"
        return int(found[1]) if found else 0

    def wake(self) -> None:
        """Have the manager turn its event loop once, and return. Raises TqunitsError."""
        self._calls.call(SYSTEMD, b"org.freedesktop.DBus.Peer", b"Ping", [], what="answer")

    def is_host_ending(self) -> bool:
        """Whether it goes down: then all units are stopped, and nothing can be started. Raises
        TqunitsError."""
        return self._calls.property(SYSTEMD, MANAGER, "SystemState", "s") == "stopping"

    def list_units(self, patterns: Sequence[str]) -> tuple[UnitStatus, ...]:
        """The loaded units whose names match one of these patterns (fnmatch(3)), by name."""
        answer = self._call("ListUnitsByPatterns", *strings(()), *strings(patterns), what="list units")
        found = (_status(row) for row in rows(answer))
        return tuple(sorted(found, key=lambda unit: unit.name))

    def properties(self, unit: str, interface: str = "") -> Mapping[str, object]:
        """All properties of one interface ("Unit", "Service", "Socket"), or of all, as they are at
        one moment. systemd loads a unit that is not loaded."""
        body = self._calls.call(
            object_path(unit),
            b"org.freedesktop.DBus.Properties",
            b"GetAll",
            [string(f"org.freedesktop.systemd1.{interface}" if interface else "")],
            what=f"tell about {unit}",
        )
        return {str(key): value for key, value in mapping(body).items()}

    def property_of(self, unit: str, interface: str, name: str, signature: str) -> object:
        """One property; `signature` is its D-Bus type ("s", "u", "t", ...)."""
        return self._calls.property(
            object_path(unit), f"org.freedesktop.systemd1.{interface}".encode(), name, signature
        )

    def control_group(self, unit: str) -> str:
        """The path of the unit's cgroup below each controller's mount; "" when it does not run."""
        interface = unit.rpartition(".")[2].capitalize()
        return str(self.property_of(unit, interface, "ControlGroup", "s"))

    def invocation(self, unit: str) -> str:
        """The id of the unit's latest start, 32 hex digits; "" when it was never started."""
        return _hex(self.property_of(unit, "Unit", "InvocationID", "ay"))

    def gate_status(self, unit: str) -> int | None:
        """The exit status of the ExecStartPost= command that failed in its last start; None when
        none did."""
        return _gate_status(self.property_of(unit, "Service", "ExecStartPost", _COMMANDS))

    def failure(self, unit: str) -> Failure:
        """How the unit's last start ended. Call it at once: the next automatic start overwrites it.
        All of it is read in one call, so no part of it is of another start."""
        found = self.properties(unit)
        return Failure(
            result=str(found["Result"]),
            main_code=integer(found["ExecMainCode"]),
            main_status=integer(found["ExecMainStatus"]),
            gate_status=_gate_status(found["ExecStartPost"]),
            program=next(iter(_command(found["ExecStart"])), ""),
            invocation=_hex(found["InvocationID"]),
            main_pid=integer(found["ExecMainPID"]),
            main_exit_us=integer(found["ExecMainExitTimestamp"]),
            was_active=integer(found["ActiveEnterTimestampMonotonic"])
            >= integer(found["InactiveExitTimestampMonotonic"])
            > 0,
        )

    def command(self, unit: str) -> tuple[str, ...]:
        """The command that ExecStart= executes in the end; empty when it has none."""
        return _command(self.property_of(unit, "Service", "ExecStart", _COMMANDS))

    def queue(self, method: str, unit: str, mode: str = "replace") -> str:
        """Queue a job for a unit (StartUnit, StopUnit, ...), which replaces a contradicting one;
        returns its object path. `mode`: of org.freedesktop.systemd1(5), StartUnit().

        Raises NotLoaded and Refused when systemd accepts none.
        """
        verb = method.removesuffix("Unit").lower()
        return str(self._call(method, string(unit), string(mode), what=f"{verb} {unit}"))

    def queued(self) -> frozenset[str]:
        """The object paths of all jobs that systemd has now."""
        jobs = rows(self._call("ListJobs", what="list jobs"))
        return frozenset(str(rows(job)[4]) for job in jobs)

    def enable(self, units: Sequence[str], *, reload: bool = True) -> bool:
        """Enable units at boot. Returns whether anything has changed; then (`reload`) systemd has
        read it again."""
        arguments = (*strings(units), boolean(value=False), boolean(value=False))  # not runtime, no force
        return self._changed(self._call("EnableUnitFiles", *arguments, what=f"enable {' '.join(units)}"), reload=reload)

    def disable(self, units: Sequence[str], *, reload: bool = True) -> bool:
        """Disable units at boot. Returns whether anything has changed; then (`reload`) systemd has
        read it again."""
        arguments = (*strings(units), boolean(value=False))
        answer = self._call("DisableUnitFiles", *arguments, what=f"disable {' '.join(units)}")
        return self._changed(answer, reload=reload)

    def reload_daemon(self) -> None:
        """Have systemd read all unit files again. This takes 50 ms, in which it answers nothing
        else."""
        self._call("Reload", what="read the unit files again")

    def set_properties(self, unit: str, values: Mapping[str, int], *, runtime: bool = True) -> None:
        """Change limits of a running unit. All of them are 64-bit numbers on D-Bus."""
        arguments = (string(unit), boolean(value=runtime), *assignments(values))
        self._call("SetUnitProperties", *arguments, what=f"change the limits of {unit}")

    def reset_failed(self, unit: str) -> None:
        """Clear the unit's failure and its count of restarts. Does nothing when there is none."""
        with suppress(NotLoaded):
            self._call("ResetFailedUnit", string(unit), what=f"reset {unit}")

    def kill(self, unit: str, signum: int) -> None:
        """Send a signal to the unit's main process."""
        self._call("KillUnit", string(unit), string("main"), number(signum), what=f"signal {unit}")

    def kill_all(self, unit: str) -> None:
        """Kill all processes of the unit at once, with SIGKILL. Does nothing when there is none."""
        with suppress(Refused):
            self._call("KillUnit", string(unit), string("all"), number(signal.SIGKILL), what=f"end {unit}")

    @property
    def _calls(self) -> Connection:
        assert self._connection, "a Bus is used inside its `with`"
        return self._connection

    def _call(self, method: str, *arguments: Argument, what: str) -> object:
        return self._calls.call(SYSTEMD, MANAGER, method.encode(), arguments, what=what)

    def _changed(self, answer: object, *, reload: bool) -> bool:
        """EnableUnitFiles returns (has install section, changes), DisableUnitFiles only the
        changes."""
        changes = rows(answer)
        if changes and isinstance(changes[0], bool):
            changes = rows(changes[1])
        if changes and reload:
            self.reload_daemon()
        return bool(changes)


def _status(row: object) -> UnitStatus:
    name, description, load, active, sub, _, _, _, job, *_ = (str(column) for column in rows(row))
    return UnitStatus(name=name, description=description, load=load, active=active, sub=sub, job=job)


def _hex(octets: object) -> str:
    return bytes(octets).hex() if isinstance(octets, tuple) else ""


def _gate_status(commands: object) -> int | None:
    """The exit status of the ExecStartPost= command that failed."""
    ended = ((rows(command)[8], rows(command)[9]) for command in rows(commands))
    return next((integer(status) for code, status in ended if code == os.CLD_EXITED and status), None)


def _command(commands: object) -> tuple[str, ...]:
    """The first of these commands, as it is executed in the end: for a launcher it follows "--"."""
    for path, argv, *_ in map(rows, rows(commands)):
        words = tuple(str(word) for word in rows(argv))
        is_launched = "--" in words[:-1] and any(word.endswith(_LAUNCHER) for word in words[: words.index("--")])
        return words[words.index("--") + 1 :] if is_launched else (str(path), *words[1:])
    return ()
