"""`tqunits --user`: workers and router of an unprivileged user, under the user's own service
manager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from machine import Machine

from .conftest import PROBE
from .test_listen import INHERITED

USER = "tenant"
HOME = f"/home/{USER}"
SITE = f"{HOME}/site"
URL = "http://localhost:8080"
YAML = "type: python\ncommand: [python3, src/main.py]\n"


@dataclass(frozen=True)
class Tenant:
    """A user of the machine whose service manager runs from boot on (loginctl enable-linger)."""

    machine: Machine
    uid: int

    def worker(self, name: str, yaml: str = "", *, program: str = PROBE) -> None:
        self.write(f"{SITE}/workers/{name}/config/worker.yaml", f"path: /{name}\n{YAML}{yaml}")
        self.write(f"{SITE}/workers/{name}/src/main.py", program)

    def sample(self, name: str) -> None:
        """A copy of one of the sample workers, which the user owns."""
        self.machine.run(["mkdir", "-p", f"{SITE}/workers"])
        self.machine.run(["cp", "-R", f"/srv/tqunits/workers/{name}", f"{SITE}/workers/{name}"])
        self.own()

    def write(self, path: str, text: str) -> None:
        self.machine.write(path, text)
        self.own()

    def own(self) -> None:
        self.machine.run(["chown", "-R", f"{USER}:", HOME])

    def run(self, *argv: str, status: int = 0) -> str:
        """Run a program as the user; gives stdout and stderr, in this order."""
        environment = {"XDG_RUNTIME_DIR": f"/run/user/{self.uid}"}
        done = self.machine.run(["env", f"HOME={HOME}", *argv], user=USER, env=environment, check=False)
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def tqunits(self, *arguments: str, status: int = 0) -> str:
        return self.run("/usr/local/bin/tqunits", "--user", "-C", SITE, *arguments, status=status)

    def show(self, unit: str, name: str) -> str:
        return self.run("systemctl", "--user", "show", "--value", f"--property={name}", unit).strip()

    def get(self, path: str) -> Any:
        """The answer of a worker, through the router."""
        text = self.machine.run(["curl", "-sf", "-m", "20", URL + path]).stdout
        return json.loads(text)

    def files(self) -> set[str]:
        """The files in the user's folders, without the site itself and a compiler's cache."""
        runtime = f"/run/user/{self.uid}"
        others = (SITE, f"{HOME}/.cache/go-build", f"{runtime}/systemd", f"{runtime}/dbus-1")
        skip = [word for path in others for word in ("-path", path, "-prune", "-o")]
        found = self.run("find", HOME, runtime, *skip, "-print")
        return set(found.splitlines())


@pytest.fixture
def tenant(machine: Machine) -> Iterator[Tenant]:
    machine.run(["useradd", "--create-home", USER])
    uid = machine.user(USER)[0]
    machine.run(["loginctl", "enable-linger", USER])
    machine.wait_until(["systemctl", "is-active", "--quiet", f"user@{uid}.service"])
    yield Tenant(machine, uid)
    machine.run(["loginctl", "disable-linger", USER], check=False)
    machine.systemctl("stop", f"user@{uid}.service", f"user-{uid}.slice", check=False)
    machine.run(["userdel", "--remove", USER])


def test_a_users_workers_run_and_are_routed(tenant: Tenant) -> None:
    tenant.worker("port")
    tenant.worker("socket", "listen: unix\n")
    tenant.worker("handed", "listen: fd\n", program=INHERITED)
    tenant.tqunits("install", "--now")
    assert tenant.get("/port/health") == "ok"
    assert tenant.get("/handed/") == int(tenant.show("tq-worker@handed", "MainPID"))
    assert tenant.get("/socket/health") == "ok"
    units = tenant.run("systemctl", "--user", "is-active", "tq-worker@port", "tq-worker@socket", "tq-proxy@1")
    assert units.split() == ["active"] * 3
    assert (
        tenant.machine.systemctl("is-active", "tq-worker@port", "tq-proxy@1", check=False).split() == ["inactive"] * 2
    )
    assert not tenant.machine.exists("/etc/systemd/system/tq.target")
    assert "nothing to do" in tenant.tqunits("install", "--now")
    assert tenant.tqunits("diff") == ""


def test_a_users_router_is_asked_by_that_user(tenant: Tenant) -> None:
    tenant.worker("port")
    tenant.tqunits("install", "--now")
    path = f"/run/user/{tenant.uid}/tqunits/proxy/1/control.sock"
    request = ("curl", "-sSf", "--unix-socket", path, "http://router/status")
    assert json.loads(tenant.run(*request))["pid"] == int(tenant.show("tq-proxy@1", "MainPID"))
    assert tenant.run("stat", "--format=%U %a", path) == f"{USER} 600\n"
    assert tenant.machine.run(request, user="nobody", check=False).returncode == 7  # curl(1): failed to connect
    assert "tqunits:" not in tenant.machine.read("/etc/passwd")


def test_a_users_files_are_served_from_a_home_that_is_closed_to_others(tenant: Tenant) -> None:
    tenant.write(f"{SITE}/workers/docs/config/worker.yaml", "path: /docs\ntype: static\n")
    tenant.write(f"{SITE}/workers/docs/public/page.json", '"docs"')
    tenant.write(f"{SITE}/workers/docs/public/own.json", '"own"')
    tenant.machine.run(["chmod", "600", f"{SITE}/workers/docs/public/own.json"])
    tenant.machine.run(["chmod", "700", HOME])
    tenant.tqunits("install", "--now")
    assert tenant.get("/docs/page.json") == "docs"
    status = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{URL}/docs/own.json")
    assert tenant.machine.run(status).stdout == "404"


@pytest.mark.long
def test_a_users_worker_is_built(tenant: Tenant) -> None:
    tenant.sample("api")
    tenant.tqunits("install", "--now")
    assert tenant.get("/api/")["pid"] == int(tenant.show("tq-worker@api", "MainPID"))
    built = tenant.machine.run(["stat", "-c", "%U", f"{SITE}/workers/api/bin/api"]).stdout.strip()
    assert built == USER
    assert "nothing to do" in tenant.tqunits("install", "--now")
    tenant.run("sh", "-c", f"echo '// more' >> {SITE}/workers/api/src/main.go")
    assert "its program is older than its sources: src/main.go has changed" in tenant.tqunits("restart", "api")
    assert "build api: go build -o bin/api ./src (src/main.go has changed)" in tenant.tqunits("install", "--now")
    assert "nothing to do" in tenant.tqunits("install", "--now")


def test_a_users_worker_has_the_sandbox_that_needs_no_privilege(tenant: Tenant) -> None:
    tenant.worker("port")
    tenant.run("systemctl", "--user", "set-environment", "SSH_AUTH_SOCK=/run/agent")
    tenant.tqunits("install", "--now")
    status = tenant.machine.read(f"/proc/{tenant.show('tq-worker@port', 'MainPID')}/status")
    assert "NoNewPrivs:\t1\n" in status
    assert "Seccomp:\t2\n" in status
    assert "SSH_AUTH_SOCK" not in tenant.get("/port/environment")
    assert tenant.machine.run(["curl", "-s", f"{URL}/port/namespace"]).stdout.startswith('"PermissionError')


def test_a_user_operates_what_is_installed(tenant: Tenant) -> None:
    tenant.worker("port")
    tenant.tqunits("install", "--now")
    tenant.tqunits("stop", "port")
    assert "stopped" in tenant.tqunits("ls", "port", status=3)
    tenant.tqunits("start", "port")
    (worker,) = json.loads(tenant.tqunits("ls", "--json"))["workers"]
    assert (worker["state"], worker["pid"]) == ("healthy", int(tenant.show("tq-worker@port", "MainPID")))
    assert "Started tq-worker@port.service" in tenant.tqunits("logs", "-n", "5", "port")
    assert "problem " not in tenant.tqunits("doctor")
    tenant.worker("port", "environment: {COLOUR: red}\n")
    assert "COLOUR=red" in tenant.tqunits("diff", status=2)
    tenant.tqunits("install", "--now")
    assert tenant.get("/port/environment")["COLOUR"] == "red"


@pytest.mark.long
def test_a_users_workers_come_back_after_a_reboot(tenant: Tenant) -> None:
    tenant.worker("port")
    tenant.tqunits("install", "--now")
    tenant.machine.reboot()
    tenant.machine.wait_until(["curl", "-sf", f"{URL}/port/health"])


def test_without_a_root_the_systems_workers_are_not_the_users(tenant: Tenant) -> None:
    """The system's folder of workers is not the user's."""
    with_c = tenant.run("/usr/local/bin/tqunits", "--user", "check")
    assert f"{HOME}/.local/share/tqunits/workers" in with_c
    assert "0 workers" in with_c
    tenant.run("/usr/local/bin/tqunits", "--user", "init", "own", "--type", "python")
    assert "1 worker," in tenant.run("/usr/local/bin/tqunits", "--user", "check", "own")
    assert tenant.run("ls", f"{HOME}/.local/share/tqunits/workers").split() == ["own"]


def test_uninstall_leaves_nothing_in_the_users_home(tenant: Tenant) -> None:
    tenant.write(f"{HOME}/.config/systemd/user/own.service", "[Service]\nExecStart=/bin/true\n")
    tenant.write(f"{HOME}/.cache/own", "")
    tenant.write(f"{HOME}/.local/state/own", "")
    tenant.write(f"{HOME}/.config/go/telemetry/mode", "off 2026-01-01\n")  # Go's own files in a home are not ours
    before = tenant.files()
    tenant.worker("port")
    tenant.sample("api")
    tenant.tqunits("install", "--now")
    state = tenant.get("/port/environment")["STATE_DIRECTORY"]
    assert tenant.get(f"/port/write?of={state}/x") == "written"
    tenant.tqunits("uninstall", "--all", "--purge", "--yes")
    assert tenant.files() == before
    assert tenant.run("systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "tq*") == ""


@pytest.mark.long
def test_purge_leaves_the_users_own_configuration(tenant: Tenant) -> None:
    mine = f"{HOME}/.config/tqunits/tqunits.yaml"
    tenant.write(mine, "mode: development\n")
    tenant.worker("port")
    tenant.tqunits("install", "--now")
    tenant.tqunits("uninstall", "--all", "--purge", "--yes")
    assert tenant.machine.read(mine) == "mode: development\n"
    assert tenant.run("ls", f"{HOME}/.config/tqunits").split() == ["tqunits.yaml"]


def test_without_a_session_it_is_said_and_nothing_is_written(tenant: Tenant) -> None:
    tenant.worker("port")
    tenant.machine.run(["chmod", "-R", "a+rX", HOME])
    folder = "/srv/visitor"
    environment = {"XDG_CONFIG_HOME": f"{folder}/config", "XDG_STATE_HOME": f"{folder}/state"}
    tenant.machine.run(["install", "-d", "-o", "nobody", folder])
    done = tenant.machine.tqunits("--user", "-C", SITE, "install", "--now", user="nobody", env=environment, check=False)
    written = tenant.machine.run(["find", folder, "-type", "f"]).stdout
    tenant.machine.remove(folder)
    assert done.returncode == 1
    assert "your own service manager can not be reached" in done.stderr
    assert "enable-linger" in done.stderr
    assert written == ""


def test_a_users_own_files_are_credentials_without_copies(tenant: Tenant) -> None:
    tenant.worker("alpha", "credentials: {token: secret/token}\n")
    tenant.write(f"{SITE}/workers/alpha/secret/token", "of my own")
    tenant.tqunits("install", "--now")
    environment = tenant.get("/alpha/environment")
    assert tenant.get(f"/alpha/read?of={environment['CREDENTIALS_DIRECTORY']}/token") == "of my own"
    assert "nothing to do" in tenant.tqunits("install", "--now")
    assert "credentials" not in tenant.run("ls", f"{HOME}/.local/state/tqunits")
