"""Programs of other projects as workers, with the YAML of docs/runtimes.md: copied into the
machine, sent requests, and stopped during a request."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from machine import Machine

from setup import ROOT as CHECKOUT

from .conftest import LISTEN, ROOT, Site
from .control import in_flight

APPS = Path(__file__).parent / "apps"
PAGE = CHECKOUT / "docs/runtimes.md"
IN_MACHINE = "/opt/tqunits"
WORKERS, REAL = CHECKOUT / "build/workers", CHECKOUT / "build/real"
"""The programs that `make test` and `make test-real` install."""

_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_YAML = re.compile(r"^```yaml\n(.*?)^```\n", re.MULTILINE | re.DOTALL)

VENV = """
set -eu
/usr/bin/python3 -m venv --without-pip "$1/venv"
for packages in "$1"/venv/lib/python3*/site-packages; do cp -r "$2/." "$packages"; done
for program in gunicorn uvicorn; do
    [ -e "$3/$program" ] || continue
    { echo "#!$1/venv/bin/python3"; tail -n +2 "$3/$program"; } >"$1/venv/bin/$program"
    chmod 755 "$1/venv/bin/$program"
done
"""
"""The result of `python3 -m venv venv && venv/bin/pip install ...`: folder, place of the packages,
and their runtimes."""

OPENER = 'exec 3>"$0"; echo open; read -r answer; printf %s "$answer" >&3'
"""Opening a FIFO waits for its reader. So the first line shows that the program has the request."""

RESIDENT = 'for pid in $(pgrep -u "worker-$1"); do grep ^Pss: "/proc/$pid/smaps_rollup"; done | tr -dc "0-9\\n"'
"""KiB of each process of a worker: its own memory, and its share of the files that it has mapped
(proc_pid_smaps(5), Pss)."""

PIPE = -1
"""subprocess.PIPE"""

Lay = Callable[[Machine, str], None]
"""Puts the files into a worker's folder that a package manager would."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A worker of docs/runtimes.md."""

    name: str
    title: str  # of its section
    app: str | None = None  # its folder in apps/
    lay: tuple[Lay, ...] = ()
    says: str | None = None  # the answer to GET /


def yaml_of(title: str) -> str:
    """The worker.yaml that the section of docs/runtimes.md shows."""
    (section,) = [text for name, text in _SECTION.findall(PAGE.read_text(encoding="utf-8")) if name == title]
    (yaml,) = _YAML.findall(section)
    return str(yaml)


