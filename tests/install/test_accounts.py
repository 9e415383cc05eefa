"""Which account a worker gets: its own, unless root owns the worker. A worker that is refused does
not keep others from being installed."""

from __future__ import annotations

import json

import pytest

from .conftest import ROOT, Site, given_to
from .test_listen import HANDED, INHERITED

ALPHA = f"{ROOT}/workers/alpha"
PLACE = f"{ALPHA}/config/worker.yaml"


def account_of(site: Site, name: str) -> str:
    """The user and group of the worker's process."""
    pid = site.machine.show(f"tq-worker@{name}.service", "MainPID")
    return site.machine.run(["stat", "-c", "%U:%G", f"/proc/{pid}"]).stdout.strip()


def routers_groups(site: Site) -> set[str]:
    return set(site.machine.show("tq-proxy@1.service", "SupplementaryGroups").split())


@pytest.mark.short("who answers polkit", "its owner", "a group that may read logs", "a group for the socket")
@pytest.mark.parametrize(
    ("yaml", "what"),
    [
        pytest.param("user: polkitd\n", "user: polkitd", id="who answers polkit"),
        pytest.param("user: www-data\n", "user: www-data", id="another service"),
        pytest.param("user: alice\n", "user: alice", id="its owner"),
        pytest.param("user: ghost\n", "user: ghost", id="nobody that there is"),
        pytest.param("group: adm\n", "group: adm", id="a group that may read logs"),
        pytest.param("listen: unix\ngroup: www-data\n", "group: www-data", id="a group for the router"),
        pytest.param("listen: fd\ngroup: www-data\n", "group: www-data", id="a group for the socket"),
    ],
)
def test_a_worker_that_is_not_roots_gets_its_own_account_alone(host: Site, alice: str, yaml: str, what: str) -> None:
    host.worker("beta")
    host.worker("alpha", yaml)
    given_to(host, alice)
    said = host.install(status=1)
    assert f"{PLACE}:{4 + yaml.count('listen')}:1: error: {what}" in said
    assert f"chown -R root: {ALPHA}" in said
    assert host.get("/beta/health") == (200, "ok")
    assert host.get("/alpha/health")[0] == 404
    assert not host.machine.exists(host.drop_in("alpha"))
    assert "ghost" not in host.users()
    assert not routers_groups(host)


def test_a_worker_that_is_not_roots_is_installed_with_its_own(host: Site, alice: str) -> None:
    host.worker("alpha", "user: worker-alpha\ngroup: worker-alpha\nlisten: unix\n")
    given_to(host, alice)
    host.install()
    assert host.get("/alpha/health") == (200, "ok")
    assert account_of(host, "alpha") == "worker-alpha:worker-alpha"


@pytest.mark.short("/config/worker.yaml")
@pytest.mark.parametrize("below", ["", "/config", "/config/worker.yaml"])
def test_one_folder_on_the_way_is_enough(host: Site, alice: str, below: str) -> None:
    host.worker("alpha", "user: www-data\n")
    host.machine.run(["chown", alice, f"{ALPHA}{below}"])
    assert f"{ALPHA}{below}" in host.install(status=1)
    assert not host.machine.exists(host.drop_in("alpha"))


def test_a_group_that_may_write_is_somebody_else(host: Site) -> None:
    host.worker("alpha", "user: www-data\n")
    host.machine.run(["sh", "-c", f"chgrp adm {ALPHA}/config && chmod g+w {ALPHA}/config"])
    assert f"{ALPHA}/config" in host.install(status=1)


def test_roots_worker_may_have_an_account_that_there_is(site: Site) -> None:
    site.worker("alpha", "user: www-data\n")
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert account_of(site, "alpha") == "www-data:www-data"
    assert "www-data" not in site.machine.read("/etc/sysusers.d/tqunits-workers.conf")
    assert "worker-alpha" not in site.users()
    assert "nothing to do" in site.install()


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        pytest.param("user: ghost\n", "user: there is no user ghost on this host", id="user"),
        pytest.param("group: ghosts\n", "group: there is no group ghosts on this host", id="group"),
        pytest.param("user: nobody\n", "group: there is no group nobody on this host", id="the user's group"),
    ],
)
def test_an_account_of_others_is_not_made(site: Site, yaml: str, said: str) -> None:
    site.worker("beta")
    site.worker("alpha", yaml)
    assert f"{PLACE}:4:1: error: {said}" in site.install(status=1)
    assert site.get("/beta/health") == (200, "ok")
    assert not {"ghost", "ghosts"} & site.users()


