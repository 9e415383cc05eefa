"""The package as an administrator meets it: installed, used, upgraded, downgraded, removed, purged,
and interrupted halfway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hosts import KILLED, Host

pytestmark = [pytest.mark.deb, pytest.mark.machine]

LOAD = Path(__file__).with_name("load.py").read_text(encoding="utf-8")
API = "path: /api\ntype: python\nlimits: {memory_max: 64M}\n"
SHOP = "path: /shop\ntype: python\n"
LISTENING = """\
import socket, sys
held = socket.create_server(("0.0.0.0", 8080))
print("up", flush=True)
sys.stdin.read()
"""
OURS = r"""
find /etc /usr /lib /var /run /srv -xdev \( -path /var/cache/debs -o -path /var/lib/dpkg -o -path /var/log \
    -o -path /var/cache/apt -o -path /var/cache/man -o -path /var/lib/systemd -o -path '*/__pycache__' \) -prune \
    -o \( -name '*tqunits*' -o -name 'tq-*' -o -name 'tq.*' \) -print | sort
systemctl list-units --all --no-legend --plain 'tq*' | awk '{print $1}'
systemctl list-unit-files --no-legend 'tq*' || true # there is none
"""
"""All that has a name of ours: files, loaded units, installed units."""


def test_the_first_worker(host: Host) -> None:
    said = host.install("new")
    assert "rror" not in said, said
    assert host.sh("systemctl list-units --no-legend 'tq-worker@*'") == ""
    assert "no worker is installed yet" in host.get("/")
    host.sh("cp -r /usr/share/doc/tqunits/examples/index /srv/tqunits/workers/")
    host.sh("tqunits install --now")
    assert "<html" in host.get("/")
    assert host.machine.show("tq-worker@index.service", "MemoryMax") == str(64 << 20)
    assert "/usr/lib/tqunits/gate.py" in host.sh("systemctl cat tq-worker@index.service")
    host.sh("man -w tqunits; man -w 5 tqunits.yaml; test -s /usr/share/bash-completion/completions/tqunits")
    host.sh("/usr/bin/python3 -c 'import tqunits.proxy.downstream.client as c; assert c.__file__.endswith(\".so\")'")


def test_a_taken_port_is_said_and_is_no_failure_of_dpkg(host: Host) -> None:
    with host.machine.start(["python3", "-c", LISTENING], stdin=-1) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        said = host.install("new")
        assert "8080" in said
        assert "tqunits install --now" in said
        assert host.sh("dpkg-query -W -f '${Status}' tqunits") == "install ok installed"
        holder.communicate("")
    host.sh("tqunits install --now")
    assert "no worker is installed yet" in host.get("/")


@pytest.mark.parametrize(("before", "after"), [("old", "new"), ("new", "old")], ids=["upgrade", "downgrade"])
def test_a_change_of_version_touches_no_worker_and_loses_no_request(host: Host, before: str, after: str) -> None:
    host.install(before)
    for name, yaml in ("api", API), ("shop", SHOP):
        host.worker(name, yaml)
    host.sh("tqunits install --now")
    workers = [host.pid(f"tq-worker@{name}.service") for name in ("api", "shop")]
    router = host.pid("tq-proxy@1.service")
    host.worker("shop", SHOP + "limits: {memory_max: 99M}\n")  # which nobody has reviewed
    host.worker("new", "path: /new\ntype: python\n")
    with host.machine.start(["python3", "-c", LOAD, "/api/", "/shop/"], stdin=-1) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "running\n"
        said = host.install(after)
        found = json.loads(load.communicate("")[0])
    assert found["failures"] == []
    assert found["counts"]["new"] > 100
    assert [host.pid(f"tq-worker@{name}.service") for name in ("api", "shop")] == workers
    assert host.pid("tq-proxy@1.service") != router
    assert "shop stays as it is installed" in said
    assert host.machine.show("tq-worker@shop.service", "MemoryMax") != str(99 << 20)
    assert host.sh("systemctl list-units --no-legend 'tq-worker@new*'") == ""
    description = {"new": "Worker", "old": "Old worker"}[after]
    template = host.machine.read("/etc/systemd/system/tq-worker@.service")
    assert f"Description={description} %i" in template
    assert "tq-worker@api.service still runs as it was" in said


def test_an_edited_tqunits_yaml_is_not_applied(host: Host) -> None:
    host.install("old")
    host.machine.write("/etc/tqunits/tqunits.yaml", 'listen: ["127.0.0.1:8081"]\n')
    said = host.install("new")
    assert "/etc/tqunits/tqunits.yaml:1:1" in said
    assert "no worker is installed yet" in host.get("/")
    assert host.sh("dpkg-query -W -f '${Status} ${Version}' tqunits").startswith("install ok installed 1")


def test_removed_purged_and_back(host: Host) -> None:
    before = host.sh(OURS)
    users = host.machine.read("/etc/passwd")
    host.install("new")
    host.worker("api", API)
    host.sh("tqunits install --now && touch /var/lib/tqunits/workers/api/data")
    port = host.machine.show("tq-worker@api.service", "Environment")
    host.apt("remove", "tqunits")
    left = set(host.sh(OURS).splitlines()) - set(before.splitlines())
    stay = {"/etc/tqunits", "/etc/tqunits/tqunits.yaml", "/srv/tqunits"}
    assert {line for line in left if not line.startswith("/var/")} == stay
    assert host.machine.exists("/var/lib/tqunits/workers/api/data")
    host.install("new")
    assert host.machine.show("tq-worker@api.service", "Environment") == port
    host.machine.wait_until(lambda: host.status("curl -fs --max-time 20 http://127.0.0.1:8080/api/") == 0)
    assert host.machine.show("tq-worker@api.service", "UnitFileState") == "enabled"
    said = host.apt("purge", "tqunits")
    assert "worker-api" in said
    assert "/srv/tqunits stays" in said
    assert set(host.sh(OURS).splitlines()) - set(before.splitlines()) == {"/srv/tqunits"}
    new = set(host.machine.read("/etc/passwd").splitlines()) - set(users.splitlines())
    assert {line.split(":")[0] for line in new} == {"tqunits", "worker-api"}
    shadow = {line.split(":")[0]: line.split(":") for line in host.machine.read("/etc/shadow").splitlines()}
    assert {(shadow[name][1][:1], shadow[name][7]) for name in ("tqunits", "worker-api")} == {("!", "1")}


MOMENTS = ["preinst start", "preinst end", "postinst start", "postinst end", "prerm start", "prerm end"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_dpkg_that_is_killed_in_an_upgrade_recovers(host: Host, moment: str) -> None:
    host.install("old")
    host.worker("api", API)
    host.sh("tqunits install --now")
    worker = host.pid("tq-worker@api.service")
    host.machine.write(KILLED, moment)
    assert host.status("dpkg --install /var/cache/debs/new.deb") != 0
    assert not host.machine.exists(KILLED)
    if host.status("dpkg --configure -a && dpkg-query -W -f '${Version}' tqunits | grep -q ^1") != 0:
        host.sh("dpkg --install /var/cache/debs/new.deb")
    assert host.sh("dpkg-query -W -f '${Status}' tqunits") == "install ok installed"
    assert host.pid("tq-worker@api.service") == worker
    assert host.get("/api/") == str(worker)
    assert host.sh("tqunits install --now") == "restart tq-worker@api.service\n"  # what awaited it was said
    assert "nothing to do" in host.sh("tqunits install --now")
