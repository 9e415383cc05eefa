"""Ownership decides what a worker gets that root does not own, and which of two workers gets what
both want. No worker holds up another."""

from __future__ import annotations

import json
import re

import pytest

from .conftest import ROOT, Site, given_to

ALPHA = f"{ROOT}/workers/alpha"
PLACE = f"{ALPHA}/config/worker.yaml"
STAYS = "refused alpha: what is installed of it stays"


def asks(host: Site, owner: str, yaml: str = "", name: str = "alpha") -> None:
    host.worker(name, yaml)
    given_to(host, owner, name)


def test_a_request_is_served_at_its_own_name(host: Site, alice: str) -> None:
    asks(host, alice, "environment_file: .env\nlisten: unix\n")
    host.machine.write(f"{ALPHA}/.env", "A=b\n")
    given_to(host, alice)
    host.install()
    assert host.get("/alpha/environment")[1]["A"] == "b"
    assert "0 errors" in host.run("check")


ASKED = {
    "host": ("host: x.org\n", "host: x.org", "{hosts: [x.org]}"),
    "port": ("port: 9999\n", "port: 9999", "{ports: [9999]}"),
    "credential": (
        "credentials: {key: /etc/shadow}\n",
        "credentials: /etc/shadow",
        "{credentials: [/etc/shadow]}",
    ),
    "variables": (
        "environment_file: /etc/environment\n",
        "environment_file: /etc/environment",
        "{environment_files: [/etc/environment]}",
    ),
    "memory": ("limits: {memory_max: 90%}\n", "limits.memory_max: 90%", "{limits: {memory_max: 90%}}"),
    "sandbox": ("sandbox: legacy\n", "sandbox: legacy", "{sandbox: [legacy]}"),
    "unit": (
        "depends: {requires: [cron.service]}\n",
        "depends.requires: cron.service",
        "{depends: [cron.service]}",
    ),
    "files": (
        "static: {directory: /usr/share/doc}\n",
        "static.directory: /usr/share/doc",
        "{static: [/usr/share/doc]}",
    ),
}


@pytest.mark.short("host", "credential", "port", "unit")
@pytest.mark.parametrize(("yaml", "what", "block"), ASKED.values(), ids=ASKED)
def test_what_it_has_no_grant_for_is_refused_and_holds_up_nobody(
    host: Site, alice: str, yaml: str, what: str, block: str
) -> None:
    asks(host, alice, yaml)
    host.worker("beta")
    said = host.install(status=1)
    uid = host.machine.run(["id", "-u", alice]).stdout.strip()
    assert re.search(rf"{PLACE}:4:[0-9]+: error: {re.escape(what)} needs a grant", said)
    assert f"{ALPHA} belongs to uid {uid} ({alice})" in said
    assert f"or write in /etc/tqunits/tqunits.yaml: grants: {{alpha: {block}}}" in said
    assert STAYS in said
    assert not host.machine.exists(host.drop_in("alpha"))
    assert host.get("/beta/health") == (200, "ok")


def test_the_block_that_is_shown_can_be_pasted(host: Site, alice: str) -> None:
    asks(host, alice, "host: [localhost, x.org]\nlimits: {memory_max: 600M}\ncredentials: {key: /etc/hostname}\n")
    block = host.install(status=1).partition(": grants:")[2].partition("\n")[0]
    host.server(f"grants:{block}\n")
    host.install()
    assert host.get("/alpha/health") == (200, "ok")
    assert host.machine.show("tq-worker@alpha.service", "MemoryMax") == str(600 << 20)
    folder = host.get("/alpha/environment")[1]["CREDENTIALS_DIRECTORY"]
    assert host.get(f"/alpha/read?of={folder}/key") == (200, "machine\n")


def test_an_account_by_grant(host: Site, alice: str) -> None:
    asks(host, alice, "user: www-data\n")
    host.server("grants: {alpha: {user: www-data, group: www-data}}\n")
    host.install()
    pid = host.machine.show("tq-worker@alpha.service", "MainPID")
    assert host.machine.run(["stat", "-c", "%U", f"/proc/{pid}"]).stdout.strip() == "www-data"