def row_of(title: str) -> str:
    """The program's row in the table of that page."""
    anchor = title.lower().replace(" ", "-")
    (row,) = re.findall(rf"^\| \[{re.escape(title)}\]\(#{anchor}\) .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return str(row)


def titles() -> list[str]:
    """The sections that show a worker.yaml."""
    return [name for name, text in _SECTION.findall(PAGE.read_text(encoding="utf-8")) if _YAML.search(text)]


def installed(path: Path) -> str:
    """Its path in the machine. If the program is missing, the test fails."""
    if not path.exists():
        pytest.fail(f"{path} is not there: 'make test' and 'make test-real' install it", pytrace=False)
    return f"{IN_MACHINE}/{path.relative_to(CHECKOUT)}"


def python(machine: Machine, folder: str) -> None:
    """A virtual environment with Flask and gunicorn."""
    packages = installed(WORKERS / "python")
    machine.run(["sh", "-c", VENV, "sh", folder, packages, f"{packages}/bin"])


def more_python(machine: Machine, folder: str) -> None:
    """A virtual environment with all that `make test-real` installs."""
    (packages,) = REAL.glob("lib/python3*/site-packages") if REAL.exists() else (REAL / "lib",)
    machine.run(["sh", "-c", VENV, "sh", folder, installed(packages), installed(REAL / "bin")])


def express(machine: Machine, folder: str) -> None:
    machine.run(["cp", "-r", installed(WORKERS / "node/node_modules"), folder])


def _binary(pattern: str, machine: Machine, _: str) -> None:
    """A program from npm in /usr/local/bin, where it is on a host that has it."""
    paths = list((REAL / "node_modules").glob(pattern)) or [REAL / "node_modules" / pattern]
    machine.run(["ln", "-sf", installed(paths[0]), f"/usr/local/bin/{paths[0].name}"])


deno: Lay = functools.partial(_binary, "@deno/linux-*-glibc/deno")
bun: Lay = functools.partial(_binary, "@oven/bun-linux-*/bin/bun")


def lay(site: Site, program: Program) -> None:
    """The worker's folder, as its author would make it."""
    folder = f"{ROOT}/workers/{program.name}"
    site.yaml(program.name, yaml_of(program.title))
    if program.app is not None:
        for path in (APPS / program.app).rglob("*"):
            if path.is_file():
                site.machine.write(f"{folder}/{path.relative_to(APPS / program.app)}", path.read_bytes())
    for each in program.lay:
        each(site.machine, folder)


def unit(program: Program) -> str:
    return f"tq-worker@{program.name}.service"


def curl(machine: Machine, url: str, *options: str) -> str:
    """The answer of the router, which must be a success."""
    done = machine.run(["curl", "-sSf", "-m", "30", *options, f"http://localhost:{LISTEN}{url}"], check=False)
    assert done.returncode == 0, f"{url}: {done.stdout}{done.stderr}\n{machine.journal_tail()}"
    return done.stdout


@contextmanager
def under_way(machine: Machine, program: Program) -> Iterator[Callable[[], str]]:
    """A request that the program has begun. Calling the value lets it finish; gives the answer, and
    the status."""
    fifo = f"/var/lib/tqunits/workers/{program.name}/go"
    machine.run(["sh", "-c", 'rm -f "$0" && mkfifo "$0" && chmod 666 "$0"', fifo])
    url = f"http://localhost:{LISTEN}/{program.name}/slow"
    with (
        machine.start(["curl", "-sS", "-m", "60", "-w", " %{http_code}", url]) as client,
        machine.start(["sh", "-c", OPENER, fifo], stdin=PIPE) as opener,
    ):

        def finish() -> str:
            opener.communicate("done\n", timeout=60)
            return client.communicate(timeout=60)[0]

        assert opener.stdout and opener.stdout.readline() == "open\n"
        yield finish


@contextmanager
def stopping(machine: Machine, program: Program) -> Iterator[None]:
    """Run `systemctl stop` meanwhile; it has to wait and to succeed."""
    with machine.start(["systemctl", "stop", unit(program)]) as stop:
        machine.wait_until(lambda: machine.show(unit(program), "ActiveState") == "deactivating")
        yield
        assert stop.wait(60) == 0
    state = machine.show(unit(program), "ActiveState"), machine.show(unit(program), "Result")
    assert state == ("inactive", "success"), machine.journal_tail(unit(program))


def stops_gracefully(machine: Machine, program: Program) -> None:
    """A stop waits for the request that the program has begun."""
    with under_way(machine, program) as finish, stopping(machine, program):
        assert finish() == "done 200"


def stops_amid_a_body(site: Site, program: Program, head: str, body: str) -> str:
    """A stop waits for a request of which half the body has come; gives the answer."""
    fields = f"{head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    half = len(body) // 2
    with site.machine.connect(LISTEN, timeout=60) as client:
        client.sendall(f"{fields}{body[:half]}".encode())
        site.machine.wait_until(lambda: in_flight(site, 1) == 1)
        with stopping(site.machine, program):
            client.sendall(body[half:].encode())
            return "".join(iter(lambda: client.recv(65536).decode(), ""))


def measured(site: Site, program: Program) -> str:
    """Its exposure score and its memory at rest, as in docs/runtimes.md."""
    (worker,) = json.loads(site.run("security", "--json", program.name))["workers"]
    assert f"| {worker['profile']} | {worker['exposure']} |" in row_of(program.title), worker
    memory = int(site.machine.show(unit(program), "MemoryCurrent")) / 2**20
    resident = sum(map(int, site.machine.run(["sh", "-c", RESIDENT, "sh", program.name]).stdout.split())) / 2**10
    sandbox = f"{worker['profile']}, exposure {worker['exposure']}"
    return f"{program.title}: {sandbox}, MemoryCurrent {memory:.0f} MiB, resident {resident:.0f} MiB"
