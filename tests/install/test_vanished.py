"""A missing folder of workers does not remove the workers, and files that systemctl commands delete
are put back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from machine import Machine

from .conftest import ROOT, Site

pytestmark = pytest.mark.usefixtures("repairing")

AWAY = "/srv/away"
OTHER = "/srv/other"
YAML = "path: /alpha\ntype: python\ncommand: [python3, src/main.py]\n"


def state(site: Site, worker: str = "alpha") -> str:
    return site.machine.show(f"tq-worker@{worker}.service", "ActiveState")


def empty(site: Site) -> None:
    """A mount point without its disk."""
    site.machine.run(["mkdir", "-p", f"{ROOT}/workers/lost+found"])


@pytest.fixture
def away(site: Site) -> Iterator[Site]:
    """alpha and a worker with files alone are installed, and then their folder is missing."""
    site.worker("alpha")
    site.yaml("docs", "path: /docs\ntype: static\n")
    site.machine.write(f"{ROOT}/workers/docs/public/page", '"docs"')
    site.install()
    site.machine.run(["mv", f"{ROOT}/workers", AWAY])
    yield site
    site.machine.remove(AWAY)


def test_a_folder_of_workers_that_is_not_there_is_no_order(away: Site) -> None:
    before = away.files()
    for verb in (["apply"], ["install", "--now"], ["install", "--prune"], ["diff", "--prune"], ["apply", "--dry-run"]):
        said = away.run(*verb, status=1)
        assert f"the folder of the workers, {ROOT}/workers, is not there, and alpha, docs are installed" in said
    assert away.files() == before
    assert away.get("/alpha/health") == (200, "ok")
    assert "is about --prune" in away.run("install", "--remove-all", status=2)
    away.run("apply", "--remove-all")
    assert state(away) == "inactive"


def test_a_folder_without_workers_is_no_order(away: Site) -> None:
    empty(away)
    before = away.files()
    assert f"no worker is in {ROOT}/workers, and alpha, docs are installed" in away.run("apply", status=1)
    said = away.install()
    assert "alpha is installed but no longer configured" in said
    assert "nothing to do" not in said
    assert away.files() == before
    away.run("uninstall", "alpha")  # they are removed one by one
    away.machine.run(["mv", f"{AWAY}/docs", f"{ROOT}/workers/docs"])
    away.run("apply")
    assert away.get("/docs/page") == (200, "docs")


@pytest.mark.short("link")
@pytest.mark.parametrize("how", ["empty", "link"])
def test_a_worker_whose_own_folder_shows_nothing_stays(site: Site, how: str) -> None:
    site.worker("alpha")
    site.worker("beta")
    site.install()
    site.remove_worker("alpha")
    folder = f"{ROOT}/workers/alpha"
    site.machine.run(["mkdir", "-p", folder] if how == "empty" else ["ln", "-s", "/srv/unmounted", folder])
    site.worker("beta", "environment: {X: y}\n")
    said = site.run("apply", status=1)
    why = f"alpha is installed, and its folder {'is empty' if how == 'empty' else 'leads nowhere'}"
    assert why in said
    assert "refused alpha: what is installed of it stays" in said
    (row,) = json.loads(site.machine.tqunits("ls", "alpha", "--json").stdout)["workers"]
    assert row["left_out"]["reason"].endswith(why)
    assert site.get("/alpha/health") == (200, "ok")
    assert site.get("/beta/environment")[1]["X"] == "y"
    site.remove_worker("alpha")
    site.run("apply")
    assert state(site) == "inactive"


def test_another_root_does_not_remove_the_workers_of_the_first(site: Site) -> None:
    site.worker("alpha")
    site.install()
    site.machine.write(f"{OTHER}/workers/gamma/config/worker.yaml", YAML.replace("alpha", "gamma"))
    other = Site(site.machine, ("-C", OTHER))
    said = other.run("apply", status=1)
    assert f"alpha is installed from {ROOT}/workers, not from {OTHER}/workers: nothing was changed" in said
    assert site.get("/alpha/health") == (200, "ok")
    assert not site.machine.exists(site.drop_in("gamma"))
    site.machine.remove(OTHER)


@pytest.mark.long
def test_what_is_left_of_a_removed_worker_is_purged_by_its_name(site: Site) -> None:
    users = site.users()
    site.worker("alpha")
    site.worker("beta")
    site.install()
    assert site.get("/alpha/write?of=/var/lib/tqunits/workers/alpha/x") == (200, "written")
    site.remove_worker("alpha")
    site.run("apply")
    assert "worker-alpha" in site.users()
    site.run("uninstall", "alpha", status=4)
    planned = site.run("uninstall", "alpha", "--purge", "--dry-run", status=2)
    assert "remove /var/lib/tqunits/workers/alpha\n" in planned
    assert "remove user worker-alpha\n" in planned
    assert "beta" not in planned
    site.run("uninstall", "alpha", "--purge")
    assert not site.machine.exists("/var/lib/tqunits/workers/alpha")
    assert site.users() - users == {"worker-beta", "tqunits"}
    assert site.get("/beta/health") == (200, "ok")
    site.run("uninstall", "alpha", "--purge", status=4)


def test_a_purge_of_all_is_asked_for_and_shown(site: Site) -> None:
    site.worker("alpha")
    site.install()
    before = site.files()
    assert "--yes says that it is meant" in site.run("uninstall", "--all", "--purge", status=2)
    shown = site.run("uninstall", "--all", "--purge", "--dry-run", status=2)
    assert {"remove /var/lib/tqunits", "remove user worker-alpha", f"remove {site.drop_in('alpha')}"} <= {
        *shown.split("\n")
    }
    assert site.files() == before
    site.run("uninstall", "--all", "--purge", "--yes")
    assert site.run("uninstall", "--all", "--purge", "--dry-run") == ""


def answered(machine: Machine, text: str) -> str:
    """The output of `uninstall --all --purge` at a terminal, for this input."""
    command = "tqunits uninstall --all --purge; echo status $?"
    return machine.run(["script", "-qec", command, "/dev/null"], input=text).stdout


def test_a_person_at_a_terminal_is_asked(site: Site) -> None:
    site.worker("alpha")
    site.install()
    assert "status 2" in answered(site.machine, "y\n")
    assert site.get("/alpha/health") == (200, "ok")
    assert "status 0" in answered(site.machine, "yes\n")
    assert not site.machine.exists("/var/lib/tqunits")


def test_systemctl_revert_uninstalls_nobody(site: Site) -> None:
    """The ledger has everything that was in the drop-in; the watch over the units' folder restores
    the drop-in."""
    site.worker("alpha")
    site.worker("beta")
    site.install()
    drop_in, pid = site.drop_in("beta"), site.machine.show("tq-worker@beta.service", "MainPID")
    before = site.machine.read(drop_in)
    site.machine.systemctl("revert", "tq-worker@beta.service")
    site.machine.wait_until(["systemctl", "restart", "tq-worker@beta.service"])
    assert site.machine.read(drop_in) == before
    assert site.machine.show("tq-worker@beta.service", "MainPID") != pid
    assert site.get("/beta/health") == (200, "ok")


@pytest.mark.long
def test_what_a_lost_drop_in_knew_is_kept_without_the_watch_too(site: Site) -> None:
    for name in ("alpha", "beta"):
        site.worker(name)
    site.install()
    before = site.machine.read(site.drop_in("beta"))
    site.unwatched()
    site.machine.systemctl("revert", "tq-worker@alpha.service", "tq-worker@beta.service")
    found = json.loads(site.machine.tqunits("repair", "--dry-run", "--json").stdout)["repaired"]
    assert [(one["unit"], one["cure"]) for one in found] == [
        (f"tq-worker@{name}.service", "restore") for name in ("alpha", "beta")
    ]
    shown = site.run("diff", status=2)
    assert shown.count("--- /dev/null") == shown.count("+++ ") == 2
    assert site.drop_in("alpha") in shown and site.drop_in("beta") in shown
    site.remove_worker("alpha")  # and a worker that is no longer configured is still an orphan
    site.worker("aaa")  # would be the first to get a port
    said = site.install()
    assert f"put back {site.drop_in('beta')}" in said
    assert "alpha is installed but no longer configured" in said
    assert site.machine.read(site.drop_in("beta")) == before
    assert site.get("/beta/health") == (200, "ok")
    site.machine.systemctl("start", "tq-repair.path")


@pytest.mark.long
def test_who_gets_its_drop_in_back_is_restarted_for_a_change_alone(site: Site) -> None:
    """A process that has the settings of the restored drop-in is not outdated; one that has not
    taken a change is."""
    unit = "tq-worker@alpha.service"
    site.worker("alpha")
    site.install()
    first = site.machine.show(unit, "InvocationID")
    site.unwatched()
    site.machine.systemctl("revert", unit)
    assert f"put back {site.drop_in('alpha')}" in site.install()
    assert site.machine.show(unit, "InvocationID") == first
    site.worker("alpha", "environment: {X: y}\n")
    site.run("install")
    site.unwatched()
    site.machine.systemctl("revert", unit)
    assert f"{unit} still runs as it was" in site.run("install")
    site.install()
    assert site.machine.show(unit, "InvocationID") != first
    assert site.get("/alpha/environment")[1]["X"] == "y"


@pytest.mark.long
def test_who_edits_a_drop_in_is_told_of_it_also_when_it_is_lost_then(site: Site) -> None:
    """The drop-in now has its first content again, and the process has another."""
    unit = "tq-worker@alpha.service"
    site.worker("alpha")
    site.install()
    site.machine.run(["sed", "-i", "s/^\\[Service\\]/&\\nEnvironment=X=edited/", site.drop_in("alpha")])
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("restart", unit)
    assert site.get("/alpha/environment")[1]["X"] == "edited"
    assert f"{unit} still runs as it was" in site.run("install")
    site.unwatched()
    site.machine.systemctl("revert", unit)
    assert f"{unit} still runs as it was" in site.run("install")
    site.machine.systemctl("start", "tq-repair.path")


def test_who_is_uninstalled_does_not_come_back(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    site.install()
    site.run("uninstall", "beta")
    site.machine.systemctl("start", "tq-repair.service")
    assert not site.machine.exists(site.drop_in("beta"))
    assert "beta" not in site.machine.read("/var/lib/tqunits/ledger.json")
    site.run("uninstall", "--all")
    assert not site.machine.exists("/var/lib/tqunits/ledger.json")
