"""The operating verbs on a user's own service manager (--user), without root."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import Machine
from operation import TARGET, TEMPLATE, drop_in

USER = "tester"
UNITS = f"/home/{USER}/.config/systemd/user"


class UserHost:
    """A machine on which an unprivileged user has a service manager."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.run(["useradd", "--create-home", USER])
        self.uid = machine.user(USER)[0]
        machine.run(["loginctl", "enable-linger", USER])
        machine.wait_until(["systemctl", "is-active", "--quiet", f"user@{self.uid}.service"])

    def install(self, name: str, service: str) -> None:
        text = drop_in(name, service).replace("User=nobody\n", "")
        template = TEMPLATE.replace("/etc/systemd/system", UNITS)
        for path, content in (
            (f"{UNITS}/tq-worker@.service", template),
            (f"{UNITS}/tq.target", TARGET.replace("multi-user", "default")),
            (f"{UNITS}/tq-worker@{name}.service.d/10-tqunits.conf", text),
        ):
            self.machine.write(path, content)
        self.machine.run(["chown", "-R", USER, f"/home/{USER}"])
        self.run("systemctl", "--user", "daemon-reload")

    def run(self, *argv: str) -> tuple[int, str, str]:
        environment = {"XDG_RUNTIME_DIR": f"/run/user/{self.uid}"}
        entering = ["env", f"HOME=/home/{USER}", *argv]
        done = self.machine.run(entering, user=USER, env=environment, check=False)
        return done.returncode, done.stdout, done.stderr

    def tqunits(self, *arguments: str) -> tuple[int, str, str]:
        return self.run("/usr/local/bin/tqunits", "--user", *arguments)


@pytest.fixture
def host(machine: Machine) -> Iterator[UserHost]:
    yield UserHost(machine)
    machine.run(["loginctl", "disable-linger", USER], check=False)
    machine.run(["loginctl", "terminate-user", USER], check=False)
    uid = machine.user(USER)[0]
    machine.wait_until(lambda: machine.show(f"user@{uid}.service", "ActiveState") in {"inactive", "failed"})
    machine.run(["userdel", "--remove", USER], check=False)


def test_a_user_operates_workers_without_root(host: UserHost) -> None:
    host.install("mine", "ExecStart=\nExecStart=/bin/sh -c 'echo hello; exec sleep 99'")
    assert host.tqunits("ls", "mine")[0] == 3
    assert host.tqunits("enable", "--now", "mine") == (0, "", "")
    status, listing, _ = host.tqunits("ls", "mine")
    assert status == 0
    assert "healthy" in listing
    assert host.tqunits("restart", "--all") == (0, "", "")
    assert host.tqunits("disable", "--now", "mine") == (0, "", "")
    assert host.tqunits("ls", "mine")[0] == 3


def test_a_users_failed_start_says_why(host: UserHost) -> None:
    host.install("bad", "Type=notify\nExecStart=\nExecStart=/bin/sh -c 'echo no luck today; exit 9'")
    status, _, complaint = host.tqunits("start", "bad")
    assert status == 1
    assert "exited with status 9" in complaint


def test_a_user_without_a_manager_gets_a_sentence(machine: Machine) -> None:
    machine.write("/srv/nobody/systemd/user/tq-worker@x.service.d/10-tqunits.conf", drop_in("x"))
    done = machine.tqunits("--user", "ls", user="nobody", env={"XDG_CONFIG_HOME": "/srv/nobody"}, check=False)
    machine.remove("/srv/nobody")
    assert done.returncode == 1
    assert "your own service manager can not be reached" in done.stderr