def test_what_is_taken_back_leaves_the_worker_as_it_is(host: Site, alice: str) -> None:
    asks(host, alice, "limits: {tasks_max: 600}\n")
    host.server("grants: {alpha: {limits: {tasks_max: 600}}}\n")
    host.install()
    before = host.machine.show("tq-worker@alpha.service", "MainPID")
    host.server("")
    assert STAYS in host.run("apply", status=1)
    assert host.machine.show("tq-worker@alpha.service", "MainPID") == before
    assert host.get("/alpha/health") == (200, "ok")


def test_no_grant_counts_where_anybody_may_make_the_folder(host: Site, alice: str) -> None:
    asks(host, alice, "host: x.org\n")
    host.machine.run(["chown", alice, f"{ROOT}/workers"])
    host.server("grants: {alpha: {hosts: [x.org]}}\n")
    said = host.install(status=1)
    assert "there a grant counts" in said
    assert f"warning: grants: none of them counts: {ROOT}/workers belongs to uid" in host.run("check", status=1)


@pytest.mark.short("/etc/tqunits")
@pytest.mark.parametrize("path", ["/etc/tqunits", "/etc/tqunits/tqunits.yaml", "/etc/tqunits/tqunits.yaml.d/a.yaml"])
def test_whoever_may_write_the_hosts_configuration_gives_root_no_orders(host: Site, alice: str, path: str) -> None:
    host.machine.write("/etc/tqunits/tqunits.yaml.d/a.yaml", "mode: production\n")
    host.worker("alpha")
    host.machine.run(["chown", alice, path])
    before = host.files()
    try:
        assert f"not root's, so no order to root: {path} belongs to uid" in host.install(status=5)
        assert host.files() == before
        assert "an install by root takes no orders from here" in host.run("check", status=1)
    finally:
        host.machine.run(["chown", "root", path])
        host.machine.remove("/etc/tqunits/tqunits.yaml.d")


@pytest.mark.short(".", "workers/alpha/config/worker.yaml")
@pytest.mark.parametrize("whose", ["workers/alpha", "config", "workers/alpha/config/worker.yaml", "."])
def test_a_checkout_has_to_be_roots_or_to_be_trusted(site: Site, alice: str, whose: str) -> None:
    site.worker("alpha", "user: www-data\n")
    site.machine.run(["chown", alice, f"{ROOT}/{whose}"])
    said = site.install(status=5)
    assert f"tqunits -C {ROOT} --trust" in said
    assert not site.machine.exists(site.drop_in("alpha"))
    site.run("--trust", "install", "--now")
    assert site.get("/alpha/health") == (200, "ok")
    assert site.install(status=5) == said  # --trust was for that run only
    site.machine.run(["chown", "-R", "root:", ROOT])


def test_trust_is_about_a_folder(host: Site) -> None:
    assert "--trust is about -C DIR" in host.run("--trust", "install", status=2)


def test_a_broken_worker_holds_up_nobody(site: Site) -> None:
    site.worker("alpha")
    site.yaml("docs", "path: /docs\ntype: static\nstatic: {directory: /srv/docs}\n")
    site.machine.write("/srv/docs/index.html", "docs")
    site.install()
    before = site.machine.show("tq-worker@alpha.service", "MainPID")
    for name in ("alpha", "docs"):
        site.yaml(name, f"path: /{name}\nlimits: {{memory_max: lots}}\n")
    site.yaml("gamma", "- nonsense\n")
    site.machine.run(["mkdir", "-p", f"{ROOT}/workers/delta/config"])
    site.machine.run(["mkfifo", f"{ROOT}/workers/delta/config/worker.yaml"])
    site.worker("beta")
    for verb in (["install", "--now"], ["apply"]):
        said = site.run(*verb, status=1)
        for name in ("alpha", "docs", "gamma", "delta"):
            assert f"{ROOT}/workers/{name}/config/worker.yaml:" in said
            assert f"refused {name}: what is installed of it stays" in said
        assert site.get("/alpha/health") == (200, "ok")
        assert site.get("/docs/") == (200, "docs")
        assert site.get("/beta/health") == (200, "ok")
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == before
    site.run("diff", status=1)
    states = {row["name"]: row["state"] for row in json.loads(site.run("ls", "--json"))["workers"]}
    assert states.items() >= {"alpha": "healthy", "beta": "healthy", "docs": "static"}.items()
    assert {states["gamma"], states["delta"]} == {"refused"}
    site.machine.remove("/srv/docs")


