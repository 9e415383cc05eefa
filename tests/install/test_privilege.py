"""What the user `tqunits` and operators may ask of systemd, and what not: polkit's rule on a booted
host, with the attacks that have worked against looser ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import rest, wake

from tqunits.model import MANAGER_USER

from . import transient
from .conftest import Site

RULE = "/etc/polkit-1/rules.d/50-tqunits.rules"


@pytest.fixture
def ruled(host: Site) -> Iterator[Site]:
    """A host with the workers alpha and beta, whose manager is at rest: only its user's rights
    count."""
    host.worker("alpha")
    host.worker("beta")
    host.server("mode: production\ngrants: {alpha: {operators: [alice]}, beta: {operators: ['%ops']}}\n")
    host.install()
    yield host
    host.machine.remove(transient.OWNED)


def asks(host: Site, user: str, *argv: str) -> bool:
    """Whether systemd does what a user asks for. Nobody is there to type a password."""
    return host.machine.run(list(argv), user=user, check=False, timeout=60).returncode == 0


def calls(host: Site, user: str, method: str, *arguments: str) -> bool:
    return asks(host, user, *transient.CALL, transient.MANAGER, method, *arguments)


def systemctl(host: Site, user: str, *words: str) -> bool:
    return asks(host, user, "systemctl", "--no-ask-password", *words)


def test_the_manager_may_start_stop_and_restart_workers_and_nothing_else(ruled: Site) -> None:
    alone = not knows_unit(ruled)
    for verb in ("restart", "stop", "start", "reset-failed"):
        assert systemctl(ruled, MANAGER_USER, verb, "tq-worker@alpha.service") is alone, verb
    for words in (
        ("kill", "tq-worker@alpha.service"),
        ("reload", "tq-worker@alpha.service"),
        ("set-property", "tq-worker@alpha.service", "MemoryMax=infinity"),
        ("set-property", "--runtime", "tq-worker@alpha.service", "DeviceAllow=/dev/sda rw"),
        ("bind", "tq-worker@alpha.service", "/etc", "/mnt"),
        ("enable", "tq-worker@alpha.service"),
        ("disable", "tq-worker@alpha.service"),
        ("mask", "tq-worker@alpha.service"),
        ("link", "/tmp/x.service"),
        ("daemon-reload",),
        ("daemon-reexec",),
        ("isolate", "tq-worker@alpha.service"),
        ("freeze", "tq-worker@alpha.service"),
        ("clean", "tq-worker@alpha.service"),
        ("restart", "tq-proxy@1.service"),
        ("stop", "tq.target"),
        ("stop", "dbus.socket"),
        ("start", "tq-worker@alpha.socket"),
        ("start", "tq-worker@ALPHA.service"),
        ("start", "tq-worker@alpha.service.d.service"),
        ("start", "rescue.service"),
        ("poweroff",),
    ):
        assert not systemctl(ruled, MANAGER_USER, *words), words
    assert ruled.machine.show("tq-worker@alpha.service", "ActiveState") == "active"


def test_the_manager_may_have_the_configuration_applied_and_nothing_else_of_those_units(ruled: Site) -> None:
    alone = not knows_unit(ruled)
    for unit in ("tq-apply.service", "tq-apply@alpha.service"):
        since = ruled.machine.cursor()
        assert systemctl(ruled, MANAGER_USER, "start", unit) is alone, unit
        ruled.machine.run(["journalctl", "--sync"])
        assert ("nothing to do" in ruled.machine.journal(unit, since)) is alone
        for words in (
            ("stop", unit),
            ("restart", unit),
            ("try-restart", unit),
            ("reload-or-restart", unit),
            ("reset-failed", unit),
            ("kill", unit),
            ("enable", unit),
            ("mask", unit),
            ("set-property", unit, "MemoryMax=infinity"),
            ("set-property", "--runtime", unit, "IPAddressDeny="),
            ("bind", unit, "/etc", "/mnt"),
            ("isolate", unit),
            ("clean", unit),
        ):
            assert not systemctl(ruled, MANAGER_USER, *words), words


def test_who_may_start_them_can_tell_them_nothing(ruled: Site) -> None:
    """Names of workers that are not installed, or are none; and what an operator has no right
    to."""
    before = ruled.files()
    ruled.worker("gamma")
    for instance in ("x", "gamma", "--replace", "--remove-all", "alpha:2", "ALPHA", r"alpha\x20--replace", "alpha.d"):
        assert not systemctl(ruled, MANAGER_USER, "start", "--", f"tq-apply@{instance}.service"), instance
    for unit in ("tq-apply@alpha.timer", "tq-apply@alpha.socket", "tq-apply.timer", "tq-apply@.service"):
        assert not systemctl(ruled, MANAGER_USER, "start", unit), unit
    arguments = ["PROBE=x", "LD_PRELOAD=/tmp/x.so"]
    assert not calls(ruled, MANAGER_USER, "SetEnvironment", "as", str(len(arguments)), *arguments)
    assert ruled.files() == before


def test_an_operator_has_nothing_applied(ruled: Site, alice: str) -> None:
    for unit in ("tq-apply.service", "tq-apply@alpha.service"):
        assert not systemctl(ruled, alice, "start", unit), unit


def knows_unit(host: Site) -> bool:
    """Whether polkit tells a rule the caller's unit, as 126 of Debian 13 does: then the user alone
    is not enough."""
    said = host.machine.run(["pkaction", "--version"]).stdout
    return int(said.split()[-1].partition(".")[0]) >= 124


@pytest.mark.parametrize("unit", transient.NAMES)
def test_nobody_makes_a_unit_of_a_name_that_the_rule_allows(ruled: Site, unit: str) -> None:
    """StartTransientUnit with a command as root, as the main unit and as an auxiliary one."""
    assert not transient.has_made(ruled.machine, unit)


def test_an_operator_has_a_worker_and_no_other(ruled: Site, alice: str) -> None:
    for verb in ("restart", "stop", "start"):
        assert systemctl(ruled, alice, verb, "tq-worker@alpha.service"), verb
    for words in (
        ("restart", "tq-worker@beta.service"),
        ("kill", "tq-worker@alpha.service"),
        ("set-property", "tq-worker@alpha.service", "MemoryMax=infinity"),
        ("restart", "tq-proxy@1.service"),
        ("restart", "tq-manager.service"),
        ("enable", "tq-worker@alpha.service"),
    ):
        assert not systemctl(ruled, alice, *words), words
    ruled.machine.run(["groupadd", "ops"])
    ruled.machine.run(["usermod", "-aG", "ops", alice])
    assert systemctl(ruled, alice, "restart", "tq-worker@beta.service")
    ruled.machine.run(["groupdel", "ops"])


def test_who_is_no_operator_any_more_may_no_more(ruled: Site, alice: str) -> None:
    assert systemctl(ruled, alice, "restart", "tq-worker@alpha.service")
    ruled.server("mode: production\n")
    assert "50-tqunits.rules" in ruled.install()
    ruled.machine.wait_until(lambda: not systemctl(ruled, alice, "restart", "tq-worker@alpha.service"))


def test_the_rule_goes_with_the_units(ruled: Site) -> None:
    ruled.run("uninstall", "beta")
    assert "beta" not in ruled.machine.read(RULE)
    assert "alice" in ruled.machine.read(RULE)
    planned = ruled.run("uninstall", "--all", "--dry-run", status=2).splitlines()
    removed = [line.split()[-1] for line in planned if line.startswith("remove ")]
    assert removed.index(RULE) < min(i for i, path in enumerate(removed) if path.startswith("/etc/systemd/system"))
    ruled.run("uninstall", "--all")
    assert not ruled.machine.exists(RULE)
    assert ruled.machine.exists("/etc/polkit-1/rules.d"), "polkit watches it"


def test_the_rule_comes_after_the_units(host: Site) -> None:
    host.worker("alpha")
    lines = host.install().splitlines()
    assert lines.index("daemon-reload") < lines.index(f"write {RULE}")


def test_a_worker_that_hangs_is_found_and_restarted_by_the_manager(host: Site) -> None:
    wake(host.machine)
    try:
        host.worker(
            "alpha",
            "health: {interval: 1s, timeout: 500ms, failure_threshold: 2, success_threshold: 1, start_period: 0}\n"
            "timeouts: {stop: 2s}\n",
        )
        host.worker("beta")
        host.install()
        process = host.machine.show("tq-worker@alpha.service", "MainPID")
        host.machine.systemctl("kill", "--signal=STOP", "--kill-whom=main", "tq-worker@alpha.service")
        host.machine.wait_until(lambda: host.machine.show("tq-worker@alpha.service", "MainPID") not in {process, "0"})
        host.machine.wait_until(lambda: host.machine.show("tq-worker@alpha.service", "ActiveState") == "active")
        said = host.machine.journal("tq-manager.service")
        assert "alpha is restarted: 127.0.0.1:9000/health: no answer within 0.5 s (2 checks failed in a row)" in said
        assert host.get("/alpha/environment")[0] == 200
    finally:
        rest(host.machine)
