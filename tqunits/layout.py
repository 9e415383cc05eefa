"""Where things lie on this host: folders, and the names of files that more than one program
knows."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from tqunits.light_dataclass import dataclass

SERVING: Final = "serving"
"""The file in an instance's runtime folder which says that the instance takes requests."""

LEAVING: Final = "leaving"
"""The name that alone/leave.py gives to the file `serving` when the instance is about to stop."""

WORKER_YAML: Final = "config/worker.yaml"
"""A worker's configuration, below its folder."""

HOMES: Final = ("/home", "/root", "/run/user")
"""Folders that ProtectHome= shows as empty and closed (systemd.exec(5))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things lie on this host: in the system's folders, or with `--user` in the user's own.
    All paths are absolute."""

    units: PurePosixPath  # /etc/systemd/system
    sysusers: PurePosixPath | None  # /etc/sysusers.d; None with --user
    configuration: PurePosixPath  # /etc/tqunits
    polkit: PurePosixPath | None = None  # /etc/polkit-1/rules.d; None with --user
    state: PurePosixPath  # /var/lib/tqunits
    runtime: PurePosixPath  # /run/tqunits
    workers: PurePosixPath  # /srv/tqunits/workers, unless tqunits.yaml names another folder
    cache: PurePosixPath  # /var/cache/tqunits

    @property
    def routes(self) -> PurePosixPath:
        """Which request goes to which worker. `install` and `apply` write the file, the routers
        read it (routing/codec)."""
        return self.state / "routes.json"

    @property
    def traffic(self) -> PurePosixPath:
        """Which workers get no traffic now. The verbs write the file, the routers read it
        (routing/traffic.py)."""
        return self.runtime / "traffic.json"

    @property
    def unready(self) -> PurePosixPath:
        """Which instances get no traffic because their health checks fail. The manager writes the
        file, the routers read it (routing/unready.py)."""
        return self.runtime / "readiness" / "unready.json"

    @property
    def ledger(self) -> PurePosixPath:
        """The copy of all our drop-ins (units/ledger.py)."""
        return self.state / "ledger.json"

    @property
    def waiting(self) -> PurePosixPath:
        """Which workers wait for a restart. `install` and `apply` write the file, the manager reads
        it (host/restart_waits.py)."""
        return self.state / "waiting.json"

    @property
    def repair_request(self) -> PurePosixPath:
        """The file that a router writes to when a worker may be held for no reason. tq-repair.path
        watches it."""
        return self.state / "repair"

    @property
    def manager_state(self) -> PurePosixPath:
        """What the manager remembers; nobody else writes there."""
        return self.state / "manager"

    def deploys(self, worker: str) -> PurePosixPath:
        """The last deploys of a worker (manager/deploy_files.py)."""
        return self.manager_state / "deploys" / f"{worker}.json"

    def made(self, worker: str) -> PurePosixPath:
        """What builds have made in a worker's folder (host/made_paths.py)."""
        return self.state / "made" / worker

    def watched(self, worker: str) -> PurePosixPath:
        """What the manager has last acted upon of a worker's folder (manager/watched_files.py)."""
        return self.manager_state / "watched" / f"{worker}.json"

    def harvest_order(self, worker: str) -> PurePosixPath:
        """What the manager asks tq-harvest@NAME.service for."""
        return self.manager_state / "orders" / f"{worker}.json"

    def harvest_result(self, worker: str) -> PurePosixPath:
        """What came of it: root's file, for the manager."""
        return self.state / "harvested" / f"{worker}.json"

    @property
    def install_lock(self) -> PurePosixPath:
        """The lock of every program that changes what is installed."""
        return self.runtime / "install.lock"

    @property
    def manager_socket(self) -> PurePosixPath:
        """The control socket of the manager."""
        return self.runtime / "manager" / "control.sock"

    def control_socket(self, process: str) -> PurePosixPath:
        """The control socket of one process of the router, for root and the user `tqunits`.
        `process` is the number of the process; in a unit it is "%i"."""
        return self.runtime / "proxy" / process / "control.sock"

    @property
    def leave_sockets(self) -> PurePosixPath:
        """The folder with the leave socket of each process. The units of workers hand it to
        alone/leave.py, which lists it."""
        return self.runtime / "leave"

    def leave_socket(self, process: str) -> PurePosixPath:
        """The leave socket of one process of the router. Here any local user may ask whether a
        worker that is about to stop is drained."""
        return self.leave_sockets / process / "leave.sock"


SYSTEM_LAYOUT = Layout(
    units=PurePosixPath("/etc/systemd/system"),
    sysusers=PurePosixPath("/etc/sysusers.d"),
    configuration=PurePosixPath("/etc/tqunits"),
    polkit=PurePosixPath("/etc/polkit-1/rules.d"),
    state=PurePosixPath("/var/lib/tqunits"),
    runtime=PurePosixPath("/run/tqunits"),
    workers=PurePosixPath("/srv/tqunits/workers"),
    cache=PurePosixPath("/var/cache/tqunits"),
)