@pytest.mark.short("user: root", "user: tq-proxy", "group: worker-beta")
@pytest.mark.parametrize(
    "yaml",
    ["user: root", "user: tqunits", "user: tq-proxy", "user: worker-beta", "group: tq-proxy", "group: worker-beta"],
)
def test_nobody_gets_the_routers_account_or_another_workers(site: Site, yaml: str) -> None:
    site.worker("alpha", f"{yaml}\n")
    key, _, name = yaml.partition(": ")
    said = site.install(status=1)
    assert f"{PLACE}:4:{len(key) + 3}: error: {key}: " in said
    assert name in said
    assert not site.machine.exists(site.drop_in("alpha"))


@pytest.mark.short("root", "another worker's user")
@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    ("made", "yaml", "said"),
    [
        pytest.param("useradd -o -u 0 toor", "user: toor", "toor is root", id="root"),
        pytest.param("groupadd -o -g 0 toors", "group: toors", "toors is root", id="root's group"),
        pytest.param(
            "useradd -M -o -u $(id -u worker-beta) twin",
            "user: twin",
            "twin is worker-beta",
            id="another worker's user",
        ),
        pytest.param(
            "groupadd -o -g $(getent group worker-beta | cut -d: -f3) twins",
            "group: twins",
            "twins is worker-beta",
            id="another worker's group",
        ),
        pytest.param(
            "groupadd -o -g $(getent group shadow | cut -d: -f3) shades",
            "group: shades",
            "shades is shadow",
            id="shadow",
        ),
        pytest.param("useradd -M -o -u $(id -u tqunits) boss", "user: boss", "boss is tqunits", id="the manager"),
    ],
)
def test_another_name_is_no_way_around(site: Site, made: str, yaml: str, said: str) -> None:
    site.worker("beta")
    site.install()
    site.machine.run(["sh", "-c", made])
    site.worker("alpha", f"{yaml}\n")
    assert f"{said} under another name" in site.install(status=1)
    assert not site.machine.exists(site.drop_in("alpha"))
    assert site.get("/beta/health") == (200, "ok")


def test_a_user_that_lives_as_long_as_a_service_is_nobodys_to_take(site: Site) -> None:
    argv = ["systemd-run", "--unit=passing", "-p", "DynamicUser=yes", "-p", "User=passing", "sleep", "infinity"]
    site.machine.run(argv)
    try:
        site.worker("alpha", "user: passing\n")
        said = site.install(status=1)
        # without libnss-systemd the host does not know this user at all
        is_known = site.machine.run(["getent", "passwd", "passing"], check=False).returncode == 0
        assert ("user: passing is a service's own" if is_known else "there is no user passing") in said
        assert not site.machine.exists(site.drop_in("alpha"))
    finally:
        site.machine.systemctl("stop", "passing")


def test_the_router_joins_no_group_but_the_workers_own(site: Site) -> None:
    site.worker("beta", "listen: unix\n")
    site.worker("alpha", "listen: unix\ngroup: www-data\n")
    said = site.install(status=1)
    assert f"{PLACE}:5:1: error: group: " in said
    assert "`listen: tcp` or `listen: fd`" in said
    assert routers_groups(site) == {"worker-beta"}
    assert site.get("/beta/health") == (200, "ok")


@pytest.mark.short("another user")
@pytest.mark.parametrize(
    ("yaml", "account"),
    [
        pytest.param("group: www-data\n", "worker-alpha:www-data", id="another group"),
        pytest.param("user: www-data\n", "www-data:www-data", id="another user"),
        pytest.param("user: www-data\ngroup: worker-alpha\n", "www-data:worker-alpha", id="its own group"),
    ],
)
def test_a_handed_socket_lets_the_router_in_whatever_the_group(site: Site, yaml: str, account: str) -> None:
    site.worker("alpha", f"listen: fd\n{yaml}", program=INHERITED)
    site.install()
    assert site.get("/alpha/")[0] == 200
    assert account_of(site, "alpha") == account
    assert routers_groups(site) == {"worker-alpha"}
    assert site.machine.run(["stat", "-c", "%G %a", HANDED]).stdout.split() == ["worker-alpha", "660"]
    assert "nothing to do" in site.install()
    site.run("uninstall", "alpha")
    site.install()
    assert site.get("/alpha/")[0] == 200
    site.run("uninstall", "alpha", "--purge")
    assert "worker-alpha" not in site.users()


def test_another_user_on_a_unix_socket_needs_the_workers_own_group(site: Site) -> None:
    site.worker("alpha", "listen: unix\nuser: www-data\ngroup: worker-alpha\n")
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert account_of(site, "alpha") == "www-data:worker-alpha"


