"""`release.command` on a booted systemd: it runs once before a new release serves, as the worker
and in the new release; what fails there keeps the old release; a rollback runs none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from machine import rest, wake

from .conftest import ROOT, Site
from .hammering import RESTART, check, hammered
from .killed_manager import cut_off
from .test_backoff import wait
from .test_deploys import change, history, running, version

UNIT = "tq-release@alpha.service"
RAN = "/var/lib/tqunits/workers/alpha/ran"
STEPS = ("surge", "drain", "restart", "stable")

COMMAND = """#!/bin/sh
set -e
for instance in "$RUNTIME_DIRECTORY" "$WORKER_PORT"; do [ -z "$instance" ]; done
if touch here 2> /dev/null; then exit 4; fi
echo "$(id -un) $1 $SECRET $(cat "$CREDENTIALS_DIRECTORY/key") $(cat .tqunits-release)" >> "$STATE_DIRECTORY/ran"
if grep -q "version 3" src/main.py; then echo no table of that name >&2; exit 3; fi
"""

YAML = f"""path: /alpha
type: python
release: {{command: [./migrate, "${{WORKER_NAME}}"]}}
environment_file: [secret.env]
credentials: {{key: key}}
environment: {{URL: "http://127.0.0.1:${{WORKER_PORT}}/"}}
{RESTART}"""


def ran(site: Site) -> list[str]:
    """What the command has noted, a line for each time."""
    return site.machine.read(RAN).splitlines() if site.machine.exists(RAN) else []


def steps(site: Site) -> list[str]:
    """The kinds of steps of the newest deploy, each once, in their order."""
    return list(dict.fromkeys(step["what"] for step in history(site)[0]["steps"]))


@pytest.fixture
def migrating(host: Site) -> Iterator[Site]:
    """A host with a manager, and the worker alpha, whose first release runs."""
    wake(host.machine)
    host.worker("alpha", RESTART, program=version(1))
    folder = f"{ROOT}/workers/alpha"
    host.machine.write(f"{folder}/migrate", COMMAND, 0o755)
    host.machine.write(f"{folder}/secret.env", "SECRET=of-a-file\n", 0o600)
    host.machine.write(f"{folder}/key", "of-a-key", 0o600)
    host.yaml("alpha", YAML)
    host.install()
    host.run("deploy", "alpha")
    yield host
    rest(host.machine)


def test_it_runs_once_before_the_new_release_serves(migrating: Site) -> None:
    site = migrating
    first = running(site)
    change(site, version(2))
    with hammered(site, 20) as report:
        site.run("deploy", "alpha")
    check(site, report)
    second = running(site)
    assert first != second
    expected = [f"worker-alpha alpha of-a-file of-a-key {release}" for release in (first, second)]
    assert ran(site) == expected
    assert [what for what in steps(site) if what in {"release_command", *STEPS}] == ["release_command", *STEPS]
    assert site.machine.show(UNIT, "ActiveState") == "inactive"
    site.run("deploy", "alpha")
    site.run("rollback", "alpha")
    assert running(site) == first
    assert "release_command" not in steps(site)
    assert ran(site) == expected


def test_one_that_fails_keeps_the_old_release(migrating: Site) -> None:
    site = migrating
    good, links = running(site), site.machine.run(["ls", "/var/lib/tqunits/releases/alpha/runs"]).stdout
    change(site, version(3))
    with hammered(site, 20) as report:
        said = site.run("deploy", "alpha", status=1)
    check(site, report)
    assert "its release.command exited with status 3" in said
    assert "no table of that name" in said
    assert running(site) == good
    assert steps(site)[-1] == "release_command"
    assert site.machine.run(["ls", "/var/lib/tqunits/releases/alpha/runs"]).stdout == links
    assert site.machine.show(UNIT, "ActiveState") == "inactive"
    newest = history(site)[0]
    assert (newest["outcome"], newest["why"]) == ("failed", "its release.command exited with status 3")
    (why,) = json.loads(site.run("why", "alpha", "--json"))["workers"]
    assert "its release.command exited with status 3" in why["failed_deploy"]
    site.machine.systemctl("restart", "tq-worker@alpha")
    assert running(site) == good


def test_one_that_was_cut_off_with_its_manager_is_run_again(migrating: Site) -> None:
    site = migrating
    change(site, version(2))
    cut_off(site, "release_command", "deploy")
    wait(site, lambda: history(site)[0]["outcome"] not in {"waiting", "running"})
    newest = history(site)[0]
    assert (newest["outcome"], newest["release"]) == ("done", running(site))
    assert [step["what"] for step in newest["steps"]].count("release_command") == 2
    assert set(ran(site)[1:]) == {f"worker-alpha alpha of-a-file of-a-key {running(site)}"}


def test_its_unit_goes_with_the_setting_and_with_the_worker(migrating: Site) -> None:
    site = migrating
    drop_in = f"/etc/systemd/system/{UNIT}.d"
    assert site.machine.exists(drop_in)
    site.run("uninstall", "alpha")
    assert not site.machine.exists(drop_in)
    site.install()
    assert site.machine.exists(drop_in)
    site.yaml("alpha", f"path: /alpha\ntype: python\n{RESTART}")
    site.install()
    assert not site.machine.exists(drop_in)
