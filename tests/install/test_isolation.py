"""A worker can not reach the host or other workers; a worker itself tries it."""

from __future__ import annotations

import pytest

from .conftest import ROOT, Site

DENIED = {
    "another's state": "read?of=/var/lib/tqunits/workers/victim/secret",
    "write into another's state": "write?of=/var/lib/tqunits/workers/victim/planted",
    "its own code": f"write?of={ROOT}/workers/attacker/src/main.py",
    "its own YAML": f"write?of={ROOT}/workers/attacker/config/worker.yaml",
    "the host's configuration": "write?of=/etc/planted",
    "the password hashes": "read?of=/etc/shadow",
    "the units": "write?of=/etc/systemd/system/tq-worker@attacker.service.d/99.conf",
    "the kernel's settings": "write?of=/proc/sys/kernel/hostname",
    "its own cgroup": "write?of=/sys/fs/cgroup/pids/cgroup.procs",
    "where every user of the host may write": "write?of=/run/lock/planted",
    "root's home": "read?of=/root/.bashrc",
    "become root": "become_root",
    "a set-uid file": "setuid_file?of=/var/lib/tqunits/workers/attacker/suid",
    "a user namespace": "namespace",
    "PID 1": "signal_other?of=1",
}


@pytest.mark.parametrize("profile", ["standard", "strict", "jit"])
def test_a_worker_is_kept_in(site: Site, profile: str) -> None:
    site.worker("victim")
    site.worker("attacker", f"sandbox: {profile}\n")
    site.install()
    assert site.get("/victim/write?of=/var/lib/tqunits/workers/victim/secret") == (200, "written")
    outcome = {what: site.get(f"/attacker/{deed}")[0] for what, deed in DENIED.items()}
    assert outcome == dict.fromkeys(DENIED, 403)
    assert site.get("/victim/read?of=/var/lib/tqunits/workers/victim/secret") == (200, "written")


def test_shared_memory_is_a_workers_own_and_goes_with_it(site: Site) -> None:
    for name in ("alpha", "beta"):
        site.worker(name)
    site.install()
    assert site.get("/alpha/write?of=/dev/shm/left") == (200, "written")
    assert site.get("/alpha/read?of=/dev/shm/left") == (200, "written")
    assert site.get("/beta/read?of=/dev/shm/left")[0] == 403
    assert not site.machine.exists("/dev/shm/left")
    site.machine.systemctl("restart", "tq-worker@alpha.service")
    assert site.get("/alpha/read?of=/dev/shm/left")[0] == 403


def test_a_worker_sees_no_other_users_processes(site: Site) -> None:
    site.worker("victim")
    site.worker("attacker")
    site.install()
    uid = site.machine.user("worker-attacker")[0]
    status, users = site.get("/attacker/processes")
    assert (status, set(users) <= {str(uid)}) == (200, True), users


def test_a_worker_can_not_kill_its_neighbour(site: Site) -> None:
    site.worker("victim")
    site.worker("attacker")
    site.install()
    pid = site.machine.show("tq-worker@victim.service", "MainPID")
    assert site.get(f"/attacker/signal_other?of={pid}")[0] == 403
    assert site.machine.show("tq-worker@victim.service", "MainPID") == pid


def test_the_environment_is_the_contract_and_nothing_else(site: Site) -> None:
    site.server("mode: production\nworkers: {port_range: 9200-9200}\n")
    site.worker("alpha", "environment: {LOG_LEVEL: info}\ncredentials: {token: /etc/hostname}\n")
    site.machine.tqunits("-C", ROOT, "install", "--now", env={"SECRET": "of the host"})
    status, environment = site.get("/alpha/environment")
    assert status == 200
    contract = {key: environment[key] for key in environment if key.startswith(("WORKER_", "PORT", "LOG_LEVEL"))}
    assert contract == {
        "LOG_LEVEL": "info",
        "PORT": "9200",
        "WORKER_MODE": "production",
        "WORKER_NAME": "alpha",
        "WORKER_PATH": "/alpha",
        "WORKER_PORT": "9200",
        "WORKER_ROUTE": "/alpha",
        "WORKER_TYPE": "python",
    }
    assert "SECRET" not in environment
    assert site.get(f"/alpha/read?of={environment['CREDENTIALS_DIRECTORY']}/token") == (200, "machine\n")
