"""What happens while host/ works, as values: told one by one to whoever has asked for the work.

The command line makes lines, progress and --json of them. Nothing depends on what the listener does
with one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqunits.errors import Diagnostic
from tqunits.host.endings import Ending
from tqunits.host.lacking import Lacking
from tqunits.system.jobs import OnWait
from tqunits.units.steps import Build, Step


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the configuration that somebody should know."""

    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A worker that is not installed as it is configured. What is installed of it stays."""

    worker: str


@dataclass(frozen=True, slots=True)
class Omission:
    """A worker that this host can not run; `stays`: an earlier one is installed."""

    lack: Lacking
    stays: bool


@dataclass(frozen=True, slots=True)
class Restoration:
    """A drop-in that somebody had removed is there again."""

    path: Path


@dataclass(frozen=True, slots=True)
class BuildWaiver:
    """A build that is due is not run, for the host can not: its program came from elsewhere, and
    runs as it is."""

    worker: str
    program: str
    reason: str


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """Files of the worker's own that its build has written to stay as they were."""

    worker: str
    files: str


@dataclass(frozen=True, slots=True)
class BarredFiles:
    """What a build has made and no build may bring."""

    worker: str
    files: str


@dataclass(frozen=True, slots=True)
class StepStart:
    """A step of the plan, or a build before it, is performed; what has been begun before is
    done."""

    step: Step | Build


@dataclass(frozen=True, slots=True)
class HomeStay:
    """An account's home that can not be taken from it now."""

    account: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Units are waited for, since so many seconds; told about once a second."""

    units: tuple[str, ...]
    since_s: float


@dataclass(frozen=True, slots=True)
class Endings:
    """The jobs of a removal are over, and nothing is purged yet."""

    ended: tuple[Ending, ...]


@dataclass(frozen=True, slots=True)
class FolderRemoval:
    """What a worker, or tqunits, has stored is about to be removed."""

    path: Path


@dataclass(frozen=True, slots=True)
class FolderReturn:
    """A folder that was given to a worker's account is root's again."""

    path: Path


@dataclass(frozen=True, slots=True)
class UserRemoval:
    """An account is about to be removed."""

    user: str


Event = (
    Notice
    | Exclusion
    | Omission
    | Restoration
    | BuildWaiver
    | OwnFiles
    | BarredFiles
    | StepStart
    | HomeStay
    | Wait
    | Endings
    | FolderRemoval
    | FolderReturn
    | UserRemoval
)
Tell = Callable[[Event], None]


def ignore(event: Event) -> None:
    """For whoever wants to hear nothing."""


def tell_findings(tell: Tell, findings: Iterable[Diagnostic]) -> None:
    """Each of them."""
    for finding in findings:
        tell(Notice(finding))


def waiting(tell: Tell) -> OnWait:
    """What to hand to a wait that begins now."""
    begun = time.monotonic()

    def on_wait(units: Sequence[str]) -> None:
        tell(Wait(tuple(units), time.monotonic() - begun))

    return on_wait