@pytest.mark.short("root", "a person", "a group")
@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    "made",
    [
        pytest.param("useradd --create-home worker-alpha", id="a person"),
        pytest.param("useradd -m -c 'tqunits worker alpha' worker-alpha", id="a person who says so"),
        pytest.param("useradd -m -d /var/lib/tqunits/workers/alpha worker-alpha", id="a person with its home"),
        pytest.param("useradd --system worker-alpha", id="a service"),
        pytest.param("groupadd worker-alpha", id="a group"),
        pytest.param("groupadd --system worker-alpha", id="a system group"),
        pytest.param("useradd -o -u 0 -d /var/lib/tqunits/workers/alpha worker-alpha", id="root"),
    ],
)
def test_an_account_of_that_name_which_we_did_not_make_is_not_taken_over(site: Site, made: str) -> None:
    site.worker("beta")
    site.worker("alpha")
    site.machine.run(["sh", "-c", made])
    said = site.install(status=1)
    assert f"{PLACE}:1:1: error: " in said
    assert "worker-alpha, which tqunits has not made" in said
    assert not site.machine.exists(site.drop_in("alpha"))
    assert "worker-alpha" not in site.machine.read("/etc/sysusers.d/tqunits-workers.conf")
    assert site.get("/beta/health") == (200, "ok")
    site.run("uninstall", "--all", "--purge", "--yes")
    assert "worker-alpha" in site.users()


@pytest.mark.short("--all")
@pytest.mark.parametrize("which", ["alpha", "--all"])
def test_what_was_uninstalled_can_be_installed_again_with_its_data(site: Site, which: str) -> None:
    site.worker("alpha")
    site.install()
    site.get("/alpha/write?of=/var/lib/tqunits/workers/alpha/kept")
    site.run("uninstall", which)
    assert "worker-alpha" in site.users()
    site.install()
    assert site.get("/alpha/read?of=/var/lib/tqunits/workers/alpha/kept") == (200, "written")


def test_what_is_installed_stays_and_serves_when_its_next_version_is_refused(host: Site, alice: str) -> None:
    host.worker("alpha", "user: www-data\n")
    host.worker("beta")
    host.install()
    pid = host.machine.show("tq-worker@alpha.service", "MainPID")
    before = host.machine.read(host.drop_in("alpha"))
    given_to(host, alice)  # as a release installed it that had no such rule
    host.worker("beta", "environment: {A: b}\nlisten: unix\n")
    for verb in (["install", "--now"], ["apply"]):
        said = host.run(*verb, status=1)
        assert f"{PLACE}:4:1: error: user: www-data" in said
        assert "refused alpha: what is installed of it stays" in said
    assert "A=b" in host.machine.read(host.drop_in("beta"))
    assert host.get("/beta/health") == (200, "ok")
    assert host.machine.read(host.drop_in("alpha")) == before
    assert host.machine.show("tq-worker@alpha.service", "MainPID") == pid
    host.machine.systemctl("restart", "tq-worker@alpha.service", "tq-proxy@1.service")
    assert host.get("/alpha/health") == (200, "ok")
    assert account_of(host, "alpha") == "www-data:www-data"


@pytest.mark.long
def test_a_socket_and_its_group_stay_too(site: Site) -> None:
    site.worker("alpha", "listen: fd\ngroup: www-data\n", program=INHERITED)
    site.install()
    site.worker("alpha", "listen: fd\ngroup: ghosts\n", program=INHERITED)
    site.worker("beta")
    assert "refused alpha" in site.install(status=1)
    site.machine.systemctl("restart", "tq-worker@alpha.service", "tq-proxy@1.service")
    assert site.get("/alpha/")[0] == 200
    assert site.get("/beta/health") == (200, "ok")


def test_a_dry_run_leaves_out_what_is_refused(host: Site, alice: str) -> None:
    host.worker("beta")
    host.worker("alpha", "user: www-data\n")
    given_to(host, alice)
    said = host.run("diff", status=1)
    assert f"{PLACE}:4:1: error: user: www-data" in said
    assert "tq-worker@beta.service.d" in said
    assert "tq-worker@alpha.service.d" not in said


def test_check_by_root_fails_for_what_an_install_refuses(host: Site, alice: str) -> None:
    host.worker("beta")
    host.worker("alpha", "user: www-data\n")
    given_to(host, alice)
    said = host.run("check", status=1)
    assert f"{PLACE}:4:1: error: user: www-data" in said
    assert "0 errors" in host.run("check", "beta")


def test_check_by_anybody_says_it_as_a_note(host: Site, alice: str) -> None:
    host.worker("alpha", "user: www-data\n")
    given_to(host, alice)
    done = host.machine.tqunits("check", "--json", user=alice)
    found = [f for f in json.loads(done.stdout)["diagnostics"] if "www-data" in f["message"]]
    assert [finding["severity"] for finding in found] == ["note", "note"]  # the user, and its group
    assert found[0]["message"].startswith("an install by root refuses this: user: www-data")
    done = host.machine.tqunits("--user", "-C", ROOT, "check", user=alice)
    assert "www-data" not in done.stderr
