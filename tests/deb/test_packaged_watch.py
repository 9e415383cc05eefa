"""Changes on disk take effect by themselves on a host that has the package: in development mode,
also after an upgrade, and nothing of the watch is left when the package is gone. What systemd
applies by itself may be at work when dpkg is: then dpkg waits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from install import transient
from install.folder import PROBE, ROOT

from .conftest import Container, Versions
from .host import APT_GET, APT_SECONDS, PackagedHost
from .test_package import API, LOAD, ours

pytestmark = [pytest.mark.deb, pytest.mark.machine]

SECRET = "/etc/key-of-api/key"
KEY = f"/run/credentials/{API}/key"
LOCK = "/run/tqunits/install.lock"
PIPE = -1  # subprocess.PIPE
WAIT_S = 120.0
"""For a change to take effect: it takes one or two seconds, and a busy host far longer."""


@pytest.fixture
def developing(container: Container, host: PackagedHost, versions: Versions) -> PackagedHost:
    """A host in development mode, with the worker api, which has a secret of root's."""
    host.server("mode: development\n")
    container.write(SECRET, "first", 0o600)
    host.apt_install(versions.old)
    host.worker("api", f"credentials: {{key: {SECRET}}}\n")
    host.install()
    container.wait_until(lambda: is_watched(host), timeout=WAIT_S)
    return host


def is_watched(host: PackagedHost) -> bool:
    return re.search(r"(?m)^watched: +\d+ folders?, ", host.run("show", "api")) is not None


def serves(host: PackagedHost, word: str) -> None:
    """Change the program, so that this word is its answer, and wait for that."""
    changed = PROBE.replace("""b'"ok"'""", f"""b'"{word}"'""")
    assert changed != PROBE
    host.machine.write(f"{ROOT}/workers/api/src/main.py", changed)
    host.machine.wait_until(lambda: host.get("/api/health") == (200, word), timeout=WAIT_S)


def reads(host: PackagedHost, secret: str) -> None:
    """Change the secret, and wait until the worker has it."""
    host.machine.write(SECRET, secret, 0o600)
    host.machine.wait_until(lambda: host.get(f"/api/read?of={KEY}") == (200, secret), timeout=WAIT_S)


def done(host: PackagedHost, worker: str) -> list[str]:
    """The deploys and restarts of a worker, the first one first; none has failed."""
    found = json.loads(host.run("history", worker, "--json"))["deploys"]
    assert {each["outcome"] for each in found} <= {"done", "running", "waiting"}
    return [each["kind"] for each in reversed(found) if each["outcome"] == "done"]


def comes(host: PackagedHost, worker: str, *kinds: str) -> None:
    """Wait until these have ended, and no other ones."""
    host.machine.wait_until(lambda: done(host, worker) == [*kinds], timeout=WAIT_S)


@contextmanager
def loaded(container: Container, *paths: str) -> Iterator[None]:
    """Requests without a pause, of which none may fail."""
    with container.start(["python3", "-c", LOAD, *paths], stdin=PIPE) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "running\n"
        yield
        assert json.loads(load.communicate("")[0])["failures"] == []


def test_changes_take_effect_by_themselves_and_after_an_upgrade_too(
    container: Container, developing: PackagedHost, versions: Versions
) -> None:
    host = developing
    serves(host, "edited")
    comes(host, "api", "deploy")
    reads(host, "second")
    comes(host, "api", "deploy", "restart")
    host.worker("shop")
    container.wait_until(lambda: host.get("/shop/health") == (200, "ok"), timeout=WAIT_S)
    with loaded(container, "/api/health", "/shop/health"):
        host.apt_install(versions.new)
        comes(host, "api", "deploy", "restart", "restart")
        comes(host, "shop", "restart")
    assert "+later" in container.read("/etc/systemd/system/tq-secrets.path")
    assert container.show("tq-secrets.path", "ActiveState") == "active"
    assert is_watched(host)
    serves(host, "upgraded")
    comes(host, "api", "deploy", "restart", "restart", "deploy")
    reads(host, "third")
    comes(host, "api", "deploy", "restart", "restart", "deploy", "restart")
    assert done(host, "shop") == ["restart"], "the upgrade has written its unit anew, and nothing else has happened"
    assert transient.made(container) == []


