"""Files that the router serves: a worker that has only files, and a worker that has a program
too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import ROOT, Site

STATIC = "path: /docs\ntype: static\n"
PUBLIC = f"{ROOT}/workers/docs/public"


def docs(site: Site) -> None:
    """Write a worker without a program, and the files that it serves."""
    site.yaml("docs", STATIC)
    site.machine.write(f"{PUBLIC}/index.html", "<p>docs")


def listed(site: Site) -> dict[str, dict[str, Any]]:
    return {worker["name"]: worker for worker in json.loads(site.run("ls", "--json"))["workers"]}


def test_files_are_served_without_a_unit(site: Site) -> None:
    docs(site)
    assert "0 errors, 0 warnings, 0 notes" in site.run("check")
    site.install()
    assert site.get("/docs/") == (200, "<p>docs")
    assert site.get("/docs/index.html") == (200, "<p>docs")
    assert site.get("/docs/none")[0] == 404
    assert not [unit for unit in site.units() if unit.startswith("tq-worker@")]
    assert "worker-docs" not in site.users()
    site.machine.write(f"{PUBLIC}/new.txt", "later")
    assert site.get("/docs/new.txt") == (200, "later")
    assert "nothing to do" in site.install()


def test_a_folder_that_is_closed_or_missing_is_said_wherever_one_looks(site: Site) -> None:
    docs(site)
    site.install()
    site.machine.run(["chmod", "0700", PUBLIC])
    why = f"others may not enter {PUBLIC}"
    assert why in site.run("check") and why in site.run("show", "docs")
    assert site.get("/docs/")[0] == 404
    assert f"no file of {PUBLIC} is served: {why}; chmod o+x {PUBLIC}" in site.machine.journal("tq-proxy@1.service")
    site.machine.remove(PUBLIC)
    assert "it is not there" in site.run("check") and "it is not there" in site.run("show", "docs")


def test_the_sandbox_of_the_router_shows_files_below_a_home(site: Site) -> None:
    site.yaml("docs", f"{STATIC}static: {{directory: /home/docs}}\n")
    site.machine.write("/home/docs/index.html", "at home")
    site.install()
    assert site.get("/docs/") == (200, "at home")
    site.yaml("docs", f"{STATIC}static: {{directory: /srv/link}}\n")
    site.machine.run(["ln", "-s", "/home/docs", "/srv/link"])
    site.install()
    assert site.get("/docs/")[0] == 404
    said = "others may not enter /home; write the folder itself, so that the sandbox of the router shows it"
    assert said in site.machine.journal("tq-proxy@1.service")
    site.machine.remove("/srv/link")
    site.machine.remove("/home/docs")


@pytest.mark.long
def test_a_worker_that_is_files_alone_is_listed_as_such(site: Site) -> None:
    docs(site)
    site.worker("alpha")
    assert "not installed" in site.run("show", "docs")
    site.install()
    workers = listed(site)
    assert list(workers) == ["alpha", "docs"]
    assert (workers["docs"]["state"], workers["docs"]["routes"]) == ("static", ["/docs"])
    assert [key for key in ("unit", "pid", "port", "restarts", "enabled") if workers["docs"][key] is not None] == []
    assert "static" in site.run("ls", "docs")  # and the exit status is that of a worker that runs
    shown = site.run("show", "docs")
    assert "state:      static: the router serves its files\n" in shown
    assert f"folder:     {PUBLIC}\n" in shown
    assert "unit:" not in shown
    known = json.loads(site.run("show", "docs", "--json"))
    assert (known["state"], known["installed"], known["unit"]) == ("static", True, None)
    assert "there is no unit of it" in site.run("restart", "docs", status=4)


def test_a_worker_that_is_files_alone_comes_and_goes_by_its_folder(site: Site) -> None:
    site.worker("alpha")
    site.install()
    docs(site)
    site.install()
    assert site.get("/docs/") == (200, "<p>docs")
    site.remove_worker("docs")
    site.run("apply")
    assert site.get("/docs/")[0] == 404
    assert list(listed(site)) == ["alpha"]
    assert site.get("/alpha/health") == (200, "ok")


@pytest.mark.long
def test_files_beside_a_program_are_served_while_it_is_stopped(site: Site) -> None:
    site.worker("alpha", "static: {directory: public, prefix: /assets}\nproxy: {queue_timeout: 500ms}\n")
    site.machine.write(f"{ROOT}/workers/alpha/public/style.css", "p {}")
    site.install()
    site.run("stop", "alpha")
    assert site.get("/alpha/assets/style.css") == (200, "p {}")
    assert site.get("/alpha/health")[0] == 503
    site.run("start", "alpha")
    assert site.get("/alpha/health") == (200, "ok")
    assert site.get("/alpha/assets/style.css") == (200, "p {}")


def test_a_worker_that_loses_its_program_keeps_its_route(site: Site) -> None:
    site.worker("docs")
    site.install()
    docs(site)
    site.run("apply")
    assert site.get("/docs/") == (200, "<p>docs")
    assert not [unit for unit in site.units() if unit.startswith("tq-worker@")]
    assert listed(site)["docs"]["state"] == "static"


def test_what_the_group_of_a_worker_may_read_is_not_served(site: Site) -> None:
    """The router is in that group, to reach the worker's socket."""
    site.worker("alpha", "listen: unix\nstatic: {directory: public}\n")
    public = f"{ROOT}/workers/alpha/public"
    site.machine.write(f"{public}/open.txt", "open")
    site.machine.write(f"{public}/own.txt", "own", mode=0o640)
    site.machine.write(f"{public}/own/file.txt", "own")
    site.install()
    site.machine.run(["chgrp", "-R", "worker-alpha", public])
    site.machine.run(["chmod", "750", f"{public}/own"])
    assert "worker-alpha" in site.machine.show("tq-proxy@1.service", "SupplementaryGroups")
    assert site.get("/alpha/open.txt") == (200, "open")
    assert "own" not in (site.get("/alpha/own.txt")[1], site.get("/alpha/own/file.txt")[1])
    site.machine.run(["chmod", "750", public])
    site.machine.systemctl("restart", "tq-proxy@1.service")
    assert site.get("/alpha/open.txt")[1] != "open"
    said = f"worker alpha: no file of {public} is served: others may not enter {public}; chmod o+x {public}"
    assert said in site.machine.journal("tq-proxy@1.service")


