"""systemd over D-Bus: the only importer of pystemd. org.freedesktop.systemd1(5) has the methods and properties.

What shapes this file (tried with pystemd 0.11 to 0.15 on systemd 252 and 257):

- A signal that arrives during a method call is queued inside libsystemd, where poll(2) does not see it. So there are
  two connections: one for calls, one for nothing but JobRemoved.
- StartUnit only queues a job. Its JobRemoved may be sent before StartUnit's reply arrives: so the signals are asked for
  first and looked at last. A signal can be lost (the bus restarts, systemd re-executes itself): so once a second the
  list of jobs is read as well.
- match_signal keeps a borrowed pointer to its callback, takes plain functions only, and an exception in it comes out as
  SystemError; closing a connection twice aborts the interpreter; a failing call leaks a kilobyte.
- The GIL is held for the whole of a call: threads do not help, and the router must not import this.
- pystemd's introspection (`Unit.load`) costs 3 ms, one property 0.08 ms, all properties of a service 1.2 ms.
"""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from pystemd.dbusexc import (  # noqa: TID251 - this is its door
    DBusAccessDeniedError,
    DBusBaseError,
    DBusInteractiveAuthorizationRequiredError,
    DBusNoReplyError,
    DBusNoSuchUnitError,
    DBusTimedOutError,
    DBusTimeoutError,
)
from pystemd.dbuslib import DBus, DBusAddress, path_encode  # noqa: TID251 - this is its door

from tqunits.errors import NotPermitted, TimedOut, TqunitsError
from tqunits.model import INFINITY
from tqunits.system import marshal
from tqunits.system.marshal import Argument, boolean, decoded, integer, mapping, rows, string, strings

_SERVICE = b"org.freedesktop.systemd1"
_PATH = b"/org/freedesktop/systemd1"
_MANAGER = b"org.freedesktop.systemd1.Manager"

