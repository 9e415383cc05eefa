"""The parts of a plan, as values: the desired state, and the steps from the observed state
(observed.py) to it."""

from __future__ import annotations

from dataclasses import field
from pathlib import PurePosixPath

from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.units.rendering import RenderedFile
from tqunits.units.writable_folders import Given


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """Write a file whole. `keep_time`: only limits change, which needs no restart, so the file
    keeps its time."""

    file: RenderedFile
    before: str | None = field(repr=False)
    keep_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFile:
    """Remove a file of ours, and its folder if that is empty then."""

    path: PurePosixPath
    before: str = field(repr=False)
    is_secret: bool = False  # its content is shown to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateUsers:
    """Run systemd-sysusers on this file."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class Rehome:
    """Remove the homes of these workers' accounts, which an earlier release has set. Nothing of
    these workers may run meanwhile."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Give:
    """Make folders that workers may write, and give them to their accounts."""

    folders: tuple[Given, ...]


@dataclass(frozen=True, slots=True)
class Admit:
    """Make the file `serving` of workers that run and have none (host/handover.py)."""

    files: tuple[PurePosixPath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Run a worker's build; `reason` says why. Builds come before all other steps, which are then
    planned anew."""

    worker: str
    command: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove files and folders of ours that nothing reads any more: left by an interrupted run or
    an earlier release."""

    paths: tuple[PurePosixPath, ...]


@dataclass(frozen=True, slots=True)
class Unshadow:
    """Remove runtime drop-ins of limits that an interrupted run has left (host/live.py)."""


@dataclass(frozen=True, slots=True)
class Expect:
    """Let requests wait for instances that were stopped and are started now
    (host/traffic_file.py)."""

    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class ForgetPauses:
    """Remove the back-off's records of workers that are gone (host/pauses.py)."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReloadDaemon:
    """`systemctl daemon-reload`."""


@dataclass(frozen=True, slots=True)
class Enable:
    """`systemctl enable UNIT ...`."""

    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Disable:
    """`systemctl disable UNIT ...`."""

    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """`systemctl start UNIT ...`, all at once, waiting for all."""

    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """`systemctl restart UNIT ...`, all at once, waiting for all."""

    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """`systemctl stop UNIT ...`, all at once, waiting for all."""

    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reload:
    """`systemctl reload UNIT ...`: the router reads its routes again."""

    units: tuple[str, ...]


Job = Start | Restart | Stop | Reload
Upkeep = Discard | Unshadow | Expect | ForgetPauses
Step = WriteFile | RemoveFile | CreateUsers | Rehome | Give | Admit | ReloadDaemon | Enable | Disable | Job | Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The desired state, from the configuration."""

    units: tuple[RenderedFile, ...]  # unit files, drop-ins, sysusers.d
    copies: tuple[RenderedFile, ...]  # of the files that worker.yaml names; their content is secret
    refits: tuple[RenderedFile, ...] = ()  # drop-ins of workers that are not rendered, brought up to this release
    routes: RenderedFile
    workers: frozenset[str]  # every configured worker, also those that are left alone
    left_alone: frozenset[str] = frozenset()  # configured, but in no file of this plan: they stay as they are installed
    files_alone: frozenset[str] = frozenset()  # configured, and static files only: they have no unit
    enabled: tuple[str, ...]  # units that start at boot, and with --now
    disabled: tuple[str, ...]  # units that are configured not to run
    surges: frozenset[str] = frozenset()  # services that only a roll starts and stops
    given: tuple[Given, ...] = ()  # folders that workers may write and do not own yet
    builds: tuple[Build, ...] = ()  # those that are due, or have been run for this plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line."""

    now: bool = False
    prune: bool = False
    replace: bool = False
    routers_alone: bool = False  # with `now`: no worker is started, restarted or stopped
    unattended: bool = False  # with `now`: nobody looks on, so no worker that runs is restarted (host/plan.py)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps, and what else the operator should know."""

    builds: tuple[Build, ...] = ()  # before the first step
    steps: tuple[Step, ...]
    read_back: tuple[str, ...] = ()  # workers' units whose limits are compared and enforced after the last step
    foreign: tuple[PurePosixPath, ...]  # files in the way that are not ours: nothing may be done
    orphans: tuple[str, ...]  # workers that are installed but not configured, and stay
    pending: tuple[str, ...]  # running units that need a restart for their change
    outdated: frozenset[str] = frozenset()  # those of them that are router processes with the code of another release
    spare: frozenset[str] = frozenset()  # instances that run, and are more than their worker is to have
    masked: tuple[str, ...]  # units that the administrator has masked; they stay masked
    leaving: tuple[str, ...] = ()  # workers that are removed
