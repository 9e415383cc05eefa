"""No worker and no router can use io_uring, whose requests no filter of system calls sees
(`IORING_OP_SOCKET` is one)."""

from __future__ import annotations

import json
from pathlib import Path

from tqunits.model import Profile

from .conftest import ROOT, Site
from .ring import CALLS
from .test_user_mode import Tenant, tenant

__all__ = ["tenant"]

RING = (Path(__file__).parent / "ring.py").read_text(encoding="utf-8")
REFUSED = dict.fromkeys(CALLS, "EPERM")
NODE = """import fs from "node:fs";
import http from "node:http";
const read = () => fs.promises.readFile("/etc/hostname", "utf8");
http.createServer(async (request, response) => response.end(JSON.stringify(await read()))).listen(
  Number(process.env.WORKER_PORT), "127.0.0.1");
"""


def test_no_profile_lets_io_uring_through(site: Site) -> None:
    for profile in Profile:
        site.worker(profile, f"sandbox: {profile}\n", program=RING)
    site.worker("all-but", "sandbox: [standard, resources, devices, proc, netlink, write-execute]\n", program=RING)
    site.install()
    names = [*Profile, "all-but"]
    assert {name: site.get(f"/{name}/rings") for name in names} == dict.fromkeys(names, (200, REFUSED))
    assert {name: site.get(f"/{name}/health") for name in names} == dict.fromkeys(names, (200, "42\n"))


def test_a_users_own_manager_refuses_it_too(tenant: Tenant) -> None:
    for profile in Profile:
        tenant.worker(profile, f"sandbox: {profile}\n", program=RING)
    tenant.tqunits("install", "--now")
    assert {name: tenant.get(f"/{name}/rings") for name in Profile} == dict.fromkeys(Profile, REFUSED)


def test_nor_does_the_router(site: Site) -> None:
    """The test is a program that the router's unit runs before the router, in the same sandbox."""
    site.worker("alpha")
    site.install()
    machine, unit = site.machine, "tq-proxy@1.service"
    machine.write("/opt/ring.py", RING)
    drop_in = f"/run/systemd/system/{unit}.d"
    machine.write(f"{drop_in}/ring.conf", "[Service]\nExecStartPre=/usr/bin/python3 -I /opt/ring.py\n")
    try:
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", unit)
        said = machine.wait_for_log(unit, "rings: ")
    finally:
        machine.remove(drop_in)
        machine.remove("/opt/ring.py")
        machine.systemctl("daemon-reload")
    assert json.loads(said.partition("rings: ")[2]) == REFUSED
    assert site.get("/alpha/health") == (200, "ok")


def test_node_reads_files_without_it(site: Site) -> None:
    site.yaml(
        "alpha",
        "path: /alpha\ntype: node\nbuild: []\ncommand: [node, src/main.mjs]\n"
        "environment: {UV_USE_IO_URING: '1'}\nhealth: {path: /}\n",
    )
    site.machine.write(f"{ROOT}/workers/alpha/src/main.mjs", NODE)
    site.install()
    assert site.get("/alpha/") == (200, "machine\n")
