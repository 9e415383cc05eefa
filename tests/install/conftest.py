"""Fixtures: a host without anything of tqunits, and a folder of workers that a test fills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from machine import Machine, rest, wake, wake_repair

from .folder import LISTEN, PROBE, ROOT, WorkersFolder
from .wipe import wipe

__all__ = ["LISTEN", "PROBE", "ROOT", "Site"]


@dataclass(frozen=True)
class Site(WorkersFolder):
    """On the machine that the tests share."""

    machine: Machine


@contextmanager
def emptying(machine: Machine) -> Iterator[Machine]:
    """A machine without workers, before and after."""
    machine.remove(ROOT)
    machine.write(f"{ROOT}/workers/.keep", "")
    yield machine
    wipe(machine)
    machine.remove(ROOT)


@pytest.fixture
def emptied(machine: Machine) -> Iterator[Machine]:
    """A machine without workers, before and after the test."""
    with emptying(machine):
        yield machine


@pytest.fixture
def site(emptied: Machine) -> Site:
    """A folder of workers for -C."""
    site = Site(emptied)
    site.server("mode: production\n")
    return site


@pytest.fixture
def managed(site: Site) -> Iterator[Site]:
    """The same, on a host whose manager does its work."""
    wake(site.machine)
    yield site
    rest(site.machine)


@pytest.fixture
def repairing(machine: Machine) -> Iterator[None]:
    """What is lost is served again by tq-repair."""
    wake_repair(machine)
    yield
    rest(machine)


@pytest.fixture
def host(emptied: Machine) -> Iterator[Site]:
    """The same workers in the host's own configuration. With -C root must own all files that are
    read, and grants are not used."""
    yield in_etc(emptied)
    emptied.remove("/etc/tqunits/tqunits.yaml")


@pytest.fixture
def developing(host: Site) -> Iterator[Site]:
    """A host in development mode, with a manager."""
    yield from with_manager(host, "mode: development\n")


def with_manager(host: Site, server: str) -> Iterator[Site]:
    """A host with a manager. `server`: its tqunits.yaml."""
    wake(host.machine)
    host.server(server)
    yield host
    rest(host.machine)


@pytest.fixture
def alice(machine: Machine) -> Iterator[str]:
    """A person with an account on the host, and without other rights."""
    machine.run(["useradd", "--create-home", "alice"])
    yield "alice"
    machine.run(["userdel", "--remove", "--force", "alice"], check=False)


@pytest.fixture
def accounts(machine: Machine) -> Iterator[None]:
    """Afterwards the host has the same accounts as before, whatever the test has made."""
    files = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")
    before = {path: machine.read(path) for path in files}
    yield
    for path, text in before.items():
        machine.write(path, text, 0o640 if "shadow" in path else 0o644)


def in_etc(machine: Machine) -> Site:
    """The folder of workers in the host's own configuration."""
    site = Site(machine, (), "/etc/tqunits/tqunits.yaml", f"workers: {{directory: {ROOT}/workers}}\n")
    site.server("mode: production\n")
    return site


def given_to(site: Site, owner: str, name: str = "alpha") -> None:
    """Give a worker's folder to a user."""
    site.machine.run(["chown", "-R", f"{owner}:{owner}", f"{ROOT}/workers/{name}"])


def sync_access_log(machine: Machine) -> None:
    """Wait until the access log is written. Its journald ends when it has been idle, and then
    answers no request."""
    machine.systemctl("start", "systemd-journald@tq-access.service")
    machine.run(["journalctl", "--namespace=tq-access", "--sync"])