_PATIENCE_S = "90"  # systemctl's own for a daemon-reload, which with slow generators takes longer than sd-bus's 25 s
_LAUNCHER = "/launch.py"  # of alone/, as units/render.py has it in ExecStart=
_COMMANDS = "a(sasbttttuii)"  # ExecStart= and its like: path, argv, ignore its failure, 4 times, pid, si_code, status
_HANDSHAKE = 8  # messages that may wait in libsystemd's own queue after the connection is set up
_TICK_S = 1.0  # how often the list of jobs is read while no signal comes
_DISCONNECTED = {-errno.ENOTCONN, -errno.ECONNRESET, -errno.EPIPE}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """A loaded unit, as `systemctl list-units` shows it."""

    name: str
    description: str
    load: str
    active: str
    sub: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a unit failed, as systemd had it when its job ended. Codes are si_code's (1 exited, 2 killed, 3 dumped)."""

    result: str  # the unit's Result: exit-code, signal, oom-kill, timeout, start-limit-hit, ...
    main_code: int
    main_status: int
    gate_status: int | None  # exit status of the readiness gate, when that is what failed
    program: str  # the path of the main process' program; "" when the unit names none
    invocation: str  # 32 hex digits; "" when nothing was started
    main_pid: int = 0
    main_exit_us: int = 0  # since 1970
    was_active: bool = False  # this start had been a success: the end came later


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended.

    `result` is JobRemoved's (done, failed, timeout, canceled, dependency, skipped, assert, ...), or one of ours:
    "queued" (not waited for), "waiting" (our own patience ended first), "refused" (systemd took no job; `message`).
    """

    unit: str
    result: str
    failure: Failure | None = None
    message: str = ""


OnWait = Callable[[Sequence[str]], None]
_Pending = dict[str, list[str]]  # a job's object path -> the units that asked for it: systemd merges equal jobs


class _JobRemoved(Protocol):
    """The message that pystemd hands to a callback."""

    body: tuple[int, bytes, bytes, bytes]

    def process_reply(self, with_headers: bool, /) -> None: ...  # noqa: FBT001 - pystemd's signature


class Bus:
    """A connection to the service manager: the system's, or the caller's own. Use it in a `with`."""

    def __init__(self, *, user_mode: bool = False) -> None:
        self._user_mode = user_mode
        self._connection: _Connection | None = None
        self._watch: _JobWatch | None = None

    def __enter__(self) -> Bus:
        self._connection = _Connection(user_mode=self._user_mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()
        if self._watch:
            self._watch.close()
        self._connection = self._watch = None

    def systemd_version(self) -> int:
        """The major version of the running manager: 252, 257."""
        text = str(self._calls.property(_PATH, _MANAGER, "Version", "s"))
        found = re.match(r"v?(\d+)", text)  # "252.39-1~deb12u2"
        return int(found[1]) if found else 0

    def list_units(self, patterns: Sequence[str]) -> tuple[UnitStatus, ...]:
        """The loaded units whose names match one of these patterns (fnmatch(3)), by name."""
        answer = self._call("ListUnitsByPatterns", *strings(()), *strings(patterns), what="list units")
        found = (_status(row) for row in rows(answer))
        return tuple(sorted(found, key=lambda unit: unit.name))

    def properties(self, unit: str, interface: str) -> Mapping[str, object]:
        """All properties of one interface ("Unit", "Service", "Socket"). A unit that is not loaded gets loaded."""
        body = self._calls.call(
            _object(unit),
            b"org.freedesktop.DBus.Properties",
            b"GetAll",
            [string(f"org.freedesktop.systemd1.{interface}")],
            what=f"tell about {unit}",
        )
        return {str(key): value for key, value in mapping(body).items()}

    def property_of(self, unit: str, interface: str, name: str, signature: str) -> object:
        """One property; `signature` is its D-Bus type ("s", "u", "t", ...)."""
        return self._calls.property(_object(unit), f"org.freedesktop.systemd1.{interface}".encode(), name, signature)

    def control_group(self, unit: str) -> str:
        """The path of the unit's cgroup below each controller's mount; "" when it does not run."""
        interface = unit.rpartition(".")[2].capitalize()
        return str(self.property_of(unit, interface, "ControlGroup", "s"))

    def invocation(self, unit: str) -> str:
        """The id of the unit's latest start, 32 hex digits; "" when it was never started."""
        octets = self.property_of(unit, "Unit", "InvocationID", "ay")
        return bytes(octets).hex() if isinstance(octets, tuple) else ""

    def start(self, units: Sequence[str], *, timeout_us: int, block: bool = True) -> tuple[JobResult, ...]:
        """Start units: all jobs are queued first, then waited for together, at most `timeout_us` (or INFINITY).

        A unit's failure is a result; only what concerns all of them is raised (NotPermitted, TqunitsError).
        """
        return tuple(self.jobs("StartUnit", units, timeout_us=timeout_us, block=block))

    def stop(self, units: Sequence[str], *, timeout_us: int, block: bool = True) -> tuple[JobResult, ...]:
        """Stop units, as `start`."""
        return tuple(self.jobs("StopUnit", units, timeout_us=timeout_us, block=block))

    def restart(self, units: Sequence[str], *, timeout_us: int, block: bool = True) -> tuple[JobResult, ...]:
        """Restart units, as `start`; those that do not run are started."""
        return tuple(self.jobs("RestartUnit", units, timeout_us=timeout_us, block=block))

    def reload(self, units: Sequence[str], *, timeout_us: int, block: bool = True) -> tuple[JobResult, ...]:
        """Have units read their configuration again, as `start`."""
        return tuple(self.jobs("ReloadUnit", units, timeout_us=timeout_us, block=block))

    def jobs(
        self,
        method: str,
        units: Sequence[str],
        *,
        timeout_us: int,
        block: bool,
        on_wait: OnWait | None = None,
    ) -> Iterator[JobResult]:
        """Queue a job for each unit, and give their results as they come.

        `on_wait` is told once a second which units are still waited for, unless a result has just come.
        """
        deadline = None if timeout_us >= INFINITY else time.monotonic() + timeout_us / 1e6
        if block and self._watch is None:
            self._watch = _JobWatch(user_mode=self._user_mode)
        pending: _Pending = {}
        for unit in dict.fromkeys(units):
            refusal = self._queue(method, unit, pending)
            if refusal:
                yield refusal
        if block and self._watch:
            yield from self._wait(self._watch, pending, deadline, method, on_wait)
        yield from (JobResult(unit=unit, result="waiting" if block else "queued") for unit in _units(pending))

    def enable(self, units: Sequence[str], *, reload: bool = True) -> bool:
        """Start units at boot; whether anything has changed, in which case (`reload`) systemd has read it."""
        arguments = (*strings(units), boolean(value=False), boolean(value=False))  # not runtime, no force
        return self._changed(self._call("EnableUnitFiles", *arguments, what=f"enable {' '.join(units)}"), reload=reload)

    def disable(self, units: Sequence[str], *, reload: bool = True) -> bool:
        """Do not start units at boot; whether anything has changed, in which case (`reload`) systemd has read it."""
        arguments = (*strings(units), boolean(value=False))
        answer = self._call("DisableUnitFiles", *arguments, what=f"disable {' '.join(units)}")
        return self._changed(answer, reload=reload)

    def reload_daemon(self) -> None:
        """Have systemd read all unit files again: 50 ms, and it answers nothing else meanwhile."""
        self._call("Reload", what="read the unit files again")

    def set_properties(self, unit: str, values: Mapping[str, int], *, runtime: bool = True) -> None:
        """Change limits of a running unit; every one of them is a 64-bit number on D-Bus."""
        arguments = (string(unit), boolean(value=runtime), *marshal.properties(values))
        self._call("SetUnitProperties", *arguments, what=f"change the limits of {unit}")

    def reset_failed(self, unit: str) -> None:
        """Forget the unit's failure and its spent restarts. No harm when it has none."""
        with suppress(_NotLoaded):
            self._call("ResetFailedUnit", string(unit), what=f"reset {unit}")

    def kill(self, unit: str, signum: int) -> None:
        """Send a signal to the unit's main process."""
        self._call("KillUnit", string(unit), string("main"), marshal.number(signum), what=f"signal {unit}")

    def kill_all(self, unit: str) -> None:
        """End all processes of the unit at once, with SIGKILL. No harm when it has none."""
        with suppress(_Refused):
            self._call("KillUnit", string(unit), string("all"), marshal.number(signal.SIGKILL), what=f"end {unit}")

    @property
    def _calls(self) -> _Connection:
        assert self._connection, "a Bus is used inside its `with`"
        return self._connection

    def _call(self, method: str, *arguments: Argument, what: str) -> object:
        return self._calls.call(_PATH, _MANAGER, method.encode(), arguments, what=what)

    def _changed(self, answer: object, *, reload: bool) -> bool:
        """EnableUnitFiles answers (has install section, changes), DisableUnitFiles the changes alone."""
        changes = rows(answer)
        if changes and isinstance(changes[0], bool):
            changes = rows(changes[1])
        if changes and reload:
            self.reload_daemon()
        return bool(changes)

    def _queue(self, method: str, unit: str, pending: _Pending) -> JobResult | None:
        """Queue a job and note it in `pending`; gives a result at once when systemd takes none."""
        try:
            path = self._call(method, string(unit), string("replace"), what=f"{_verb(method)} {unit}")
        except _Refused as refusal:
            is_done = method == "StopUnit" and isinstance(refusal, _NotLoaded)  # what is not loaded does not run
            return JobResult(unit=unit, result="done" if is_done else "refused", message=refusal.message)
        pending.setdefault(str(path), []).append(unit)
        return None

    def _wait(
        self, watch: _JobWatch, pending: _Pending, deadline: float | None, method: str, on_wait: OnWait | None
    ) -> Iterator[JobResult]:
        """Results as they come, until none is pending or it is too late; what is left in `pending` is still waiting."""
        lost: frozenset[str] = frozenset()
        while pending:
            left = _TICK_S if deadline is None else min(_TICK_S, deadline - time.monotonic())
            removed = watch.removed(pending.keys(), max(0.0, left))
            for path, result in removed.items():
                yield from (self._result(unit, result) for unit in pending.pop(path))
            if removed:
                continue
            if deadline is not None and time.monotonic() >= deadline:
                return
            gone = frozenset(pending) - self._queued()
            for path in gone & lost:  # gone for a whole second, and still no signal: it was lost
                yield from (self._result(unit, self._guess(unit, method)) for unit in pending.pop(path))
            lost = gone
            if on_wait:
                on_wait(_units(pending))

    def _queued(self) -> frozenset[str]:
        """The object paths of all jobs that systemd has now."""
        jobs = rows(self._call("ListJobs", what="list jobs"))
        return frozenset(str(rows(job)[4]) for job in jobs)

    def _guess(self, unit: str, method: str) -> str:
        state = self.property_of(unit, "Unit", "ActiveState", "s")
        wanted = {"inactive", "failed"} if method == "StopUnit" else {"active", "reloading"}
        return "done" if state in wanted else "failed"

    def _result(self, unit: str, result: str) -> JobResult:
        outcome = JobResult(unit=unit, result=result)
        if result in {"failed", "timeout"} and unit.endswith(".service"):
            return replace(outcome, failure=self.failure(unit))
        return outcome

    def gate_status(self, unit: str) -> int | None:
        """The exit status of the ExecStartPost= command that failed in its last start; None when none did."""
        return _gate_status(self.property_of(unit, "Service", "ExecStartPost", _COMMANDS))

    def failure(self, unit: str) -> Failure:
        """How the unit's last start ended. Read at once: its next automatic start overwrites it."""
        began = integer(self.property_of(unit, "Unit", "InactiveExitTimestampMonotonic", "t"))
        return Failure(
            result=str(self.property_of(unit, "Service", "Result", "s")),
            main_code=integer(self.property_of(unit, "Service", "ExecMainCode", "i")),
            main_status=integer(self.property_of(unit, "Service", "ExecMainStatus", "i")),
            gate_status=self.gate_status(unit),
            program=_program(self.property_of(unit, "Service", "ExecStart", _COMMANDS)),
            invocation=self.invocation(unit),
            main_pid=integer(self.property_of(unit, "Service", "ExecMainPID", "u")),
            main_exit_us=integer(self.property_of(unit, "Service", "ExecMainExitTimestamp", "t")),
            was_active=integer(self.property_of(unit, "Unit", "ActiveEnterTimestampMonotonic", "t")) >= began > 0,
        )


