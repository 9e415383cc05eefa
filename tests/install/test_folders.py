"""A worker's folder below a user's home: the user may rename what is on the path, and a closed home
stays closed to the worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import Machine

from .conftest import PROBE, Site

BOBS = "/home/bob/site"
UNIT = "tq-worker@alpha.service"


@pytest.fixture
def bobs(site: Site) -> Iterator[Site]:
    """`tqunits -C /home/bob/site --trust`, as root. --trust does not change which paths PID 1 may
    follow."""
    machine = site.machine
    for user, mode in (("bob", "755"), ("alice", "700")):
        machine.run(["useradd", "--create-home", user])
        machine.run(["chmod", mode, f"/home/{user}"])
    machine.write(f"{BOBS}/config/tqunits.yaml", "mode: production\n")
    machine.write(f"{BOBS}/workers/alpha/config/worker.yaml", "path: /alpha\ncommand: [python3, src/main.py]\n")
    machine.write(f"{BOBS}/workers/alpha/src/main.py", PROBE)
    machine.write("/home/alice/alpha/src/main.py", "print('out of a closed home', flush=True)\n" + PROBE)
    machine.write("/home/alice/key", "secret")
    for user in ("bob", "alice"):
        machine.run(["chown", "-R", user, f"/home/{user}"])
    yield Site(machine, ("-C", BOBS, "--trust"))
    machine.tqunits("-C", BOBS, "uninstall", "--all", "--purge", "--yes", "--quiet", check=False)
    for user in ("bob", "alice"):
        machine.run(["userdel", "--remove", user])


def swap(machine: Machine, name: str, target: str) -> None:
    """The owner of a folder may do this at any time."""
    for argv in (["mv", f"{BOBS}/{name}", f"{BOBS}/{name}.old"], ["ln", "-s", target, f"{BOBS}/{name}"]):
        machine.run(argv, user="bob")


def test_a_request_below_an_open_home_runs(bobs: Site) -> None:
    bobs.install()
    assert bobs.get("/alpha/health") == (200, "ok")
    assert bobs.get("/alpha/read?of=/home/alice/key")[0] == 403
    assert bobs.get(f"/alpha/write?of={BOBS}/workers/alpha/src/main.py")[0] == 403


@pytest.mark.short("workers/alpha")
@pytest.mark.parametrize("name", ["workers", "workers/alpha"])
def test_a_link_leads_a_worker_into_no_home_that_is_closed_to_it(bobs: Site, name: str) -> None:
    bobs.install()
    swap(bobs.machine, name, "/home/alice" if name == "workers" else "/home/alice/alpha")
    bobs.machine.systemctl("restart", UNIT, check=False)
    assert bobs.machine.show(UNIT, "ActiveState") != "active"
    assert "out of a closed home" not in bobs.machine.journal(UNIT)
