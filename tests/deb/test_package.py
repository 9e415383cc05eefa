"""The package on a host: installed, used, upgraded, downgraded, removed, purged, and interrupted
halfway."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from install import transient
from install.folder import ROOT

from tqunits import __version__

from .conftest import Container, Versions
from .host import PackagedHost
from .package import KILLED, LATER, SCRIPTS

pytestmark = [pytest.mark.deb, pytest.mark.machine]

LOAD = Path(__file__).with_name("load.py").read_text(encoding="utf-8")
LISTENING = """\
import socket, sys
held = socket.create_server(("0.0.0.0", 8080))
print("up", flush=True)
sys.stdin.read()
"""
COMPILED = "import tqunits.proxy.downstream.client as it; print(it.__file__)"
OURS = r"""
find /etc /usr /lib /var /run /srv -xdev \( -path /var/tmp -o -path /var/lib/dpkg -o -path /var/log \
    -o -path /var/cache/apt -o -path /var/cache/man -o -path /var/lib/systemd -o -path '*/__pycache__' \) -prune \
    -o \( -name '*tqunits*' -o -name 'tq-*' -o -name 'tq.*' \) -print | sort
systemctl list-units --all --no-legend --plain 'tq*' | awk '{print $1}'
systemctl list-unit-files --no-legend 'tq*' || true # there is none
"""
"""Everything that has a name of ours: files, loaded units, installed units."""

API = "tq-worker@api.service"
SHOP = "tq-worker@shop.service"
ROUTER = "tq-proxy@1.service"
RULE = "/etc/polkit-1/rules.d/50-tqunits.rules"
AWAITS = f"{API} still runs as it was"


CONFIGURED = {"preinst": (0, False), "prerm": (1, True), "postrm": (0, False), "postinst": (0, False)}
"""The exit status of `dpkg --configure -a` after a kill in that script, and whether it asks for the
package."""


def ours(container: Container) -> set[str]:
    return set(container.run(["sh", "-c", OURS]).stdout.splitlines())


def without_any(host: PackagedHost) -> bool:
    """Whether the router answers that there is no worker."""
    status, body = host.get("/")
    return status == 404 and "no worker is installed yet" in body


def test_the_first_worker(container: Container, versions: Versions) -> None:
    host = PackagedHost(container)
    host.apt_install(versions.old)
    assert host.running_workers() == set()
    assert without_any(host)
    container.run(["cp", "-r", "/usr/share/doc/tqunits/examples/index", "/srv/tqunits/workers/"])
    assert transient.made(container) == []
    host.install()
    assert transient.made(container) == []
    status, page = host.get("/")
    assert (status, "<html" in page) == (200, True)
    assert container.show("tq-worker@index.service", "MemoryMax") == str(64 << 20)
    assert "/usr/lib/tqunits/gate.py" in container.systemctl("cat", "tq-worker@index.service")
    for page in ("tqunits", "tqunits-install", "tqunits.yaml", "tqunits-contract", "tqunits-proxy"):
        container.run(["man", "-w", page])
    assert container.run(["/usr/bin/python3", "-c", COMPILED]).stdout.endswith(".so\n")
    shells = container.run(["bash", "-c", "tqunits completion bash | bash -n && echo fits"]).stdout
    assert shells == "fits\n"


def test_a_taken_port_is_said_and_is_no_failure_of_dpkg(container: Container, versions: Versions) -> None:
    host = PackagedHost(container)
    with container.start(["python3", "-c", LISTENING], stdin=-1) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        said = host.apt_install(versions.old)
        assert "0.0.0.0:8080" in said
        assert said.count("tqunits install --now") == 1
        assert host.installed_version()
        holder.communicate("")
    host.install()
    assert without_any(host)


@pytest.mark.parametrize("way", ["upgrade", "downgrade"])
def test_a_change_of_version_touches_no_worker_and_loses_no_request(
    container: Container, host: PackagedHost, versions: Versions, suite: str, way: str, figure: Callable[[str], None]
) -> None:
    before, after = (versions.old, versions.new)[:: 1 if way == "upgrade" else -1]
    host.apt_install(before)
    for name in "api", "shop":
        host.worker(name)
    host.install()
    workers, router, was = [host.pid(API), host.pid(SHOP)], host.pid(ROUTER), host.installed_version()
    host.worker("shop", "limits: {memory_max: 99M}\n")  # an edit that was not installed
    host.worker("new")
    with container.start(["python3", "-c", LOAD, "/api/health", "/shop/health"], stdin=-1) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "running\n"
        said = host.apt_install(after)
        found = json.loads(load.communicate("")[0])
    assert found["failures"] == []
    assert found["counts"]["new"] > 100
    assert found["counts"]["kept"] > 100
    assert host.installed_version() != was
    assert [host.pid(API), host.pid(SHOP)] == workers
    assert host.pid(ROUTER) != router
    assert "shop stays as it is installed" in said
    assert container.show(SHOP, "MemoryMax") != str(99 << 20)
    assert host.running_workers() == {"api", "shop"}
    assert AWAITS in said
    runs = LATER if way == "upgrade" else __version__
    shown = container.tqunits("version", "--running").stdout.splitlines()
    assert shown[:2] == [f"tqunits {runs}", f"{ROUTER} {runs}"]
    assert shown[2].startswith(f"tq-manager.service {runs}, process ")
    template = container.read("/etc/systemd/system/tq-worker@.service")
    assert ("+later" in template) == (way == "upgrade")
    figure(f"{suite}, {way}: requests {found['counts']}; workers stay {workers}; router {router} -> {host.pid(ROUTER)}")


def test_an_edited_tqunits_yaml_is_not_applied(container: Container, versions: Versions) -> None:
    host = PackagedHost(container)
    host.apt_install(versions.old)
    was = host.installed_version()
    container.write("/etc/tqunits/tqunits.yaml", 'listen: ["127.0.0.1:8081"]\n')
    said = host.apt_install(versions.new)
    assert said.count("/etc/tqunits/tqunits.yaml:1:1") == 1
    assert without_any(host)
    assert host.installed_version() != was


def test_what_is_removed_comes_back_and_what_is_purged_is_gone(
    container: Container, host: PackagedHost, versions: Versions
) -> None:
    container.run(["rm", "-rf", "/etc/tqunits"])
    before, users = ours(container), host.users()
    host.server("")
    host.apt_install(versions.old)
    host.worker("api")
    host.install()
    container.write("/var/lib/tqunits/workers/api/data", "kept")
    container.write("/srv/tqunits/workers/mine", "a folder that is not empty stays")
    environment = container.show(API, "Environment")
    host.apt("remove")
    stay = {"/etc/tqunits", "/etc/tqunits/tqunits.yaml", "/etc/tqunits/tqunits.yaml.d", "/srv/tqunits"}
    assert {path for path in ours(container) - before if not path.startswith("/var/")} == stay
    assert transient.made(container) == []
    assert container.read("/var/lib/tqunits/workers/api/data") == "kept"
    host.apt_install(versions.old)
    container.wait_until(lambda: host.get("/api/health") == (200, "ok"))
    assert container.show(API, "Environment") == environment  # for example the port
    assert container.show(API, "UnitFileState") == "enabled"
    said = host.apt("purge")
    assert transient.made(container) == [], "the manager's user is still there"
    assert "worker-api" in said
    assert "/srv/tqunits stays" in said
    others = {"/etc/tqunits", "/etc/tqunits/tqunits.yaml.d"}  # because it has a file of the administrator's
    assert ours(container) - before == {"/srv/tqunits", *others}
    assert container.exists(f"{ROOT}/workers/api")
    new = {"tqunits", "worker-api"}
    assert host.users() - users == new
    rows = {row[0]: row for row in (line.split(":") for line in container.read("/etc/shadow").splitlines())}
    assert {(rows[name][1][:1], rows[name][7]) for name in new} == {("!", "1")}


def dies(container: Container, moment: str, words: list[str]) -> None:
    """Run a dpkg that one of its scripts kills. It leaves nobody a way to root."""
    container.write(KILLED, moment)
    assert container.run(["dpkg", *words], check=False, timeout=120).returncode != 0
    assert not container.exists(KILLED)
    assert transient.made(container) == []


@pytest.mark.parametrize("moment", [f"{script} {at}" for script in SCRIPTS for at in ("start", "end")])
def test_a_dpkg_that_is_killed_in_an_upgrade_recovers(
    container: Container, host: PackagedHost, versions: Versions, moment: str
) -> None:
    host.apt_install(versions.old)
    host.worker("api")
    host.install()
    worker, install = host.pid(API), ["--install", host.lay_down(versions.new)]
    dies(container, moment, install)
    configure = container.run(["dpkg", "--configure", "-a"], check=False, timeout=120, merge=True)
    assert (configure.returncode, "you should\n reinstall it" in configure.stdout) == CONFIGURED[moment.split()[0]]
    if not moment.startswith("postinst"):  # if a package is not unpacked whole, dpkg wants it again
        container.run(["dpkg", *install], timeout=120)
    assert "+later" in host.installed_version()
    assert host.pid(API) == worker
    assert host.get("/api/health") == (200, "ok")
    assert host.install() == f"restart {API}\n"  # the upgrade has announced it
    assert "nothing to do" in host.install()


@pytest.mark.parametrize("moment", ["prerm start", "prerm end", "postrm start", "postrm end"])
def test_a_dpkg_that_is_killed_in_a_removal_leaves_no_way_to_root(
    container: Container, host: PackagedHost, versions: Versions, moment: str
) -> None:
    host.apt_install(versions.old)
    host.worker("api")
    host.install()
    dies(container, moment, ["--remove", "tqunits"])
    assert container.exists(RULE) == container.exists("/etc/systemd/system/tq-worker@.service")
    container.run(["dpkg", "--remove", "tqunits"], timeout=120)
    assert transient.made(container) == []
    assert not container.exists(RULE)
