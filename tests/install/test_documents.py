"""The final output of the commands that change the host: the worst exit status, and with --json one
document."""

from __future__ import annotations

import json
from typing import Any

from .conftest import ROOT, Site

UNWELL = "timeouts: {start: 1500ms}\nhealth: {timeout: 1s}\nrestart: {policy: no}\n"
SLEEPS = "import time\ntime.sleep(60)\n"
ONCE = "restart: {policy: no}\n"
BROKEN = "import os\ndef f(:\n    pass\n"
REFUSED = "credentials: {token: /nowhere/token}\n"


def document(site: Site, *arguments: str, status: int = 0) -> dict[str, Any]:
    """Stdout is one document, and the exit status is the one in it."""
    done = site.machine.tqunits(*site.options, *arguments, "--json", check=False, timeout=60.0)
    assert done.returncode == status, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["version"], found["exit_status"]) == (1, status)
    return found


def by_worker(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {job["worker"]: job for job in found["jobs"] if job["worker"]}


def test_of_a_refused_and_an_unhealthy_worker_the_refused_one_makes_the_exit_status(site: Site) -> None:
    site.worker("unwell", UNWELL, program=SLEEPS)
    site.worker("wrong", REFUSED)
    said = site.install(status=1)
    assert "refused wrong" in said
    assert "unwell: " in said


def test_what_was_done_is_one_document_for_every_verb(site: Site) -> None:
    secret = f"{ROOT}/workers/well/token"
    site.worker("well", f"credentials: {{token: {secret}}}\n")
    site.machine.write(secret, "one secret\n")
    site.machine.run(["chmod", "777", f"{ROOT}/workers/well"])  # so that install makes a copy of it
    site.worker("unwell", UNWELL, program=SLEEPS)
    site.worker("broken", ONCE, program=BROKEN)
    site.worker("wrong", REFUSED)

    installed = document(site, "--trust", "install", "--now", status=1)
    assert (installed["schema"], installed["refused"]) == ("tqunits.install", ["wrong"])
    assert {"write-file", "enable", "reload-daemon", "start"} <= {step["kind"] for step in installed["steps"]}
    assert "credentials: /nowhere/token is not there" in {each["message"] for each in installed["diagnostics"]}
    jobs = by_worker(installed)
    assert (jobs["well"]["result"], jobs["well"]["sentence"]) == ("done", None)
    assert jobs["unwell"]["kind"] in {"start-timeout", "slow"}
    assert jobs["broken"]["kind"] == "syntax-error"

    restarted = document(site, "restart", "well", "broken", status=1)
    assert (restarted["schema"], restarted["outdated"]) == ("tqunits.jobs", [])
    jobs = by_worker(restarted)
    assert jobs["well"]["result"] == "done"
    assert jobs["broken"]["error"]["place"].endswith("/src/main.py:2")
    assert jobs["broken"]["advice"]
    assert by_worker(document(site, "start", "unwell", status=6))["unwell"]["result"] == "failed"
    refused = by_worker(document(site, "reload", "well", status=1))["well"]
    assert (refused["result"], "has no `reload`" in refused["sentence"]) == ("refused", True)
    assert document(site, "disable", "well")["units"] == ["tq-worker@well.service"]
    assert document(site, "start", "nobody", status=4)["schema"] == "tqunits.error"

    paused = document(site, "pause", "well")
    assert (paused["schema"], paused["workers"], paused["order"]) == ("tqunits.orders", ["well"], "pause")
    assert document(site, "resume", "--all")["order"] is None

    site.machine.write(secret, "another secret\n")
    site.worker("well", f"credentials: {{token: {secret}}}\nenvironment: {{COLOUR: blue}}\n")
    differs = document(site, "--trust", "diff", status=1)  # the wrong one is still refused
    files = {file["path"]: file for file in differs["files"]}
    assert "+Environment=COLOUR=blue" in files[site.drop_in("well")]["diff"].replace('"', "")
    (hidden,) = (file for file in files.values() if file["secret"])
    assert (hidden["diff"], hidden["size_before"], hidden["size_after"]) == (None, 11, 15)
    assert "another secret" not in json.dumps(differs)

    planned = document(site, "uninstall", "--purge", "well", "--dry-run", status=2)
    removed = document(site, "uninstall", "--purge", "well")
    for members in planned, removed:
        assert (members["schema"], members["workers"]) == ("tqunits.uninstall", ["well"])
        assert "worker-well" in members["users"]
    assert {"stop", "remove-file"} <= {step["kind"] for step in removed["steps"]}
    assert "worker-well" not in site.users()
