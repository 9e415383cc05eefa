"""What the owner of one worker's folder can not get by changing files there, on a booted systemd
where each change takes effect by itself: no right, no file, no time and no restart of others."""

from __future__ import annotations

import pytest

from .changing import await_watch, history, says, watched
from .conftest import ROOT, Site, given_to
from .test_backoff import wait
from .test_grants import ALPHA, ASKED, PLACE

FREE = "path: /alpha\ntype: python\ncommand: [python3, src/main.py]\n"
OTHERS = ("tq-worker@beta.service", "tq-proxy@1.service", "tq-manager.service")
HOSTILE = r"""
ln -s /etc/shadow shadow; ln -s /proc/1/environ environ; ln -s / root; ln -s loop loop
mkfifo fifo src/fifo; mkfifo .gitignore; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
truncate -s 1T sparse; ln /etc/passwd linked || true
printf x > "$(printf 'forged\nbeta: its worker.yaml has changed\033[31m\377')"
d=.; for i in $(seq 60); do d=$d/d; done; mkdir -p $d; printf '*' > $d/.gitignore
"""


@pytest.fixture
def theirs(developing: Site, alice: str) -> Site:
    """The worker alpha of alice's, and the worker beta of root's."""
    developing.worker("alpha")
    developing.worker("beta")
    given_to(developing, alice)
    developing.install()
    for worker in ("alpha", "beta"):
        await_watch(developing, worker)
    return developing


def as_alice(site: Site, script: str) -> None:
    site.machine.run(["sh", "-ec", f"cd {ALPHA}; {script}"], user="alice")


def asks(site: Site, yaml: str) -> None:
    """Alice writes a worker.yaml."""
    site.machine.write(f"{ALPHA}/next.yaml.tmp", FREE + yaml)
    site.machine.run(["chown", "alice:", f"{ALPHA}/next.yaml.tmp"])
    site.machine.run(["mv", f"{ALPHA}/next.yaml.tmp", PLACE])


def applied(site: Site, text: str) -> None:
    """Wait until what is installed of alpha has this in its unit, and all is done."""
    wait(site, lambda: text in site.machine.read(site.drop_in("alpha")))
    wait(site, lambda: site.machine.show("tq-apply@alpha.service", "ActiveState") == "inactive")


def runs(site: Site) -> list[str]:
    return [site.machine.show(unit, "InvocationID") for unit in OTHERS]


@pytest.mark.short("host", "credential")
@pytest.mark.parametrize("what", ASKED)
def test_what_needs_a_grant_is_not_applied_by_itself(theirs: Site, what: str) -> None:
    site, since, before = theirs, theirs.machine.cursor(), theirs.machine.read(theirs.drop_in("alpha"))
    others = runs(site)
    asks(site, ASKED[what][0])
    wait(site, lambda: bool(watched(site)["refused"]))
    says(site, "alpha: its worker.yaml is not applied, and what is installed stays: ", since)
    assert site.machine.read(site.drop_in("alpha")) == before
    assert (site.get("/alpha/health"), site.get("/beta/health")) == ((200, "ok"), (200, "ok"))
    assert runs(site) == others


def test_a_route_of_others_and_an_order_to_root_are_not_applied(theirs: Site) -> None:
    site, before = theirs, theirs.machine.read(theirs.drop_in("alpha"))
    for yaml in ("user: root\n", "unit: {Service: {ExecStartPre: +/bin/touch /alice}}\n", "writable: [.]\n"):
        asks(site, yaml)
        wait(site, lambda: bool(watched(site)["refused"]))
        asks(site, "")
        wait(site, lambda: not watched(site)["refused"])
    site.machine.run(["sed", "-i", "s|^path.*|path: /beta|", PLACE])
    wait(site, lambda: bool(watched(site)["refused"]))
    assert site.machine.read(site.drop_in("alpha")) == before
    assert site.get("/beta/environment")[1]["WORKER_NAME"] == "beta"


def test_to_listen_here_and_there_restarts_the_router_and_the_manager_once(theirs: Site) -> None:
    """They need the group of a socket's worker. Else their clients would be cut off each time, and
    the manager would forget who has caused how much."""
    site = theirs
    asks(site, "listen: unix\n")
    applied(site, "Socket=")
    wait(site, lambda: site.get("/alpha/health") == (200, "ok"))
    wait(site, lambda: site.machine.show("tq-manager.service", "ActiveState") == "active")
    await_watch(site)
    others = runs(site)
    asks(site, "listen: tcp\n")
    applied(site, "Port=")
    asks(site, "listen: unix\n")
    applied(site, "Socket=")
    assert runs(site) == others
    wait(site, lambda: site.get("/alpha/health") == (200, "ok"))


def test_a_worker_that_never_gets_healthy_holds_no_install_up(theirs: Site) -> None:
    site = theirs
    as_alice(site, "printf 'import time\\ntime.sleep(1e6)\\n' > src/main.py")
    site.machine.systemctl("kill", "--signal=KILL", "tq-worker@alpha.service")
    wait(site, lambda: site.machine.show("tq-worker@alpha.service", "ActiveState") == "activating")
    asks(site, "timeouts: {start: 10min}\nenvironment: {COLOUR: red}\n")
    applied(site, "COLOUR=red")
    assert site.machine.show("tq-worker@alpha.service", "ActiveState") == "activating"
    site.run("install", "--now", "beta")


def test_hostile_files_hold_up_nobody_and_forge_no_line(theirs: Site) -> None:
    site, since = theirs, theirs.machine.cursor()
    as_alice(site, HOSTILE)
    site.machine.run(["sh", "-ec", f"cd {ROOT}/workers/beta; echo '# 2' >> src/main.py"])
    wait(site, lambda: '"message": "src/main.py has changed"' in site.run("history", "beta", "--json"))
    wait(site, lambda: "alpha" in site.run("history", "alpha"))
    as_alice(site, "rm -r config; mkfifo fifo2; mkdir config; mv fifo2 config/worker.yaml")
    wait(site, lambda: watched(site)["state"] == "broken")
    as_alice(site, "rm config/worker.yaml; ln -s /etc/shadow config/worker.yaml")
    as_alice(site, "rm config/worker.yaml; rmdir config; ln -s /root config")
    wait(site, lambda: watched(site)["state"] == "broken")
    said = site.machine.run(["journalctl", "-u", "tq-manager", "-o", "cat", since]).stdout
    assert not [line for line in said.splitlines() if line.startswith("beta: its worker.yaml has changed")]
    assert "\x1b" not in said
    for verb in (["show", "alpha"], ["ls"], ["history", "alpha"], ["doctor"]):
        done = site.machine.tqunits(*verb, check=False)
        assert "\x1b[31m" not in done.stdout + done.stderr, verb
    assert (site.get("/alpha/health"), site.get("/beta/health")) == ((200, "ok"), (200, "ok"))


def test_whoever_changes_files_for_ever_is_uninstalled(theirs: Site) -> None:
    site = theirs
    script = f"cd {ALPHA}; while :; do date +%N > src/x.py; sed -i 's/^$//' config/worker.yaml; sleep 0.05; done"
    with site.machine.start(["sh", "-c", script], user="alice") as writer:
        try:
            wait(site, lambda: len(history(site)) > 1)
            since = site.machine.cursor()
            site.run("uninstall", "alpha")
            assert "tq-worker@alpha.service: Deactivated" in site.machine.journal("tq-worker@alpha.service", since)
        finally:
            writer.kill()
