"""Files that the router serves: a worker that is nothing else, and those of a worker with a program."""

from __future__ import annotations

import json
from typing import Any

from .conftest import ROOT, Site

STATIC = "path: /docs\ntype: static\n"
PUBLIC = f"{ROOT}/workers/docs/public"


def docs(site: Site) -> None:
    """Lay down a worker without a program, and what it serves."""
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


def test_the_sandbox_of_the_router_shows_files_below_a_home(site: Site) -> None:
    site.yaml("docs", f"{STATIC}static: {{directory: /home/docs}}\n")
    site.machine.write("/home/docs/index.html", "at home")
    site.install()
    assert site.get("/docs/") == (200, "at home")
    site.machine.remove("/home/docs")


def test_a_worker_that_is_files_alone_is_listed_as_such(site: Site) -> None:
    docs(site)
    site.worker("alpha")
    assert "not installed" in site.run("show", "docs")
    site.install()
    workers = listed(site)
    assert list(workers) == ["alpha", "docs"]
    assert (workers["docs"]["state"], workers["docs"]["routes"]) == ("static", ["/docs"])
    assert [key for key in ("unit", "pid", "port", "restarts", "enabled") if workers["docs"][key] is not None] == []
    assert "static" in site.run("ls", "docs")  # and the exit status is that of a worker which runs
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


def test_files_beside_a_program_are_served_while_it_is_stopped(site: Site) -> None:
    site.worker("alpha", "static: {directory: public, prefix: /assets}\nproxy: {queue_timeout: 500ms}\n")
    site.machine.write(f"{ROOT}/workers/alpha/public/style.css", "p {}")
    site.install()
    site.run("stop", "alpha")
    assert site.get("/alpha/assets/style.css") == (200, "p {}")
    assert site.get("/alpha/health")[0] == 504
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
