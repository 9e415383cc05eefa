"""Hosts of Debian 12 and 13, booted, on which the package is installed, and other versions of it.

`make test-deb` builds the package (packaging/build-deb) and unpacks the hosts
(packaging/host-root).
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import Machine

BUILT = Path(__file__).parents[2] / "build/deb"
SUITES = ("bookworm", "trixie")
DEBS = "/var/cache/debs"
KILLED = "/run/kill-dpkg"
"""A maintainer script of ours takes this file away and kills its dpkg, when it has come to the
moment that stands there: `postinst start`, `prerm end`."""


@dataclass(frozen=True, slots=True)
class Host:
    """A booted Debian. The packages lie in it below DEBS: `old.deb`, `new.deb`."""

    machine: Machine

    def sh(self, script: str, *, check: bool = True, timeout: float = 120.0) -> str:
        """What a shell prints, on both streams."""
        argv = ["sh", "-euc", script]
        return self.machine.run(argv, check=check, merge=True, timeout=timeout).stdout

    def status(self, script: str) -> int:
        return self.machine.run(["sh", "-uc", script], check=False, merge=True).returncode

    def apt(self, verb: str, *packages: str) -> str:
        """apt-get, without a network: all that the package needs is there."""
        names = " ".join(packages)
        return self.sh(f"DEBIAN_FRONTEND=noninteractive apt-get -y --allow-downgrades {verb} {names}")

    def install(self, version: str) -> str:
        return self.apt("install", f"{DEBS}/{version}.deb")

    def worker(self, name: str, yaml: str) -> None:
        """A worker that answers with its PID."""
        folder = f"/srv/tqunits/workers/{name}"
        self.machine.write(f"{folder}/config/worker.yaml", yaml)
        self.machine.write(f"{folder}/src/main.py", _WORKER)

    def pid(self, unit: str) -> int:
        return int(self.machine.show(unit, "MainPID"))

    def get(self, path: str) -> str:
        return self.sh(f"curl --silent --show-error --max-time 20 http://127.0.0.1:8080{path}")


def make_versions(suite: str, folder: Path) -> Path:
    """The package as it was built, new.deb, and one that is older, old.deb; gives their folder."""
    folder.mkdir()
    (built,) = (BUILT / suite).glob("tqunits_*.deb")
    unpacked = folder / "unpacked"
    subprocess.run(["dpkg-deb", "--raw-extract", str(built), str(unpacked)], check=True)
    for script in ("preinst", "postinst", "prerm", "postrm"):
        _make_mortal(unpacked / "DEBIAN" / script)
    _pack(unpacked, folder / "new.deb")
    control = unpacked / "DEBIAN/control"
    control.write_text(control.read_text().replace("Version: 1", "Version: 0.9~1", 1))
    (package,) = unpacked.glob("usr/lib/python3/dist-packages/tqunits/__init__.py")
    package.write_text(package.read_text().replace('"1', '"0.9.1', 1))
    template = unpacked / "usr/share/tqunits/unit-templates/tq-worker@.service.j2"
    template.write_text(template.read_text().replace("Description=Worker %i", "Description=Old worker %i"))
    _pack(unpacked, folder / "old.deb")
    shutil.rmtree(unpacked)
    return folder


def _make_mortal(script: Path) -> None:
    """dpkg is the parent of its scripts."""
    head, _, body = (script.read_text() if script.exists() else "#!/bin/sh\nset -e\n").partition("\n")
    die = f"""die() {{
    [ "$(cat {KILLED} 2>/dev/null)" != "{script.name} $1" ] || {{ rm {KILLED}; kill -9 $PPID; exit 1; }}
}}
die start
trap 'die end' EXIT
"""
    script.write_text(f"{head}\n{die}{body}")
    script.chmod(0o755)


def _pack(unpacked: Path, target: Path) -> None:
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", "-Znone", str(unpacked), str(target)], check=True)


_WORKER = """\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
