"""Where things lie on this host: folders, and the names of the files that more than one program
knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

SERVING: Final = "serving"
"""The file in a worker's runtime folder that says that it takes requests."""

LEAVING: Final = "leaving"
"""What a worker that was asked to leave has in its place (alone/leave.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things go on this host: the system's folders, or a user's own with `--user`. All
    absolute."""

    units: PurePosixPath  # /etc/systemd/system
    sysusers: PurePosixPath | None  # /etc/sysusers.d; None with --user
    configuration: PurePosixPath  # /etc/tqunits
    state: PurePosixPath  # /var/lib/tqunits
    runtime: PurePosixPath  # /run/tqunits
    workers: PurePosixPath  # /srv/tqunits/workers, where tqunits.yaml does not say
    cache: PurePosixPath  # /var/cache/tqunits

    @property
    def routes(self) -> PurePosixPath:
        """Which request goes where: install and apply write it, the routers read it
        (routing/codec)."""
        return self.state / "routes.json"

    @property
    def traffic(self) -> PurePosixPath:
        """Who gets no traffic now: whoever orders it writes it, the routers read it
        (routing/traffic.py)."""
        return self.runtime / "traffic.json"

    @property
    def ledger(self) -> PurePosixPath:
        """The second home of the drop-ins (units/ledger.py)."""
        return self.state / "ledger.json"

    @property
    def repair_request(self) -> PurePosixPath:
        """What a router writes to when a worker may be held for no reason: tq-repair.path watches
        it."""
        return self.state / "repair"

    @property
    def install_lock(self) -> PurePosixPath:
        """Whoever changes what is installed holds it."""
        return self.runtime / "install.lock"

    def control_socket(self, process: str) -> PurePosixPath:
        """Where a process of the router is asked by root and the manager; `process`: its number,
        "%i" in a unit."""
        return self.runtime / "proxy" / process / "control.sock"

    @property
    def leave_sockets(self) -> PurePosixPath:
        """The folder where alone/routers.py finds the leave socket of each process: it imports
        nothing of ours."""
        return self.runtime / "leave"

    def leave_socket(self, process: str) -> PurePosixPath:
        """Where every local user asks a process of the router whether a worker that leaves is
        drained."""
        return self.leave_sockets / process / "leave.sock"


SYSTEM_LAYOUT = Layout(
    units=PurePosixPath("/etc/systemd/system"),
    sysusers=PurePosixPath("/etc/sysusers.d"),
    configuration=PurePosixPath("/etc/tqunits"),
    state=PurePosixPath("/var/lib/tqunits"),
    runtime=PurePosixPath("/run/tqunits"),
    workers=PurePosixPath("/srv/tqunits/workers"),
    cache=PurePosixPath("/var/cache/tqunits"),
)
