"""The code of the router is replaced while it runs: this is noticed by its content, reported, and
the routers restart one by one."""

from __future__ import annotations

import json

from tqunits import __version__
from tqunits.errors import ExitStatus

from .conftest import Site
from .control import TWO, pid
from .hammering import RESTART, RUDE, check, hammered
from .test_upgrade import MAKE, RELEASE, UNPACK, tqunits

PROXIES = ("tq-proxy@1.service", "tq-proxy@2.service")
COPY = f"rm -rf {RELEASE} && mkdir {RELEASE} && {UNPACK.format(RELEASE)}"
EXTENSIONS = f"cp /opt/tqunits/*.so {RELEASE} || :"  # empty if the sources run uncompiled
AGAIN = f"cp -r {RELEASE}/tqunits {RELEASE}/new && rm -rf {RELEASE}/tqunits && mv {RELEASE}/new {RELEASE}/tqunits"
OTHER = f"""sed -i 's/^__version__ = .*/__version__ = "99.0"/' {RELEASE}/tqunits/__init__.py"""
WAITS = "{} runs the code of another release; 'tqunits install --now' restarts it"


def shell(site: Site, script: str) -> None:
    site.machine.run(["sh", "-ec", script])


def running(site: Site) -> tuple[int, str, dict[str, str]]:
    """The exit status of `tqunits version --running`, the release of the command, and those of the
    routers."""
    python = f"{RELEASE}/.venv/bin/python3"
    done = site.machine.run([python, "-I", "-m", "tqunits", "version", "--running", "--json"], check=False)
    document = json.loads(done.stdout)
    again = site.machine.run([python, "-I", "-m", "tqunits", "version", "--running"], check=False)
    shown = [f"tqunits {document['tqunits']}", *(f"{each['unit']} {each['release']}" for each in document["routers"])]
    assert (again.returncode, again.stdout.splitlines(), again.stderr) == (done.returncode, shown, done.stderr)
    return done.returncode, document["tqunits"], {each["unit"]: each["release"] for each in document["routers"]}


def test_another_release_is_seen_said_and_taken_by_one_process_after_the_other(host: Site) -> None:
    machine = host.machine
    shell(host, COPY)
    shell(host, EXTENSIONS)
    shell(host, MAKE)
    host.server(TWO)
    host.worker("alpha", RESTART, program=RUDE)
    tqunits(machine, "install", "--now")
    before, worker = [pid(host, unit) for unit in PROXIES], pid(host, "tq-worker@alpha.service")
    shell(host, AGAIN)  # the same release, unpacked again
    assert "nothing to do" in tqunits(machine, "install", "--now")
    shell(host, OTHER)
    for _ in range(2):
        said = tqunits(machine, "install")
        assert all(WAITS.format(unit) in said for unit in PROXIES)
    doctor = machine.run([f"{RELEASE}/.venv/bin/python3", "-I", "-m", "tqunits", "doctor"], check=False).stdout
    assert f"runs the code of another release: {', '.join(PROXIES)}" in doctor
    assert running(host) == (ExitStatus.FAILED, "99.0", dict.fromkeys(PROXIES, __version__))
    assert [pid(host, unit) for unit in PROXIES] == before
    with hammered(host, 20) as report:
        tqunits(machine, "install", "--now")
    check(host, report)
    assert running(host) == (ExitStatus.OK, "99.0", dict.fromkeys(PROXIES, "99.0"))
    assert not set(before) & {pid(host, unit) for unit in PROXIES}
    first_is_back = machine.show(PROXIES[0], "ActiveEnterTimestampMonotonic")
    assert int(machine.show(PROXIES[1], "ActiveExitTimestampMonotonic")) >= int(first_is_back)
    assert pid(host, "tq-worker@alpha.service") == worker
    assert "nothing to do" in tqunits(machine, "install", "--now")
    machine.remove(RELEASE)
