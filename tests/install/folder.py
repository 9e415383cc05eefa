"""A folder of workers on a booted systemd: a test fills it, installs it and sends requests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import Host

PROBE = (Path(__file__).parent / "probe.py").read_text(encoding="utf-8")
ROOT = "/srv/site"
LISTEN = 8080


@dataclass(frozen=True)
class WorkersFolder:
    """`tqunits -C /srv/site` in the machine; or, with `options` empty, the host's own
    configuration."""

    machine: Host
    options: tuple[str, ...] = ("-C", ROOT)
    configuration: str = f"{ROOT}/config/tqunits.yaml"
    common: str = ""  # the beginning of each tqunits.yaml

    def worker(self, name: str, yaml: str = "", *, program: str = PROBE) -> None:
        """Write a worker: its YAML (`path: /NAME` and `type: python` are there already) and its
        program."""
        self.yaml(name, f"path: /{name}\ntype: python\ncommand: [python3, src/main.py]\n{yaml}")
        self.machine.write(f"{ROOT}/workers/{name}/src/main.py", program)

    def yaml(self, name: str, text: str) -> None:
        """Write a worker's YAML as it is."""
        self.machine.write(f"{ROOT}/workers/{name}/config/worker.yaml", text)

    def server(self, text: str) -> None:
        """Write tqunits.yaml."""
        self.machine.write(self.configuration, self.common + text)

    def remove_worker(self, name: str) -> None:
        self.machine.remove(f"{ROOT}/workers/{name}")

    def run(self, *arguments: str, status: int = 0, timeout: float = 90.0) -> str:
        """Run tqunits on the folder and check the exit status; gives stdout and stderr, in this
        order."""
        done = self.machine.tqunits(*self.options, *arguments, check=False, timeout=timeout)
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def install(self, *arguments: str, status: int = 0) -> str:
        return self.run("install", "--now", *arguments, status=status)

    def get(self, path: str) -> tuple[int, Any]:
        """GET through the router: the status, and decoded JSON (or text)."""
        url = f"http://localhost:{LISTEN}{path}"
        done = self.machine.run(["curl", "-s", "-m", "20", "-w", "\n%{http_code}", url], check=False)
        body, _, status = done.stdout.rpartition("\n")
        try:
            return int(status), json.loads(body)
        except ValueError:
            return int(status), body

    def drop_in(self, name: str) -> str:
        return f"/etc/systemd/system/tq-worker@{name}.service.d/10-tqunits.conf"

    def files(self) -> dict[str, str]:
        """All files on the host that could be ours: path -> hash (or the link's target).

        Without the files that routers write by themselves, where a start takes long.
        """
        script = (
            "find /etc/systemd /etc/sysusers.d /etc/tqunits /var/lib/tqunits /var/lib/private /var/cache/tqunits"
            " /var/cache/private /run/systemd/system /run/systemd/system.control /run/tqunits"
            " \\( -type f -exec sha256sum {} + \\) -o \\( -type l -printf '%l  %p\\n' \\) 2>/dev/null; true"
        )
        lines = (line.partition("  ") for line in self.machine.run(["sh", "-c", script]).stdout.splitlines())
        return {path: digest for digest, _, path in lines if not path.endswith((".lock", "/repair"))}

    def users(self) -> set[str]:
        text = self.machine.read("/etc/passwd") + self.machine.read("/etc/group")
        return {line.partition(":")[0] for line in text.splitlines()}

    def unwatched(self) -> None:
        """Stop tq-repair, which puts lost files back. Any change of the units' folder triggers it,
        ours included."""
        self.machine.systemctl("stop", "tq-repair.path", "tq-repair.service")

    def units(self) -> list[str]:
        """Our units that are loaded."""
        text = self.machine.systemctl("list-units", "--all", "--plain", "--no-legend", "tq-*", "tq.*")
        return [line.split()[0] for line in text.splitlines()]