def test_a_name_that_no_file_can_have_holds_up_nobody(host: Site, alice: str) -> None:
    host.yaml("alpha", f"path: /alpha\ntype: exec\ncommand: [./{'a' * 300}]\n")
    given_to(host, alice)
    host.worker("beta")
    assert "is too long for a path" in host.install(status=1)
    assert host.get("/beta/health") == (200, "ok")


def test_who_orders_himself_around_another_holds_up_nobody(host: Site, alice: str) -> None:
    for name in ("alpha", "beta"):
        host.worker(name)
    unit = "tq-worker@beta.service"
    host.worker("alpha", f"unit: {{Unit: {{After: {unit}, Before: {unit}}}}}\n")
    for name in ("alpha", "beta"):
        given_to(host, alice, name)
    for yaml in ("", f"grants: {{alpha: {{depends: [{unit}]}}}}\n"):
        host.server(yaml)
        assert "refused alpha" in (said := host.install(status=1))
        assert "refused beta" not in said
        assert host.get("/beta/health") == (200, "ok")


@pytest.mark.long
def test_files_that_are_no_longer_configured_are_served_until_they_are_removed(site: Site) -> None:
    site.yaml("docs", "path: /docs\ntype: static\nstatic: {directory: /srv/docs}\n")
    site.machine.write("/srv/docs/index.html", "docs")
    site.worker("alpha")
    site.install()
    site.remove_worker("docs")
    site.worker("beta")
    assert "docs is installed but no longer configured" in site.install()
    assert site.get("/docs/") == (200, "docs")
    site.run("apply")
    assert site.get("/docs/")[0] == 404
    site.machine.remove("/srv/docs")


@pytest.mark.long
def test_an_installed_route_is_kept(host: Site, alice: str) -> None:
    host.worker("beta", "")
    host.yaml("beta", "path: [/beta, /alpha]\ntype: python\ncommand: [python3, src/main.py]\n")
    host.install()
    asks(host, alice)
    said = host.install(status=1)
    assert f"{PLACE}:1:1: error: path: /alpha is the route of worker 'beta' too" in said
    assert host.get("/alpha/environment")[1]["WORKER_NAME"] == "beta"
    host.machine.remove(f"{ROOT}/workers/beta")  # not removed: it serves until somebody removes it
    assert "path: /alpha is the route of worker 'beta', which is installed" in host.install(status=1)
    host.run("apply")
    assert host.get("/alpha/environment")[1]["WORKER_NAME"] == "alpha"


def test_a_route_below_another_workers_is_by_grant(host: Site, alice: str) -> None:
    host.worker("beta")
    host.yaml("beta", "path: [/beta, /alpha]\ntype: python\ncommand: [python3, src/main.py]\n")
    host.worker("alpha")
    host.yaml("alpha", "path: /alpha/login\ntype: python\ncommand: [python3, src/main.py]\n")
    given_to(host, alice)
    assert f"{PLACE}:1:1: error: path: /alpha/login needs a grant" in host.install(status=1)
    assert not host.machine.exists(host.drop_in("alpha"))
    assert "path: /alpha/login takes requests from worker 'beta'" in host.run("check", status=1)
    host.server("grants: {alpha: {routes: [/alpha/login]}}\n")
    host.install()
    assert host.get("/alpha/login/environment")[1]["WORKER_NAME"] == "alpha"
    assert host.get("/alpha/environment")[1]["WORKER_NAME"] == "beta"


