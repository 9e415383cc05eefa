"""Folders of workers that come and go, on a booted systemd: a new one is installed by itself in
development mode, and one that goes is served on until somebody removes it."""

from __future__ import annotations

import json

import pytest

from .changing import FOLDER, await_watch, change, mark, says
from .conftest import PROBE, ROOT, Site
from .test_backoff import wait

WORKERS = f"{ROOT}/workers"
YAML = "path: /beta\ntype: python\ncommand: [python3, src/main.py]\n"


@pytest.fixture
def one_more(developing: Site) -> Site:
    """With the worker alpha, and a worker beta that waits in another folder."""
    developing.worker("alpha")
    developing.install()
    await_watch(developing)
    developing.machine.write("/srv/beta/config/worker.yaml", YAML)
    developing.machine.write("/srv/beta/src/main.py", PROBE)
    return developing


ARRIVALS = {
    "cp -r": "cp -r /srv/beta .",
    "mv": "cp -r /srv/beta /srv/site/beta; mv /srv/site/beta .",
    "file by file": "mkdir -p beta/config; cp /srv/beta/config/worker.yaml beta/config; mkdir beta/src;"
    " cp /srv/beta/src/main.py beta/src",
}


@pytest.mark.short("file by file")
@pytest.mark.parametrize("way", ARRIVALS)
def test_a_new_folder_is_installed_and_serves(one_more: Site, way: str) -> None:
    site, before = one_more, one_more.machine.show("tq-worker@alpha.service", "InvocationID")
    site.machine.run(["sh", "-euc", f"cd {WORKERS}; {ARRIVALS[way]}"])
    wait(site, lambda: site.get("/beta/health") == (200, "ok"))
    await_watch(site, "beta")
    assert site.machine.show("tq-worker@alpha.service", "InvocationID") == before
    assert json.loads(site.run("history", "beta", "--json"))["deploys"] == []
    assert len(mark(site, "1")) == 1


def test_a_new_folder_with_a_mistake_is_said_and_tried_again_when_it_is_mended(one_more: Site) -> None:
    site, since = one_more, one_more.machine.cursor()
    site.machine.write("/srv/beta/config/worker.yaml", f"{YAML}restart: {{delay: soon}}\n")
    site.machine.run(["cp", "-r", "/srv/beta", WORKERS])
    says(site, "not all of it is installed: tq-apply.service ", since)
    assert "beta/config/worker.yaml:4:18: error: " in site.machine.journal("tq-apply.service", since)
    assert not site.machine.exists(site.drop_in("beta"))
    site.machine.write(f"{WORKERS}/beta/config/worker.yaml", YAML)
    wait(site, lambda: site.get("/beta/health") == (200, "ok"))


@pytest.mark.parametrize("watch", ["", "watch: {new: true}\n"], ids=["not", "where it is asked for"])
def test_in_production_a_new_folder_is_installed_where_it_is_asked_for(one_more: Site, watch: str) -> None:
    site = one_more
    site.server(f"mode: production\ndefaults: {{watch: {{enabled: true}}}}\n{watch}")
    site.install()
    await_watch(site)
    site.machine.run(["cp", "-r", "/srv/beta", WORKERS])
    if watch:
        wait(site, lambda: site.get("/beta/health") == (200, "ok"))
    else:
        mark(site, "1")
        assert not site.machine.exists(site.drop_in("beta"))


def test_a_folder_that_goes_is_served_on_until_apply(one_more: Site) -> None:
    site, since = one_more, one_more.machine.cursor()
    site.machine.run(["cp", "-r", "/srv/beta", WORKERS])
    wait(site, lambda: site.get("/beta/health") == (200, "ok"))
    site.machine.run(["mv", FOLDER, "/srv/site/alpha"])
    says(site, "alpha: changes of its files are not noticed: ", since)
    assert site.get("/alpha/health") == (200, "ok")
    assert "changes of its files are not noticed: " in site.run("show", "alpha")
    site.run("apply")
    assert site.machine.show("tq-worker@alpha.service", "ActiveState") == "inactive"
    assert site.get("/beta/health") == (200, "ok")
    assert not site.machine.exists(site.drop_in("alpha"))


def test_a_folder_that_comes_back_is_watched_again(one_more: Site) -> None:
    site, since = one_more, one_more.machine.cursor()
    site.machine.run(["mv", FOLDER, "/srv/site/alpha"])
    says(site, "alpha: changes of its files are not noticed: ", since)
    site.machine.run(["mv", "/srv/site/alpha", FOLDER])
    await_watch(site)
    assert len(mark(site, "1")) == 1
    change(site, "echo '# 2' >> src/main.py")
    wait(site, lambda: len(json.loads(site.run("history", "alpha", "--json"))["deploys"]) == 2)
