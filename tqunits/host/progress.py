"""What happens during the operations of host/, as values. The caller of an operation gets them one
by one.

The command line makes lines, progress and --json of them. No operation depends on what its listener
does with an event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tqunits.errors import Diagnostic
from tqunits.host.endings import Ending
from tqunits.host.lacking import Lacking
from tqunits.light_dataclass import dataclass
from tqunits.system.jobs import OnWait
from tqunits.units.steps import Build, Step


@dataclass(frozen=True, slots=True)
class Notice:
    """A finding about the configuration."""

    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A worker that is not installed as it is configured. What is installed of it stays as it
    is."""

    worker: str


@dataclass(frozen=True, slots=True)
class Omission:
    """A worker that this host can not run. `stays`: an earlier version of it is installed and
    stays."""

    lack: Lacking
    stays: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """Another tqunits is at work, and it is waited for. `holder`: its process."""

    holder: str


@dataclass(frozen=True, slots=True)
class Restoration:
    """A drop-in that somebody had removed was put back."""

    path: Path


@dataclass(frozen=True, slots=True)
class BuildWaiver:
    """A build that is due is not run, because the host lacks what it needs. The program came from
    elsewhere and runs as it is."""

    worker: str
    program: str
    reason: str


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """The worker's own files to which its build has written. They stay as they were."""

    worker: str
    files: str


@dataclass(frozen=True, slots=True)
class BarredFiles:
    """Results of a build that are not taken over."""

    worker: str
    files: str


@dataclass(frozen=True, slots=True)
class StepStart:
    """A step of the plan begins, or a build before it. The step before is done."""

    step: Step | Build


@dataclass(frozen=True, slots=True)
class HomeStay:
    """A home that can not be taken from its account now."""

    account: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReleaseReturn:
    """A worker that ran from its folder, in development mode, runs its last release again."""

    worker: str
    release: str


@dataclass(frozen=True, slots=True)
class Wait:
    """How many seconds these units have been waited for. Sent about once a second."""

    units: tuple[str, ...]
    since_s: float


@dataclass(frozen=True, slots=True)
class Endings:
    """The jobs of a removal are over. Nothing is purged yet."""

    ended: tuple[Ending, ...]


@dataclass(frozen=True, slots=True)
class FolderRemoval:
    """A folder with data of a worker, or of tqunits, is about to be removed."""

    path: Path


@dataclass(frozen=True, slots=True)
class FolderReturn:
    """A folder that was given to a worker's account belongs to root again."""

    path: Path


@dataclass(frozen=True, slots=True)
class UserRemoval:
    """An account is about to be removed."""

    user: str


Event = (
    Notice
    | Exclusion
    | Omission
    | Turn
    | Restoration
    | BuildWaiver
    | OwnFiles
    | BarredFiles
    | StepStart
    | HomeStay
    | ReleaseReturn
    | Wait
    | Endings
    | FolderRemoval
    | FolderReturn
    | UserRemoval
)
Tell = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener that ignores every event."""


def tell_findings(tell: Tell, findings: Iterable[Diagnostic]) -> None:
    """Tell each finding."""
    for finding in findings:
        tell(Notice(finding))


def waiting(tell: Tell) -> OnWait:
    """The callback for a wait that begins now."""
    begun = time.monotonic()

    def on_wait(units: Sequence[str]) -> None:
        tell(Wait(tuple(units), time.monotonic() - begun))

    return on_wait
