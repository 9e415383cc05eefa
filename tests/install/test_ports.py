"""Any process can bind a TCP port: what tqunits reports, and what happens to the worker, if another
process has its port."""

from __future__ import annotations

import json

import pytest

from .conftest import ROOT, Site

IMPOSTOR = (
    "import socket\nport = socket.create_server(('127.0.0.1', 9300))\nwhile True:\n    port.accept()[0].close()\n"
)
UNIT = "tq-worker@alpha.service"


@pytest.mark.long
def test_a_neighbour_on_the_port_is_named_and_does_not_end_the_worker_for_good(site: Site) -> None:
    site.server("workers: {port_range: 9300-9300}\n")
    site.worker("alpha", "restart: {delay: 50ms, backoff_max: 0}\n")
    site.install()
    site.run("stop", "alpha")
    site.machine.write("/srv/impostor.py", IMPOSTOR)
    intruder = ["systemd-run", "--collect", "--unit=impostor", "-p", "User=nobody", "python3", "/srv/impostor.py"]
    site.machine.run(intruder)
    try:
        site.machine.wait_until(["sh", "-c", "ss -ltn | grep -q 127.0.0.1:9300"])
        said = site.run("start", "alpha", status=1)
        pid = site.machine.show("impostor.service", "MainPID")
        held = f"its port is held by process {pid} (python3) of nobody, impostor.service"
        assert held in said
        assert held in site.run("show", "alpha")
        assert json.loads(site.run("show", "alpha", "--json"))["port_held_by"] == held.removeprefix(
            "its port is held by "
        )
        many = f"test $(systemctl show -P NRestarts {UNIT}) -gt 8"  # more than any limit so far
        site.machine.wait_until(["sh", "-c", many])
    finally:
        site.machine.systemctl("stop", "impostor")
    site.machine.wait_until(["systemctl", "is-active", "--quiet", UNIT])
    assert site.get("/alpha/health") == (200, "ok")
    assert "is held by" not in site.run("show", "alpha")


@pytest.mark.short("go")
@pytest.mark.parametrize("worker_type", ["python", "go", "node"])
def test_what_init_writes_listens_where_nobody_else_can(site: Site, worker_type: str) -> None:
    served_on_a_socket(site, worker_type)


def served_on_a_socket(site: Site, worker_type: str) -> None:
    """What `tqunits init` writes for this type starts, and uses no port."""
    site.run("init", "alpha", "--type", worker_type)
    site.install()
    assert site.get("/alpha/") == (200, "hello from alpha\n")
    (row,) = json.loads(site.run("ls", "--json", "alpha"))["workers"]
    assert row["port"] is None
    assert row["socket"]
    site.machine.systemctl("restart", UNIT)
    assert site.get("/alpha/health") == (200, "well\n")
    assert site.machine.exists(f"{ROOT}/workers/alpha/config/worker.yaml")
