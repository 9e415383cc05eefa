"""A host with the package installed by apt, and workers in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from install.folder import ROOT, WorkersFolder
from machine import Host

_KEEP = "Dpkg::Options::=--force-confold"  # what an administrator has edited stays, and nobody is asked
APT_GET = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--allow-downgrades", "-o", _KEEP)
APT = (*APT_GET, "install")
APT_SECONDS = 600.0  # on an emulated processor it takes 10 to 60
STATE = "/var/lib/tqunits"
UNITS = "/etc/systemd/system/"
PASSING = ("/run/", "/var/cache/", f"{STATE}/workers/")
OURS = ("tq-", "tq.", "run-tqunits-")


@dataclass(frozen=True)
class PackagedHost(WorkersFolder):
    """A file beside tqunits.yaml makes the folder the host's own; tqunits.yaml stays as in the
    package."""

    machine: Host
    options: tuple[str, ...] = ()
    configuration: str = "/etc/tqunits/tqunits.yaml.d/50-tests.yaml"
    common: str = f"workers: {{directory: {ROOT}/workers}}\n"

    def lay_down(self, deb: Path) -> str:
        """Copy a package into the machine; gives its path there."""
        path = f"/var/tmp/{deb.name}"
        if not self.machine.exists(path):
            self.machine.write(path, deb.read_bytes())
            self.machine.run(["sync", path])
        return path

    def apt_install(self, deb: Path) -> str:
        """Install a package from its file, without a network; gives apt's output."""
        self.machine.run(["mkdir", "-p", f"{ROOT}/workers"])
        return self.machine.run([*APT, self.lay_down(deb)], timeout=APT_SECONDS, merge=True).stdout

    def apt(self, verb: str) -> str:
        """apt's output when it does that with the package."""
        return self.machine.run([*APT_GET, verb, "tqunits"], timeout=APT_SECONDS, merge=True).stdout

    def pid(self, unit: str) -> int:
        """The unit's main process."""
        return int(self.machine.show(unit, "MainPID"))

    def installed_version(self) -> str:
        """The version of the package, if dpkg has it configured."""
        form = "--showformat=${db:Status-Status} ${Version}"
        status, _, version = self.machine.run(["dpkg-query", "--show", form, "tqunits"]).stdout.partition(" ")
        assert status == "installed"
        return version

    def running_workers(self) -> set[str]:
        """The names of the workers whose unit is active or activating."""
        states = "--state=active,activating,reloading"
        text = self.machine.systemctl("list-units", "--plain", "--no-legend", states, "tq-worker@*.service")
        return {line.split()[0].removeprefix("tq-worker@").removesuffix(".service") for line in text.splitlines()}

    def lasting_files(self) -> dict[str, str]:
        """Those of `files` that exist at boot, without those that starts of workers have
        written."""
        return {path: digest for path, digest in self.files().items() if not path.startswith(PASSING)}

    def laid_down_units(self) -> set[str]:
        """Our units that have a file or a drop-in, enabled or not."""
        names = (path.removeprefix(UNITS).split("/")[0].removesuffix(".d") for path in self.files() if UNITS in path)
        return {name for name in names if name.startswith(OURS) and "@." not in name and not name.endswith(".wants")}

    def assert_sound(self) -> None:
        """All files that exist at boot are whole: systemd reads every unit of ours without a
        message, and our own files are valid."""
        units = sorted({*self.units(), *self.laid_down_units()})
        verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units]
        assert self.machine.run(verify, merge=True, timeout=APT_SECONDS).stdout == ""
        for name in ("ledger.json", "routes.json"):
            assert isinstance(json.loads(self.machine.read(f"{STATE}/{name}")), dict)
