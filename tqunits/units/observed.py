"""The state of the host as values, from which a plan is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import PurePosixPath

from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY, Instance

_UP = frozenset({"active", "reloading", "refreshing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedFile:
    """An installed file."""

    content: str = field(repr=False)
    modified: int  # µs since 1970: its modification time, or its change time if that is earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedUnit:
    """A unit in systemd. `started` is when its latest start began, in µs since 1970; 0: never."""

    state: str  # ActiveState
    started: int
    needs_reload: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Remnants:
    """What is on the host besides files and units: left-overs of earlier runs and releases, and
    entries in /run."""

    unread: tuple[PurePosixPath, ...] = ()  # temporary files of interrupted runs, folders of earlier builds
    marks: tuple[PurePosixPath, ...] = ()  # the marks of an earlier release's workers, which no other program reads
    has_shadows: bool = False  # runtime drop-ins of limits
    stopped: frozenset[Instance] = frozenset()  # instances for which no request is to wait
    pauses: frozenset[str] = frozenset()  # workers of which the back-off has a record


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The state of the host."""

    files: Mapping[PurePosixPath, ObservedFile]  # files that we may want to write, and every file with our header
    copies: Mapping[PurePosixPath, ObservedFile]  # kept apart: their content is the workers' and may look like ours
    units: Mapping[str, ObservedUnit]  # the loaded ones, by name
    file_states: Mapping[str, str]  # UnitFileState of the wanted and of the installed units, by name
    missing_users: frozenset[str]
    now: int = INFINITY  # µs since 1970
    unserved: Mapping[Instance, PurePosixPath] = field(
        default_factory=dict
    )  # who has a runtime folder -> its missing file
    built: Mapping[str, int] = field(default_factory=dict)  # worker -> when its program was built, in µs since 1970
    homes: frozenset[str] = frozenset()  # accounts of ours whose home their worker may write
    codes: Mapping[str, str] = field(
        default_factory=dict
    )  # process of the router -> the code it was started by, if told

    remnants: Remnants = Remnants()

    def state(self, unit: str) -> str:
        """Its ActiveState."""
        return self.units[unit].state if unit in self.units else "inactive"

    def is_up(self, unit: str) -> bool:
        """Whether the unit is up: its service has started, its socket listens."""
        return self.state(unit) in _UP

    def runs(self, unit: str) -> bool:
        """Whether the unit has processes, or will have them soon. A crash loop counts: it would
        restart with the old files."""
        return self.is_up(unit) or self.state(unit) == "activating"


def is_newer(at: int, started: int, now: int) -> bool:
    """Whether what was made at this time is newer than a process; all in µs since 1970, 0: never.

    A time that is yet to come says nothing: the clock was set back, and no start would ever be
    later.
    """
    return 0 < started < at <= now
