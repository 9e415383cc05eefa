"""What a plan is made of: what is asked for, and the steps to it from what is there (observed.py),
each a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tqunits.model import Instance
from tqunits.units.rendering import RenderedFile
from tqunits.units.writable_folders import Given


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """Write a file whole. `keep_time`: only limits change, which needs no restart, so the file must
    not look newer."""

    file: RenderedFile
    before: str | None = field(repr=False)
    keep_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFile:
    """Remove a file of ours, and its folder when that is empty then."""

    path: PurePosixPath
    before: str = field(repr=False)
    is_secret: bool = False  # its content is shown to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateUsers:
    """Run systemd-sysusers on this file."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class Rehome:
    """Take the home of earlier releases from these workers' accounts: nothing of theirs may run
    meanwhile."""

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
    """Run a worker's build, and why. Before all other steps, which are planned anew with what it
    has made."""

    worker: str
    command: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove files and folders of ours that nothing reads: of a run that was cut off, or of an
    earlier release."""

    paths: tuple[PurePosixPath, ...]


@dataclass(frozen=True, slots=True)
class Unshadow:
    """Remove the runtime drop-ins of limits that a run has left which was cut off
    (host/live.py)."""


@dataclass(frozen=True, slots=True)
class Expect:
    """Have requests wait for instances that were stopped, and are started now
    (host/traffic_file.py)."""

    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class ForgetPauses:
    """Forget what the pauses between the tries of workers remember that are gone
    (host/pauses.py)."""

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
    """What the configuration asks for."""

    units: tuple[RenderedFile, ...]  # unit files, drop-ins, sysusers.d
    copies: tuple[RenderedFile, ...]  # of the files that worker.yaml names; their content is secret
    refits: tuple[RenderedFile, ...] = ()  # drop-ins of workers that are not rendered, brought up to this release
    routes: RenderedFile
    workers: frozenset[str]  # every configured worker, also those that are left alone
    left_alone: frozenset[str] = frozenset()  # configured, and in no file of this plan: they stay as they are installed
    files_alone: frozenset[str] = frozenset()  # configured, and files that the router serves: they have no unit
    enabled: tuple[str, ...]  # units that start at boot, and with --now
    disabled: tuple[str, ...]  # units that are configured not to run
    given: tuple[Given, ...] = ()  # folders that workers may write, and that are not theirs yet
    builds: tuple[Build, ...] = ()  # those that are due, or have been run for this plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for."""

    now: bool = False
    prune: bool = False
    replace: bool = False
    routers_alone: bool = False  # with `now`: no worker is started, restarted or stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps, and what the operator should know besides."""

    builds: tuple[Build, ...] = ()  # before the first step
    steps: tuple[Step, ...]
    read_back: tuple[str, ...] = ()  # workers' units whose limits are compared and enforced after the last step
    foreign: tuple[PurePosixPath, ...]  # in the way and not ours: nothing may be done
    orphans: tuple[str, ...]  # workers that are installed, but not configured, and stay
    pending: tuple[str, ...]  # running units that need a restart to take their change
    outdated: frozenset[str] = frozenset()  # of those, processes of the router that run the code of another release
    masked: tuple[str, ...]  # units the administrator has masked: they stay so
    leaving: tuple[str, ...] = ()  # workers that are removed