class _Refused(TqunitsError):
    """systemd answered, and said no to this one unit."""


class _NotLoaded(_Refused):
    """There is no such unit in memory."""


class _Connection:
    """One D-Bus connection; its errors are sentences, and it comes back once when the bus was restarted."""

    def __init__(self, *, user_mode: bool) -> None:
        self._user_mode = user_mode
        self._bus, self.private = _open(user_mode=user_mode)

    @property
    def bus(self) -> DBus:
        return self._bus

    def close(self) -> None:
        self._bus.close()  # the owners call it once: a second close aborts the interpreter

    def call(self, path: bytes, interface: bytes, method: bytes, arguments: Sequence[Argument], *, what: str) -> object:
        """Call a method; its answer, decoded."""
        try:
            return decoded(self._bus.call_method(_SERVICE, path, interface, method, list(arguments)).body)
        except DBusBaseError as error:
            if error.errno not in _DISCONNECTED:
                raise _translated(error, what) from None
        self._reopen()
        try:
            return decoded(self._bus.call_method(_SERVICE, path, interface, method, list(arguments)).body)
        except DBusBaseError as error:
            raise _translated(error, what) from None

    def property(self, path: bytes, interface: bytes, name: str, signature: str) -> object:
        """Read a property; its value, decoded."""
        try:
            return decoded(self._bus.get_property(_SERVICE, path, interface, name.encode(), signature.encode()))
        except DBusBaseError as error:
            raise _translated(error, f"tell {name}") from None

    def _reopen(self) -> None:
        gone = self._bus
        self._bus, self.private = _open(user_mode=self._user_mode)  # when this raises, `close` still finds one to close
        gone.close()