def test_nothing_of_the_watch_is_left_when_the_package_is_gone(
    container: Container, host: PackagedHost, versions: Versions
) -> None:
    before = ours(container)
    host.server("mode: development\n")
    container.write(SECRET, "first", 0o600)
    host.apt_install(versions.old)
    host.worker("api", f"credentials: {{key: {SECRET}}}\n")
    host.install()
    serves(host, "edited")
    reads(host, "second")
    host.apt("remove")
    left = {path for path in ours(container) - before if not path.startswith("/var/")}
    assert left == {"/etc/tqunits/tqunits.yaml", "/srv/tqunits"}
    host.apt_install(versions.old)
    container.wait_until(lambda: is_watched(host), timeout=WAIT_S)
    serves(host, "back")
    reads(host, "third")
    host.apt("purge")
    assert ours(container) <= before
    assert transient.made(container) == []


def test_a_host_that_enables_nothing_by_default_keeps_what_is_enabled(
    container: Container, developing: PackagedHost
) -> None:
    """`systemctl preset-all` there would stop the watch at the next boot (systemd.preset(5))."""
    container.write("/etc/systemd/system-preset/99-nothing.preset", "disable *\n")
    rows = container.systemctl("list-unit-files", "--no-legend", "--state=enabled", "tq*").splitlines()
    presets = {unit: preset for unit, _, preset in map(str.split, rows)}
    assert {"tq-manager.service", "tq-secrets.path", "tq.target"} <= presets.keys()
    assert {unit for unit, preset in presets.items() if preset != "enabled"} == set()
    assert developing.machine.show(API, "UnitFilePreset") == "disabled"


def waiters(container: Container) -> int:
    """How many wait for the lock of whoever changes what is installed (proc(5), /proc/locks)."""
    inode = container.run(["stat", "--format=%i", LOCK]).stdout.strip()
    waiting = re.compile(rf"(?m)^\d+: +-> FLOCK .*:{inode} ")
    return len(waiting.findall(container.run(["cat", "/proc/locks"]).stdout))


@contextmanager
def at_work(container: Container) -> Iterator[None]:
    """Another tqunits is at work."""
    with container.start(["flock", LOCK, "sh", "-c", "echo held; cat"], stdin=PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.stdin.close()


def test_an_upgrade_waits_for_another_tqunits(
    container: Container, developing: PackagedHost, versions: Versions
) -> None:
    new = [*APT_GET, "install", developing.lay_down(versions.new)]
    with at_work(container):
        upgrade = container.start(new)
        container.wait_until(lambda: waiters(container) == 1, timeout=APT_SECONDS)
    said, errors = upgrade.communicate(timeout=APT_SECONDS)
    assert upgrade.returncode == 0, said + errors
    assert "see above" not in said + errors
    assert "+later" in container.read("/etc/systemd/system/tq-worker@.service")


def test_a_removal_waits_for_another_tqunits_and_lets_none_follow(
    container: Container, developing: PackagedHost
) -> None:
    with at_work(container):
        removal = container.start([*APT_GET, "remove", "tqunits"])
        container.wait_until(lambda: waiters(container) == 1, timeout=APT_SECONDS)
        container.systemctl("start", "--no-block", "tq-apply.service")
        container.wait_until(lambda: waiters(container) == 2, timeout=WAIT_S)
    said, errors = removal.communicate(timeout=APT_SECONDS)
    assert removal.returncode == 0, said + errors
    assert "see above" not in said + errors
    assert developing.laid_down_units() == set()
    assert container.run(["systemctl", "list-units", "--no-legend", "--plain", "tq*"]).stdout == ""
    assert transient.made(container) == []
