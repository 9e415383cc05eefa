"""What a look at the host has found: what a plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tqunits.model import INFINITY, Instance

_UP = frozenset({"active", "reloading", "refreshing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedFile:
    """A file as it lies there."""

    content: str = field(repr=False)
    modified: int  # µs since 1970: its modification time, or its change time if that is earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedUnit:
    """A unit as systemd has it; `started` (µs since 1970) is when its latest start began, 0 when it
    never did."""

    state: str  # ActiveState
    started: int
    needs_reload: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Remnants:
    """What is on the host besides files and units: of earlier runs, of earlier releases, and in
    /run."""

    unread: tuple[PurePosixPath, ...] = ()  # temporary files of runs that were cut off, folders of earlier builds
    marks: tuple[PurePosixPath, ...] = ()  # what an earlier release's workers are to leave by; nothing else reads it
    has_shadows: bool = False  # runtime drop-ins of limits
    stopped: frozenset[Instance] = frozenset()  # those that requests do not wait for
    pauses: frozenset[str] = frozenset()  # workers of which pauses between tries remember something


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is on the host."""

    files: Mapping[PurePosixPath, ObservedFile]  # those we may want to write, and every file with our header
    copies: Mapping[PurePosixPath, ObservedFile]  # apart: their content is the workers', and may look like ours
    units: Mapping[str, ObservedUnit]  # the loaded ones, by name
    file_states: Mapping[str, str]  # UnitFileState of the wanted and of the installed units, by name
    missing_users: frozenset[str]
    now: int = INFINITY  # µs since 1970
    unserved: Mapping[Instance, PurePosixPath] = field(
        default_factory=dict
    )  # who has a runtime folder -> its missing file
    built: Mapping[str, int] = field(default_factory=dict)  # worker -> when its program was built, µs since 1970
    homes: frozenset[str] = frozenset()  # accounts of ours with a home that their worker may write
    codes: Mapping[str, str] = field(
        default_factory=dict
    )  # process of the router -> the code it was started by, if told

    remnants: Remnants = Remnants()

    def state(self, unit: str) -> str:
        """Its ActiveState."""
        return self.units[unit].state if unit in self.units else "inactive"

    def is_up(self, unit: str) -> bool:
        """Whether it does what it is for."""
        return self.state(unit) in _UP

    def runs(self, unit: str) -> bool:
        """It has processes, or will have in a moment: a crash loop counts, it would come back on
        the old files."""
        return self.is_up(unit) or self.state(unit) == "activating"