class _JobWatch:
    """JobRemoved signals, on a connection that makes no calls once it is set up."""

    def __init__(self, *, user_mode: bool) -> None:
        self._connection = _Connection(user_mode=user_mode)
        self._broken = False
        self._removed: dict[str, str] = {}
        self._wanted: frozenset[str] = frozenset()

        def on_job_removed(message: _JobRemoved, error: object = None, userdata: object = None) -> None:
            message.process_reply(False)
            _, path, _, result = message.body
            if path.decode() in self._wanted:
                self._removed[path.decode()] = result.decode()

        self._callback = on_job_removed  # libsystemd's pointer to it is borrowed: it has to live as long as we do
        bus = self._connection.bus
        sender = None if self._connection.private else _SERVICE
        bus.match_signal(sender, _PATH, _MANAGER, b"JobRemoved", self._callback)
        self._connection.call(_PATH, _MANAGER, b"Subscribe", [], what="subscribe to its signals")

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def removed(self, wanted: Collection[str], timeout_s: float) -> dict[str, str]:
        """Wait for signals about `wanted` jobs, at most so long; object path -> result."""
        self._wanted = frozenset(wanted)
        self._removed.clear()
        deadline = time.monotonic() + timeout_s
        self._process(_HANDSHAKE)
        while not self._removed:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll(left):
                break
            self._process(1)
        return dict(self._removed)

    def _poll(self, seconds: float) -> bool:
        """Wait until there is something to read; a broken connection never has."""
        poll = select.poll()
        descriptor = -1 if self._broken else self._connection.bus.get_fd()  # negative too once the bus has gone
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _process(self, times: int) -> None:
        """Dispatch messages, one each time. pystemd does not tell whether there was one."""
        try:
            for _ in range(0 if self._broken else times):
                self._connection.bus.process()
        except DBusBaseError:
            self._broken = True  # the bus was restarted: the list of jobs, read every second, is what is left


