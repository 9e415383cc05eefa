"""An earlier release is installed and serves. This release replaces it under load, and no request
is lost.

The earlier release is a commit of this repository: the last one whose units ran commands as root.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Machine

from tqunits.units.accounts import NO_HOME

from .conftest import ROOT, Site
from .hammering import RUDE, check, hammered
from .test_copies import OWNER

CHECKOUT = Path(__file__).parents[2]
BEFORE = "34aaf8d"
RELEASE = "/opt/release"
PYTHON = f"{RELEASE}/.venv/bin/python3"
UNPACK = "tar --exclude=__pycache__ -C /opt/tqunits -c tqunits unit-templates | tar -C {} -x"
"""Our files, as in a package. Python writes files of its own beside them while other tests run from
the checkout."""

WORKERS = ("alpha", "beta", "gamma", "delta")
MAKE = f"""
set -e
python3 -m venv --without-pip {RELEASE}/.venv
libraries=$(echo /opt/tqunits/.venv/lib/python3*/site-packages)
printf '%s\\n' {RELEASE} "$libraries" > $(echo {RELEASE}/.venv/lib/python3*/site-packages)/release.pth
"""


def earlier() -> bytes | None:
    """The release as a tar archive; None in a checkout without history."""
    tree = ["git", "-C", str(CHECKOUT), "-c", "safe.directory=*", "archive", BEFORE, "tqunits", "unit-templates"]
    done = subprocess.run(tree, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


@pytest.fixture
def site(host: Site) -> Site:
    """Two of the workers belong to another user."""
    return host


@pytest.fixture
def release(site: Site) -> Iterator[Site]:
    """The machine with the earlier release in /opt/release, and its workers running."""
    archive = earlier()
    if archive is None:
        pytest.skip(f"this checkout has no commit {BEFORE}")
    site.machine.run(["rm", "-rf", RELEASE])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                site.machine.write(f"{RELEASE}/{member.name}", file.read(), member.mode)
    site.machine.run(["sh", "-c", MAKE])
    lay_out(site)
    tqunits(site.machine, "install", "--now")
    yield site
    site.machine.remove(RELEASE)


def lay_out(site: Site) -> None:
    """One worker gets requests all the time. Of the others, the YAML of one vanishes, one is
    refused by this release, and one names files."""
    site.worker("alpha", "restart: {max_restarts: 1000, delay: 100ms}\n", program=RUDE)
    site.worker("beta", "listen: unix\n")
    site.worker("gamma", "user: games\nenvironment_file: .env\n")
    site.worker("delta", "environment_file: .env\ncredentials: {token: token}\n")
    for name in ("gamma", "delta"):
        site.machine.write(f"{ROOT}/workers/{name}/.env", f"OF={name}\n")
    site.machine.write(f"{ROOT}/workers/delta/token", "secret")
    site.machine.run(["chown", "-Rh", f"{OWNER}:{OWNER}", f"{ROOT}/workers/gamma", f"{ROOT}/workers/delta"])


def tqunits(machine: Machine, *arguments: str, status: int = 0) -> str:
    done = machine.run([PYTHON, "-I", "-m", "tqunits", *arguments], check=False, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def upgrade(site: Site) -> None:
    """As dpkg does: the new files replace the old ones while everything runs."""
    new = f"{RELEASE}/.new"
    swap = f"for each in tqunits unit-templates; do rm -rf {RELEASE}/$each && mv {new}/$each {RELEASE}; done"
    site.machine.run(["sh", "-ec", f"mkdir {new}; {UNPACK.format(new)}; {swap}; rmdir {new}"])
    site.machine.run(["sh", "-c", f"cp /opt/tqunits/*.so {RELEASE} 2>/dev/null; true"])


def ports(site: Site) -> dict[str, str]:
    lines = {name: site.machine.read(site.drop_in(name)).splitlines() for name in WORKERS}
    return {name: line for name, text in lines.items() for line in text if line.startswith(("Port=", "Socket="))}


def home_of(site: Site, name: str) -> str:
    return site.machine.run(["getent", "passwd", f"worker-{name}"]).stdout.split(":")[5]


def privileged(site: Site) -> list[str]:
    text = "".join(site.machine.read(site.drop_in(name)) for name in WORKERS)
    lines = [line for line in text.splitlines() if line.startswith(("Exec", "EnvironmentFile="))]
    return [line for line in lines if line.startswith("Env") or set(line.partition("=")[2].split(" ")[0]) & set("+!")]


def test_an_upgrade_under_load_loses_nothing_and_leaves_no_line_of_roots(release: Site) -> None:
    site = release
    before = ports(site)
    assert privileged(site)
    assert not site.machine.exists("/run/tqunits/workers/alpha/serving")
    with hammered(site, 20) as report:
        site.machine.remove(f"{ROOT}/workers/beta/config")
        upgrade(site)
        said = tqunits(site.machine, "install", "--now", status=1)
        for name in WORKERS:
            site.machine.systemctl("restart", f"tq-worker@{name}")
    check(site, report)
    assert "gamma" in said
    assert "user" in said
    assert privileged(site) == []
    assert ports(site) == before
    assert not site.machine.exists("/run/tqunits/draining")
    for name in ("beta", "gamma", "delta"):
        assert site.get(f"/{name}/health") == (200, "ok"), name
    for name in ("gamma", "delta"):
        assert site.get(f"/{name}/environment")[1]["OF"] == name
    homes = {name: home_of(site, name) for name in ("alpha", "beta", "delta")}
    assert homes == {"alpha": NO_HOME, "beta": "/var/lib/tqunits/workers/beta", "delta": NO_HOME}
    assert site.get("/beta/environment")[1]["HOME"] == homes["beta"]  # it is not configured, and stays installed
    again = tqunits(site.machine, "install", "--now", status=1)
    assert not re.search("^(write|update|start|restart|serve) ", again, re.MULTILINE), again


@pytest.mark.long
def test_without_now_what_runs_is_served_until_its_next_start(release: Site) -> None:
    """The routers of the earlier release run on as well; one that crashes is restarted as a router
    of this release."""
    site = release
    with hammered(site, 10) as report:
        upgrade(site)
        tqunits(site.machine, "install", status=1)
        assert site.machine.exists("/run/tqunits/workers/alpha/serving")
        assert privileged(site) == []
        site.machine.systemctl("restart", "tq-proxy@1")
        site.machine.systemctl("restart", "tq-worker@alpha")
    check(site, report)


@pytest.mark.long
def test_before_install_is_run_the_old_units_work_with_the_new_programs(release: Site) -> None:
    """The package is replaced, and a router restarts; install was not run yet."""
    site = release
    upgrade(site)
    for unit in ("tq-proxy@1", "tq-worker@alpha", "tq-worker@beta"):
        site.machine.systemctl("restart", unit)
    assert site.machine.exists("/run/tqunits/workers/alpha/serving")
    assert site.get("/alpha/?id=1")[0] == 200
    assert site.get("/beta/health") == (200, "ok")
