"""What the manager knows of one instance, and a change of it: frozen values, without I/O.

Times are µs since 1970; spans are µs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from tqunits.health import Health, HealthType
from tqunits.lifecycle.state import AT_REST, Event, State
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.units.folder_note import FolderUse
from tqunits.units.watch_note import WatchNote


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the installed files say of an instance: where it is, and how it is asked."""

    whose: Instance
    unit: str
    routes: tuple[str, ...]
    hosts: tuple[str, ...]
    address: str  # 127.0.0.1:9000, or the path of its socket
    source: str  # its worker.yaml
    source_hash: str = ""  # of the settings that it was made of
    public: str | None = None  # the folder whose files the router serves, absolute
    health: Health | None = None  # the rules of its checks; None: its drop-in does not say
    watch: WatchNote | None = None  # what of its worker's files is watched; None: they are not
    copied: tuple[str, ...] = ()  # files of others than root that its unit has copies of
    operators: tuple[str, ...] = ()  # who may operate the worker: users, and groups as %group
    is_surge: bool = False  # none of its worker's replicas: it runs during a roll only
    folder_use: FolderUse | None = None  # it runs from its worker's folder, in development mode

    @property
    def is_checked(self) -> bool:
        """Whether its health is checked while it runs. A health command runs in the instance's
        sandbox only, so only at its start."""
        rules = self.health
        is_asked = rules is not None and rules.type in {HealthType.HTTP, HealthType.TCP} and rules.interval > 0
        return is_asked and bool(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What systemd says of an instance's unit at one moment."""

    event: Event  # the one that leads to the unit's present state
    invocation: str = ""  # of its latest start, 32 hex digits
    pid: int | None = None
    cgroup: str = ""  # its path (ControlGroup=); "" while it does not run
    begun: int | None = None  # when its latest start began: what it was started with was read then
    started: int | None = None  # when that start was complete
    restarts: int = 0  # automatic ones
    result: str = "success"  # why its last run ended (systemd.service(5), $SERVICE_RESULT)
    cause: str = ""  # the same in words; "" while nothing is wrong
    command: tuple[str, ...] = ()  # of ExecStart=


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One health check, and what it found."""

    at: int  # when it began
    elapsed: int
    asked: str  # 127.0.0.1:9000/health
    wrong: str = ""  # what is wrong with the answer, with 200 bytes of it; "" for a healthy one
    failures: int = 0  # failed checks in a row, this one included

    @property
    def cause(self) -> str:
        """What was asked, and what is wrong with the answer; "" for a healthy one."""
        return f"{self.asked}: {self.wrong}" if self.wrong else ""


RECALLED: Final = "it failed its health checks before the manager was restarted, and was not checked since"

NOT_SEEN = Seen(event=Event.ENDED)
"""Before systemd was asked, and of a unit that is not loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecord:
    """An instance."""

    place: Place
    state: State = State.STOPPED
    since: int = 0  # when it came into this state, as far as the manager saw it; 0: before
    seen: Seen = NOT_SEEN
    check: Checked | None = None  # the last one of its present run
    requested_restarts: int = 0  # those that the manager has asked for, because it was not healthy

    @property
    def is_counted(self) -> bool:
        """Whether it says something about its worker: a replica always does, a surge while it
        serves."""
        return not self.place.is_surge or self.state is State.HEALTHY

    @property
    def rests(self) -> bool:
        """Whether it is a surge that does not run: nobody has to hear of it."""
        return self.place.is_surge and self.state in AT_REST

    @property
    def why(self) -> str:
        """Why it is not healthy; "" where there is nothing to explain."""
        if self.state is not State.UNHEALTHY and self.state is not State.FAILED:
            return ""
        if self.seen.event is Event.READY:
            return self.check.cause if self.check is not None else RECALLED
        return self.seen.cause

    def body(self) -> Mapping[str, object]:
        """The JSON object."""
        return {
            "name": str(self.place.whose),
            "worker": self.place.whose.worker,
            "instance": self.place.whose.number,
            "surge": self.place.is_surge,
            "unit": self.place.unit,
            "routes": list(self.place.routes),
            "hosts": list(self.place.hosts),
            "address": self.place.address,
            "source": self.place.source,
            "state": self.state.value,
            "since_us": self.since or None,
            "why": self.why or None,
            "pid": self.seen.pid,
            "started_us": self.seen.started,
            "restarts": self.seen.restarts,
            "requested_restarts": self.requested_restarts,
            "result": self.seen.result,
            "check": None if self.check is None else _check(self.check),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An instance has come from one state into another."""

    number: int  # counted from 1 since the manager's start
    at: int
    whose: Instance
    event: Event
    before: State
    after: State
    cause: str  # in words; "" where the event says all
    is_surge: bool = False  # its comings and goings are a roll's: they say nothing about its worker

    def body(self) -> Mapping[str, object]:
        """The JSON object."""
        return {
            "number": self.number,
            "at_us": self.at,
            "name": str(self.whose),
            "worker": self.whose.worker,
            "instance": self.whose.number,
            "surge": self.is_surge,
            "event": self.event.value,
            "before": self.before.value,
            "after": self.after.value,
            "cause": self.cause or None,
        }


def summary(records: Iterable[InstanceRecord]) -> str:
    """A line for `systemctl status`: how many replicas are in which state."""
    counts = Counter(record.state.value for record in records if not record.place.is_surge)
    parts = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"{sum(counts.values())} instances: {parts}" if parts else "no worker is installed"


def _check(found: Checked) -> Mapping[str, object]:
    return {
        "at_us": found.at,
        "elapsed_us": found.elapsed,
        "asked": found.asked,
        "healthy": not found.wrong,
        "wrong": found.wrong or None,
        "failures": found.failures,
    }