def _open(*, user_mode: bool) -> tuple[DBus, bool]:
    """Connect to the bus; where there is none (early boot, a minimal image), to systemd's own private socket.

    Gives the connection, and whether it is the private one. Raises TqunitsError.
    """
    os.environ.setdefault("SYSTEMD_BUS_TIMEOUT", _PATIENCE_S)
    bus = DBus(user_mode=user_mode)
    try:
        bus.open()
    except DBusBaseError as error:
        private = _open_private(user_mode=user_mode)
        if private is None:
            raise _unreachable(error, user_mode=user_mode) from None
        return private, True
    return bus, False


def _open_private(*, user_mode: bool) -> DBus | None:
    """systemd's private socket, which only the manager's own user may open; None where that fails as well."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}") if user_mode else "/run"
    bus = DBusAddress(f"unix:path={runtime}/systemd/private".encode(), peer_to_peer=True)
    try:
        bus.open()
    except DBusBaseError:
        return None
    return bus


def _unreachable(error: DBusBaseError, *, user_mode: bool) -> TqunitsError:
    if user_mode:
        hint = "log in as this user (loginctl enable-linger makes it permanent); sudo and su give no session"
        return TqunitsError("your own service manager can not be reached over D-Bus", hint=hint)
    if error.errno in {-errno.EACCES, -errno.EPERM}:
        return NotPermitted("the system bus does not let you in", hint="run it with sudo")
    hint = "it needs systemd as the init of this host, and dbus"
    return TqunitsError("the service manager can not be reached over D-Bus", hint=hint)


def _translated(error: DBusBaseError, what: str) -> TqunitsError:
    """One of pystemd's errors as a sentence: `what` completes "systemd did not ..."."""
    text = error.err_message
    message = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    match error:
        case DBusAccessDeniedError() | DBusInteractiveAuthorizationRequiredError():
            return NotPermitted(f"you are not permitted to {what}", hint="run it with sudo, or with --user")
        case DBusNoSuchUnitError():
            return _NotLoaded(message or f"systemd can not {what}: no such unit")
        case DBusTimeoutError() | DBusTimedOutError() | DBusNoReplyError():
            return TimedOut(f"systemd did not {what} in time")
    if error.errno in {-errno.ETIMEDOUT, -errno.ETIME}:
        return TimedOut(f"systemd did not {what} in time")
    return _Refused(f"systemd did not {what}: {message.rstrip('.') or os.strerror(abs(error.errno))}")


def _object(unit: str) -> bytes:
    """The unit's object path."""
    return bytes(path_encode(b"/org/freedesktop/systemd1/unit", unit.encode()))


def _status(row: object) -> UnitStatus:
    name, description, load, active, sub, *_ = (str(column) for column in rows(row))
    return UnitStatus(name=name, description=description, load=load, active=active, sub=sub)


def _gate_status(commands: object) -> int | None:
    """The exit status of the ExecStartPost= command that failed."""
    ended = ((rows(command)[8], rows(command)[9]) for command in rows(commands))
    return next((integer(status) for code, status in ended if code == os.CLD_EXITED and status), None)


def _program(commands: object) -> str:
    """The program that the first of these commands becomes: what a launcher executes stands behind its "--"."""
    for path, argv, *_ in map(rows, rows(commands)):
        words = [str(word) for word in rows(argv)]
        is_launched = "--" in words[:-1] and any(word.endswith(_LAUNCHER) for word in words[: words.index("--")])
        return words[words.index("--") + 1] if is_launched else str(path)
    return ""


def _units(pending: _Pending) -> list[str]:
    return [unit for units in pending.values() for unit in units]


def _verb(method: str) -> str:
    return method.removesuffix("Unit").lower()