def test_a_folder_that_its_owner_swaps_for_a_link_is_served_no_more(host: Site) -> None:
    docs(host)
    host.machine.write("/srv/other/index.html", "other")
    host.machine.run(["chown", "-R", "40123", f"{ROOT}/workers/docs"])
    host.install()
    assert host.get("/docs/") == (200, "<p>docs")
    host.machine.run(["sh", "-c", f"mv {PUBLIC} {PUBLIC}.old && ln -s /srv/other {PUBLIC}"])
    assert host.get("/docs/")[0] == 404
    host.machine.run(["sh", "-c", f"rm {PUBLIC} && mv {PUBLIC}.old {PUBLIC}"])
    assert host.get("/docs/") == (200, "<p>docs")
    host.machine.remove("/srv/other")


def test_root_switches_a_link_to_another_release(site: Site) -> None:
    site.yaml("docs", f"{STATIC}static: {{directory: /srv/docs/current}}\n")
    for release in ("1", "2"):
        site.machine.write(f"/srv/docs/releases/{release}/index.html", f"release {release}")
        site.machine.run(["ln", "-sfn", f"releases/{release}", "/srv/docs/switch"])
        site.machine.run(["mv", "-T", "/srv/docs/switch", "/srv/docs/current"])
        if release == "1":
            site.install()
        assert site.get("/docs/") == (200, f"release {release}")
    site.machine.run(["sh", "-c", "cd /srv/docs/releases && rm -rf 2 && mkdir 2 && echo anew >2/index.html"])
    assert site.get("/docs/") == (200, "anew\n")
    site.machine.remove("/srv/docs")


def test_a_mount_is_a_folder_like_any_other(site: Site) -> None:
    docs(site)
    site.machine.write("/run/elsewhere/index.html", "mounted")
    site.machine.run(["mount", "--bind", "/run/elsewhere", PUBLIC])
    try:
        site.install()
        assert site.get("/docs/") == (200, "mounted")
        site.machine.tqunits("uninstall", "--all")  # a router that has the folder open keeps it mounted
    finally:
        site.machine.run(["umount", PUBLIC])
        site.machine.remove("/run/elsewhere")
