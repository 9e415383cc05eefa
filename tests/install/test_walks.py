"""The procedures of docs/deploying.md: a deploy user with git, files of a foreign uid, a checkout
with -C."""

from __future__ import annotations

import pytest
from machine import Machine

from .conftest import PROBE, ROOT, Site, given_to

SHOP = f"{ROOT}/workers/shop"
YAML = "path: /shop\ntype: python\ncommand: [python3, src/main.py]\n"


@pytest.fixture
def git(host: Site, alice: str) -> Site:
    """A repository of a worker from which alice may pull."""
    host.machine.write("/srv/origin/config/worker.yaml", YAML)
    host.machine.write("/srv/origin/src/main.py", PROBE)
    commit(host.machine, "git init -q -b main")
    host.machine.run(["install", "-d", "-o", alice, "-g", alice, SHOP])
    shell(host.machine, alice, f"git clone -q /srv/origin {SHOP}")
    return host


def commit(machine: Machine, first: str = "true") -> None:
    """The files in the origin become its newest commit, which everybody may read."""
    who = "git -c user.name=x -c user.email=x@x.org commit -q -m x"
    machine.run(["sh", "-ec", f"cd /srv/origin; {first}; git add -A; {who}; chmod -R a+rX ."])


def shell(machine: Machine, user: str, script: str) -> None:
    trusting = f"export HOME=/home/{user}; git config --global safe.directory '*'; {script}"
    machine.run(["sh", "-ec", trusting], user=user)


def test_a_deploy_user_pulls_and_root_installs(git: Site, alice: str) -> None:
    git.install("shop")
    assert git.get("/shop/health") == (200, "ok")
    before = git.machine.show("tq-worker@shop.service", "MainPID")
    git.machine.write("/srv/origin/config/worker.yaml", f"{YAML}host: localhost\nenvironment: {{A: new}}\n")
    commit(git.machine)
    shell(git.machine, alice, f"git -C {SHOP} pull -q")
    said = git.install("shop", status=1)
    assert f"{SHOP}/config/worker.yaml:4:1: error: host: localhost needs a grant" in said
    assert f"{SHOP} belongs to uid" in said
    assert git.machine.show("tq-worker@shop.service", "MainPID") == before
    grant = said.partition("write in /etc/tqunits/tqunits.yaml: ")[2].partition("\n")[0]
    git.machine.write("/etc/tqunits/tqunits.yaml.d/shop.yaml", f"{grant}\n")
    try:
        git.install("shop")
        assert git.get("/shop/environment")[1]["A"] == "new"
    finally:
        git.machine.remove("/etc/tqunits/tqunits.yaml.d")
        git.machine.remove("/srv/origin")


def test_files_of_a_foreign_uid_are_a_request_and_the_uid_is_named(host: Site) -> None:
    """The result of `rsync -a` by root, from a machine with other users."""
    host.worker("shop", "host: localhost\n")
    given_to(host, "5001", "shop")
    said = host.install(status=1)
    assert f"{SHOP} belongs to uid 5001, who has no name on this host" in said
    assert f"chown -R root: {SHOP} && chmod -R go-w {SHOP}" in said
    host.machine.run(["sh", "-c", f"chown -R root: {SHOP} && chmod -R go-w {SHOP}"])  # as --chown=root:root does
    host.install()
    assert host.get("/shop/health") == (200, "ok")


@pytest.mark.long
def test_a_checkout_of_a_persons_is_installed_when_it_is_meant(site: Site, alice: str) -> None:
    site.worker("shop")
    site.machine.run(["chown", "-R", f"{alice}:", ROOT])
    note = site.machine.tqunits("-C", ROOT, "check", user=alice)
    assert f"note: an install by root takes no orders from here: {ROOT} belongs to uid" in note.stderr
    said = site.run("install", status=5)
    assert f"not root's, so no order to root: {ROOT} belongs to uid" in said
    assert "--trust" in said
    site.run("--trust", "install", "--now")
    assert site.get("/shop/health") == (200, "ok")
    assert site.run("install", status=5) == said