def test_of_two_new_ones_roots_wins_and_of_equals_nobody(host: Site, alice: str) -> None:
    host.server("grants: {alpha: {routes: [/shop]}, beta: {routes: [/shop]}}\n")
    for name in ("alpha", "beta"):
        host.yaml(name, "path: /shop\ntype: python\ncommand: [python3, src/main.py]\n")
        given_to(host, alice, name)
    said = host.install(status=1)
    assert "refused alpha" in said
    assert "refused beta" in said
    host.machine.run(["chown", "-R", "root:", f"{ROOT}/workers/beta"])
    host.worker("beta")
    host.yaml("beta", "path: /shop\ntype: python\ncommand: [python3, src/main.py]\n")
    said = host.install(status=1)
    assert "refused alpha" in said
    assert host.get("/shop/environment")[1]["WORKER_NAME"] == "beta"


def test_a_port_in_another_workers_ledger_is_refused(site: Site) -> None:
    site.worker("alpha")
    site.install()
    before = site.machine.show("tq-worker@alpha.service", "MainPID")
    site.worker("beta", "port: 9000\n")
    site.worker("gamma")
    said = site.install(status=1)
    assert f"{ROOT}/workers/beta/config/worker.yaml:4:1: error: port: 9000 is the port of worker 'alpha'" in said
    assert "Port=9000" in site.machine.read(site.drop_in("alpha"))
    assert site.get("/alpha/environment")[1]["WORKER_NAME"] == "alpha"
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == before
    assert site.get("/gamma/health") == (200, "ok")
    site.remove_worker("alpha")
    assert "or remove that worker: tqunits uninstall alpha" in site.install(status=1)
    site.run("apply", status=1)  # alpha is removed when all new workers are up
    site.run("apply")
    assert "Port=9000" in site.machine.read(site.drop_in("beta"))


def test_a_full_range_refuses_who_is_too_much(site: Site) -> None:
    site.server("workers: {port_range: 9000-9001}\n")
    for name in ("alpha", "beta"):
        site.worker(name)
    site.install()
    site.worker("gamma")
    site.worker("delta", "listen: unix\n")
    said = site.install(status=1)
    assert f"{ROOT}/workers/gamma/config/worker.yaml:1:1: error: no port is left in 9000-9001" in said
    for name in ("alpha", "beta", "delta"):
        assert site.get(f"/{name}/health") == (200, "ok")


def test_some_are_installed_and_the_others_left_as_they_are(site: Site) -> None:
    for name in ("alpha", "beta"):
        site.worker(name)
    site.yaml("docs", "path: /docs\ntype: static\nstatic: {directory: /srv/docs}\n")
    site.machine.write("/srv/docs/index.html", "docs")
    site.install()
    before = site.files()
    site.worker("alpha", "environment: {A: new}\n")
    site.worker("beta", "environment: {A: new}\npath: /beta\n")  # a mistake: `path` is there twice
    site.yaml("docs", "path: /elsewhere\ntype: static\nstatic: {directory: /srv/docs}\n")
    site.worker("gamma", "listen: unix\n")
    site.install("tq-worker@gamma.service", "alpha")
    after = site.files()
    changed = {path for path in before if after.get(path) != before[path]}
    assert site.drop_in("alpha") in changed
    assert site.drop_in("beta") not in changed
    assert site.get("/alpha/environment")[1]["A"] == "new"
    assert "A" not in site.get("/beta/environment")[1]
    assert site.get("/docs/") == (200, "docs")
    assert site.get("/gamma/health") == (200, "ok")
    assert "refused beta" in site.install("beta", status=1)
    assert "did you mean 'alpha'?" in site.install("alhpa", status=4)
    assert "--prune" in site.install("alpha", "--prune", status=2)
    site.machine.remove("/srv/docs")
