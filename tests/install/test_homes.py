"""A worker's account has no home, because sshd(8) lets in everybody who can write its
~/.ssh/authorized_keys.

The shell nologin(8) does not prevent `ssh -N -L`. The worker can write in its state folder. So the
state folder is HOME= of the process, but not the home of the account.
"""

from __future__ import annotations

import pytest

from .conftest import ROOT, Site
from .test_accounts import account_of

STATE = "/var/lib/tqunits/workers/alpha"
UNIT = "tq-worker@alpha.service"
NOLOGIN = "-s /usr/sbin/nologin"


def row(site: Site, user: str = "worker-alpha") -> list[str]:
    """The account as every program on the host sees it (passwd(5)). sshd looks for keys below the
    sixth field."""
    return site.machine.run(["getent", "passwd", user]).stdout.strip().split(":")


def of_before(site: Site) -> None:
    """The account as an earlier release made it; its worker runs, and has an SSH key in its state
    folder."""
    site.install()
    site.machine.systemctl("stop", UNIT)
    site.machine.run(["usermod", "-d", STATE, "worker-alpha"])
    site.machine.systemctl("start", UNIT)
    assert site.get(f"/alpha/write?of={STATE}/key") == (200, "written")


def warned(site: Site) -> list[str]:
    done = site.machine.tqunits("-C", ROOT, "doctor", check=False)
    return [line for line in done.stdout.splitlines() if "home" in line and "worker-alpha" in line]


def test_a_new_account_has_no_home_that_anybody_could_write(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta", "listen: unix\n")
    site.install()
    for name in ("alpha", "beta"):
        assert row(site, f"worker-{name}")[4:] == [f"tqunits worker {name}", "/nonexistent", "/usr/sbin/nologin"]
    assert not site.machine.exists("/nonexistent")
    assert site.get("/alpha/write?of=/nonexistent")[0] == 403
    assert site.get("/alpha/environment")[1]["HOME"] == STATE
    assert site.get(f"/alpha/write?of={STATE}/written") == (200, "written")
    assert not warned(site)
    assert "nothing to do" in site.install()


def test_home_is_the_state_and_a_yaml_may_say_otherwise(site: Site) -> None:
    site.worker("alpha", "environment: {HOME: /srv}\n")
    site.worker("beta", "user: www-data\n")
    site.install()
    assert site.get("/alpha/environment")[1]["HOME"] == "/srv"
    assert site.get("/beta/environment")[1]["HOME"] == row(site, "www-data")[5]


@pytest.mark.long
def test_the_home_of_before_goes_in_the_restart_of_its_worker(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    of_before(site)
    others = site.machine.show("tq-worker@beta.service", "MainPID")
    assert len(warned(site)) == 1
    site.run("install")
    assert row(site)[5] == STATE  # usermod(8) does not change a user that has processes
    assert site.get("/alpha/health") == (200, "ok")
    site.install()
    assert row(site)[4:] == ["tqunits worker alpha", "/nonexistent", "/usr/sbin/nologin"]
    assert site.get(f"/alpha/read?of={STATE}/key") == (200, "written")
    assert account_of(site, "alpha") == "worker-alpha:worker-alpha"
    assert site.machine.show("tq-worker@beta.service", "MainPID") == others
    assert not warned(site)
    assert "nothing to do" in site.install()


SHOWN = "# worker-alpha has the home /nonexistent once nothing of it runs"


@pytest.mark.long
def test_a_home_that_will_go_is_shown_before(site: Site) -> None:
    site.worker("alpha")
    of_before(site)
    for verb in (["diff"], ["install", "--dry-run"], ["apply", "--dry-run"]):
        assert SHOWN in site.run(*verb, status=2)
    assert row(site)[5] == STATE
    site.install()
    assert site.run("diff") == ""


@pytest.mark.long
def test_the_home_of_before_goes_while_its_worker_is_stopped(site: Site) -> None:
    site.worker("alpha")
    of_before(site)
    site.run("stop", "alpha")
    site.run("install")
    assert row(site)[5] == "/nonexistent"
    site.run("start", "alpha")
    assert site.get(f"/alpha/read?of={STATE}/key") == (200, "written")


def test_a_socket_that_is_handed_on_comes_back_with_its_worker(site: Site) -> None:
    site.worker("alpha", "listen: unix\n")
    of_before(site)
    site.install()
    assert row(site)[5] == "/nonexistent"
    assert site.get("/alpha/health") == (200, "ok")


@pytest.mark.long
def test_the_home_of_a_worker_that_is_gone_goes_too(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    of_before(site)
    site.run("uninstall", "alpha")
    site.remove_worker("alpha")
    assert len(warned(site)) == 1
    site.run("install")
    assert row(site)[5] == "/nonexistent"
    assert not warned(site)


@pytest.mark.long
def test_who_holds_the_account_keeps_its_home_and_it_is_said(site: Site) -> None:
    """A process of that user that is not the worker's: usermod(8) refuses, but the worker is
    started."""
    site.worker("alpha")
    of_before(site)
    with site.machine.start(["sleep", "infinity"], user="worker-alpha") as other:
        try:
            said = site.install()
            assert "worker-alpha keeps its home for now" in said
            assert row(site)[5] == STATE
            assert site.get("/alpha/health") == (200, "ok")
            assert len(warned(site)) == 1
        finally:
            site.machine.run(["pkill", "-KILL", "-x", "-u", "worker-alpha", "sleep"])
            other.wait()
    site.install()
    assert row(site)[5] == "/nonexistent"


@pytest.mark.short("--all-before")
@pytest.mark.parametrize("home", [STATE, "/nonexistent"], ids=["before", "today"])
@pytest.mark.parametrize("which", ["alpha", "--all"])
def test_the_account_is_known_again_without_any_file_of_ours(site: Site, which: str, home: str) -> None:
    site.worker("alpha")
    site.run("install")  # it has never run, so systemd has not made the folder
    site.machine.run(["usermod", "-d", home, "worker-alpha"])
    number = row(site)[2]
    site.run("uninstall", which)
    site.machine.remove("/etc/sysusers.d/tqunits-workers.conf")
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert (row(site)[2], row(site)[5]) == (number, "/nonexistent")
    site.run("uninstall", which, "--purge", "--yes")
    assert "worker-alpha" not in site.users()


@pytest.mark.short("who may log in", "another's")
@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    "made",
    [
        pytest.param(f"useradd --system -d /nonexistent {NOLOGIN}", id="a service without a home"),
        pytest.param(f"useradd -M -d /nonexistent -c 'tqunits worker alpha' {NOLOGIN}", id="a person's number"),
        pytest.param("useradd --system -d /nonexistent -c 'tqunits worker alpha' -s /bin/bash", id="who may log in"),
        pytest.param(f"useradd --system -d /nonexistent -c 'tqunits worker beta' {NOLOGIN}", id="another's"),
        pytest.param(f"useradd --system -d /srv -c 'tqunits worker alpha' {NOLOGIN}", id="another home"),
    ],
)
def test_an_account_without_a_home_is_not_ours_for_that(site: Site, made: str) -> None:
    site.machine.run(["sh", "-c", f"{made} worker-alpha"])
    before = row(site)
    site.worker("alpha")
    site.worker("beta")
    assert "worker-alpha, which tqunits has not made" in site.install(status=1)
    assert site.get("/beta/health") == (200, "ok")
    site.run("uninstall", "--all", "--purge", "--yes")
    assert row(site) == before
