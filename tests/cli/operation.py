"""Workers for the tests of the operating verbs: units and drop-ins that the tests write as install
would."""

from __future__ import annotations

from machine import Machine

UNITS = "/etc/systemd/system"

TEMPLATE = """\
[Unit]
PartOf=tq.target
AssertPathExists=/etc/systemd/system/tq-worker@%i.service.d/10-tqunits.conf
[Service]
Type=exec
ExecStart=/bin/sleep infinity
CPUAccounting=yes
MemoryAccounting=yes
[Install]
WantedBy=tq.target
"""

TARGET = "[Unit]\nDescription=Workers\n[Install]\nWantedBy=multi-user.target\n"


def drop_in(name: str, service: str = "", *, port: int = 9000, enabled: bool = True) -> str:
    """The drop-in of a worker; `service`: more lines for its [Service] section."""
    return f"""\
# Rendered by tqunits from /srv/tqunits/workers/{name}/config/worker.yaml (sha256 0). Do not edit.
[Service]
User=nobody
MemoryMax=64M
{service}
[X-Tqunits]
Worker={name}
Source=/srv/tqunits/workers/{name}/config/worker.yaml
SourceHash=0
Port={port}
Route=/{name}
Enabled={"yes" if enabled else "no"}
RestartHash=0
"""


def path_of(name: str) -> str:
    return f"{UNITS}/tq-worker@{name}.service.d/10-tqunits.conf"


class Host:
    """A machine with workers on it; all of them are removed at the end."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.names: list[str] = []
        machine.write(f"{UNITS}/tq-worker@.service", TEMPLATE)
        machine.write(f"{UNITS}/tq.target", TARGET)

    def install(self, **services: str) -> None:
        """Install workers: name -> lines of its [Service] section."""
        for name, service in services.items():
            self.write(name, service)
        self.machine.systemctl("daemon-reload")

    def write(self, name: str, service: str = "", *, enabled: bool = True) -> None:
        """Write one drop-in, which systemd does not know before the next daemon-reload."""
        self.names.append(name)
        self.machine.write(path_of(name), drop_in(name, service, port=9000 + len(self.names), enabled=enabled))

    def state(self, name: str) -> str:
        return self.machine.show(f"tq-worker@{name}.service", "ActiveState")

    def clean(self) -> None:
        units = [f"tq-worker@{name}.service" for name in self.names]
        if units:
            self.machine.systemctl("disable", "--now", "--quiet", *units, check=False)
            self.machine.systemctl("reset-failed", *units, check=False)
        for path in ("tq-worker@.service", "tq.target", *(f"{unit}.d" for unit in units)):
            self.machine.remove(f"{UNITS}/{path}")
        self.machine.systemctl("daemon-reload")
