"""Files that the routers serve are those of the release: they change with a deploy and a rollback,
and with nothing else, and no client sees a gap."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from machine import rest, wake

from .conftest import LISTEN, ROOT, Site
from .hammering import RESTART, meanwhile, rude
from .test_backoff import wait
from .test_deploys import MAKE, made_by

RELEASES = "/var/lib/tqunits/releases"
LOOKER = """
import http.client, json, os, sys

enough, port, *paths = sys.argv[1:]
seen = {path: [] for path in paths}
print("begun", flush=True)
while not os.path.exists(enough):
    for path in paths:
        client = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
        client.request("GET", path)
        answer = client.getresponse()
        found = [answer.status, *sorted(set(answer.read().decode("latin-1").split()))]
        client.close()
        if seen[path][-1:] != [found]:
            seen[path].append(found)
print(json.dumps(seen), flush=True)
"""
"""Asks for pages, one after the other, and tells what it has seen, without repetitions: the status,
and the different words of the page."""
PAGES = {"alpha": "/alpha/assets/page.txt", "docs": "/docs/page.txt"}


def write(site: Site, word: str) -> None:
    """Write the pages of both workers anew. Each is longer than what is sent at once."""
    for worker in PAGES:
        path = f"{ROOT}/workers/{worker}/public/page.txt"
        site.machine.write(f"{path}.new", f"{word}\n" * 20_000)
        site.machine.run(["mv", f"{path}.new", path])


@pytest.fixture
def serving(host: Site) -> Iterator[Site]:
    """A host with a manager, the worker alpha with a program and files, and docs with files."""
    wake(host.machine)
    host.yaml("docs", "path: /docs\ntype: static\n")
    write(host, "one")
    rude(host, "static: {directory: public, prefix: /assets}\n")
    yield host
    rest(host.machine)


def outcomes(site: Site, worker: str) -> list[tuple[str, str]]:
    deploys = json.loads(site.run("history", worker, "--json"))["deploys"]
    return [(each["kind"], each["outcome"]) for each in deploys]


def test_files_change_with_a_deploy_and_a_rollback_and_with_nothing_else(serving: Site) -> None:
    site = serving
    with meanwhile(site, LOOKER, str(LISTEN), *PAGES.values()) as seen:
        site.run("deploy")
        write(site, "two")
        site.run("install")
        site.run("restart", "alpha")
        for page in PAGES.values():
            assert site.get(page)[1].startswith("one")
        site.run("deploy")
        for page in PAGES.values():
            assert site.get(page)[1].startswith("two")
        assert "nothing has changed: docs runs" in site.run("deploy", "docs")
        site.run("rollback", "docs")
        site.run("rollback", "alpha")
        for page in PAGES.values():
            assert site.get(page)[1].startswith("one")
    assert seen == {page: [[200, "one"], [200, "two"], [200, "one"]] for page in PAGES.values()}
    assert outcomes(site, "docs") == [
        ("rollback", "done"),
        ("deploy", "unchanged"),
        ("deploy", "done"),
        ("deploy", "done"),
    ]
    release = json.loads(site.run("history", "docs", "--json"))["deploys"][0]["release"]
    listed = {each["name"]: each["release"] for each in json.loads(site.run("ls", "--json"))["workers"]}
    shown = json.loads(site.run("show", "docs", "--json"))
    assert (listed["docs"], shown["release"], shown["stable_release"]) == (release, release, release)
    assert f"folder:     {RELEASES}/docs/runs/1/public\n" in site.run("show", "docs")


def test_files_of_a_worker_that_is_installed_anew_are_those_of_its_folder(serving: Site) -> None:
    site = serving
    site.run("deploy", "docs")
    assert "there is no unit of it" in site.run("uninstall", "--purge", "docs", status=4)
    write(site, "two")
    site.yaml("docs", "path: /docs\ntype: static\nenabled: false\n")
    site.install()
    assert site.get(PAGES["docs"])[0] == 503
    assert "not installed" in site.run("deploy", "docs", status=4)
    site.yaml("docs", "path: /docs\ntype: static\n")
    site.install()
    assert site.get(PAGES["docs"])[1].startswith("two")
    site.yaml("docs", "path: /docs\ntype: static\nproxy: {raw_path: true}\n")
    assert "its worker.yaml is not what is installed" in site.run("deploy", "docs", status=1)
    site.install()
    site.run("deploy", "docs")
    site.yaml("docs", "path: /docs\ntype: static\nstatic: {directory: /srv/elsewhere}\n")
    site.install()
    assert "it can not run releases: its static.directory is outside" in site.run("deploy", "docs", status=1)
    assert "docs" not in site.run("deploy"), "who deploys all means those that can"
    site.remove_worker("docs")
    site.run("apply")
    site.run("uninstall", "--purge", "docs")
    assert site.machine.run(["ls", RELEASES]).stdout == "alpha\n"


def test_a_release_of_what_lies_below_a_closed_folder_is_the_workers_own(serving: Site) -> None:
    site = serving
    site.machine.run(["chgrp", "worker-alpha", f"{ROOT}/workers"])
    site.machine.run(["chmod", "750", f"{ROOT}/workers"])
    said = site.run("deploy", "alpha")
    assert f"the router serves none of its static files: others may not enter {ROOT}/workers" in said
    (release,) = {each["release"] for each in json.loads(site.run("history", "alpha", "--json"))["deploys"]}
    folder = f"{RELEASES}/alpha/{release}"
    assert site.machine.run(["stat", "-c", "%U:%G %a", folder]).stdout == "root:worker-alpha 750\n"
    assert site.get("/alpha/?id=1")[0] == 200
    assert site.machine.read("/run/tqunits/workers/alpha/serving") == f"{release}\n"
    assert "page" not in site.get(PAGES["alpha"])[1]
    site.machine.run(["chmod", "755", f"{ROOT}/workers"])
    assert "nothing has changed" in site.run("deploy", "alpha")
    assert site.machine.run(["stat", "-c", "%a", folder]).stdout == "755\n"
    wait(site, lambda: site.get(PAGES["alpha"])[1].startswith("one"))


def test_of_what_a_build_makes_only_the_static_files_are_for_everybody(serving: Site) -> None:
    site = serving
    made_by(site, MAKE, "mkdir -p dist/site", "echo built > dist/site/page.txt", "echo secret > secret")
    site.yaml(
        "alpha",
        "path: /alpha\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n"
        f"static: {{directory: dist/site, prefix: /assets}}\n{RESTART}",
    )
    site.install()
    site.run("deploy", "alpha")
    assert site.get("/alpha/?id=1")[0] == 200
    wait(site, lambda: site.get(PAGES["alpha"]) == (200, "built\n"))
    release = f"{RELEASES}/alpha/runs/1"
    others = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "cat"]
    assert site.machine.run([*others, f"{release}/dist/site/page.txt"]).stdout == "built\n"
    for name in ("secret", "bin/run", "src/main.py", ".tqunits-release"):
        assert site.machine.run([*others, f"{release}/{name}"], check=False).returncode != 0, name


def test_a_worker_that_gets_another_group_runs_the_release_that_is_closed_to_others(serving: Site) -> None:
    site = serving
    site.machine.run(["groupadd", "crew"])
    site.machine.run(["chgrp", "worker-alpha", f"{ROOT}/workers"])
    site.machine.run(["chmod", "750", f"{ROOT}/workers"])
    site.run("deploy", "alpha")
    release = site.machine.read("/run/tqunits/workers/alpha/serving")
    site.machine.run(["chgrp", "crew", f"{ROOT}/workers"])
    rude(site, "group: crew\nstatic: {directory: public, prefix: /assets}\n")
    assert site.get("/alpha/?id=1")[0] == 200
    assert site.machine.read("/run/tqunits/workers/alpha/serving") == release
    assert site.machine.run(["stat", "-c", "%G %a", f"{RELEASES}/alpha/{release.strip()}"]).stdout == "crew 750\n"
