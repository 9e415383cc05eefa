"""Deploys on a booted systemd: a release is made and run without a failed request, a bad one is
taken back, and the history says what was done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import rest, wake

from .conftest import ROOT, Site
from .hammering import RESTART, RUDE, check, hammered, rude
from .killed_manager import cut_off
from .test_backoff import wait
from .test_router import log

RELEASES = "/var/lib/tqunits/releases/alpha"
BROKEN = "raise SystemExit('nothing works today')\n"


def version(number: int) -> str:
    """The program, which is another one with another number."""
    return f"{RUDE}\n# version {number}\n"


def change(site: Site, program: str) -> None:
    site.machine.write(f"{ROOT}/workers/alpha/src/main.py", program)


def history(site: Site) -> list[dict[str, Any]]:
    return list(json.loads(site.run("history", "alpha", "--json"))["deploys"])


def running(site: Site, instance: str = "alpha") -> str:
    """The release that an instance runs, as its process sees it."""
    pid = site.machine.show(f"tq-worker@{instance}.service", "MainPID")
    return site.machine.run(["cat", f"/proc/{pid}/root{ROOT}/workers/alpha/.tqunits-release"]).stdout.strip()


@pytest.fixture
def deploying(host: Site) -> Iterator[Site]:
    """A host with a manager, and the worker alpha."""
    wake(host.machine)
    rude(host)
    yield host
    rest(host.machine)


def test_a_deploy_makes_a_release_and_runs_it(deploying: Site) -> None:
    site = deploying
    with hammered(site, 20) as report:
        first = site.run("deploy", "alpha", "--message", "the first one")
        change(site, version(2))
        site.run("deploy", "alpha")
        again = site.run("deploy", "alpha")
        site.run("rollback", "alpha")
        assert "no release before the present one" in site.run("rollback", "alpha", status=1), "and not forward again"
    check(site, report)
    print(first, again)
    deploys = history(site)
    assert [(each["kind"], each["outcome"]) for each in deploys] == [
        ("rollback", "done"),
        ("deploy", "unchanged"),
        ("deploy", "done"),
        ("deploy", "done"),
    ]
    assert deploys[3]["message"] == "the first one"
    assert deploys[0]["release"] == deploys[3]["release"] != deploys[2]["release"] == deploys[1]["release"]
    assert running(site) == deploys[0]["release"]


def test_a_release_that_does_not_start_is_taken_back(deploying: Site) -> None:
    site = deploying
    site.run("deploy", "alpha")
    good = running(site)
    with hammered(site, 20) as report:
        change(site, BROKEN)
        said = site.run("deploy", "alpha", status=1)
    print(said)
    assert "nothing works today" in said
    check(site, report)
    assert running(site) == good
    assert site.get("/alpha/?id=7")[0] == 200


def test_everybody_says_which_release_runs_and_why_which_one_does_not(deploying: Site) -> None:
    site = deploying
    assert "RELEASE" not in site.run("ls")
    assert site.get("/alpha/?id=1")[0] == 200
    site.run("deploy", "alpha")
    release = running(site)
    assert site.get("/alpha/?id=2")[0] == 200
    assert [line.split()[-1] for line in site.run("ls").splitlines()] == ["RELEASE", release]
    (listed,) = json.loads(site.run("ls", "--json"))["workers"]
    shown = json.loads(site.run("show", "alpha", "--json"))
    assert (listed["release"], shown["release"]) == (release, release)
    assert (shown["next_release"], shown["stable_release"]) == (release, release)
    asked = ["curl", "-s", "--unix-socket", "/run/tqunits/manager/control.sock", "http://manager/instances"]
    told = json.loads(site.machine.run(asked).stdout)["instances"]
    assert [each["release"] for each in told if each["name"] == "alpha"] == [release]
    assert [entry.get("TQ_RELEASE") for entry in log(site)][-2:] == [None, release]
    assert "deploy:" not in site.run("why", "alpha")
    change(site, BROKEN)
    site.run("deploy", "alpha", status=1)
    assert "the last deploy (number 2) failed at " in site.run("why", "alpha")
    (why,) = json.loads(site.run("why", "alpha", "--json"))["workers"]
    assert why["well"] and "'tqunits history alpha' shows all" in why["failed_deploy"]
    site.machine.systemctl("stop", "tq-worker@alpha")
    change(site, version(3))
    assert "alpha does not run, and its next start is with " in site.run("deploy", "alpha")
    assert "nothing has changed: alpha does not run" in site.run("deploy", "alpha")
    site.machine.systemctl("start", "tq-worker@alpha")
    release = running(site)
    assert f"nothing has changed: alpha runs {release}" in site.run("deploy", "alpha")
    assert json.loads(site.run("show", "alpha", "--json"))["stable_release"] == release, "it has shown it now"
    site.machine.systemctl("stop", "tq-worker@alpha")
    shown = json.loads(site.run("show", "alpha", "--json"))
    assert (shown["release"], shown["next_release"]) == (None, release)


def made_by(site: Site, *lines: str) -> None:
    text = "\n".join(["#!/bin/sh", "set -e", *lines, ""])
    site.machine.write(f"{ROOT}/workers/alpha/make", text, 0o755)


def building(site: Site, *lines: str) -> None:
    """alpha is built from now on: these lines of shell make its program."""
    made_by(site, *lines)
    site.yaml("alpha", f"path: /alpha\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n{RESTART}")
    site.install()


MAKE = r"mkdir -p bin; printf '#!/bin/sh\nexec python3 src/main.py\n' > bin/run; chmod 755 bin/run"


def test_a_build_is_a_release_and_nothing_of_it_is_in_the_folder(deploying: Site) -> None:
    site = deploying
    site.run("deploy", "alpha")
    building(site, MAKE, "echo made > made")
    with hammered(site, 10) as report:
        site.run("deploy", "alpha")
        assert not site.machine.exists(f"{ROOT}/workers/alpha/made")
        release = running(site)
        assert site.machine.read(f"{RELEASES}/{release}/made") == "made\n"
        change(site, version(2))
        site.machine.write(f"{ROOT}/workers/alpha/make", "#!/bin/sh\necho no compiler today >&2\nexit 3\n", 0o755)
        said = site.run("deploy", "alpha", status=1)
    check(site, report)
    assert "its build exited with status 3" in said
    assert "no compiler today" in said
    assert running(site) == release
    assert site.machine.run(["ls", "/var/lib/tqunits/copies"], check=False).stdout == ""
    newest = history(site)[0]
    assert (newest["outcome"], newest["why"]) == ("failed", "its build exited with status 3")


@pytest.mark.short("strange", "holes")
@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (
            [
                "mkfifo bin/pipe",
                "ln -s /etc/shadow bin/shadow",
                "touch 'bin/a\nb'",
                "ln /etc/passwd bin/passwd || true",
            ],
            "",
        ),
        (["truncate -s 1T bin/hole"], "made a file larger than its build.disk_max"),
        (
            ["mkdir many; cd many; for a in $(seq 900); do mkdir $a; (cd $a; touch $(seq 600)); done"],
            "it made more than 500000 files and folders",
        ),
    ],
    ids=["strange", "holes", "many"],
)
def test_a_hostile_build_leaves_nothing_of_root_and_nothing_behind(deploying: Site, lines: list[str], why: str) -> None:
    site = deploying
    building(site, MAKE)
    made_by(site, MAKE, *lines)
    said = site.run("deploy", "alpha", status=1 if why else 0)
    assert why in said
    names = site.machine.run(["find", RELEASES, "-name", ".tqunits-*.tmp"]).stdout
    assert names == ""
    if not why:
        taken = site.machine.run(["find", f"{RELEASES}/{running(site)}/bin", "-printf", "%f %y %U\n"]).stdout
        assert {line.partition(" ")[0] for line in taken.splitlines()} == {"bin", "run", "shadow"}
        assert "shadow l 0" not in taken


ORDER: dict[str, object] = {"number": 1, "build": None, "runs": {}, "stable": None, "clear": False}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "nothing is asked for"),
        (json.dumps(ORDER | {"runs": {"1": "../../../etc"}}), "runs: '../../../etc' is none"),
        (json.dumps(ORDER | {"runs": {"1": "0123456789ab"}}), "alpha has no release 0123456789ab"),
        (json.dumps(ORDER | {"stable": "0123456789ab"}), "alpha has no release 0123456789ab"),
    ],
    ids=["no JSON", "a path", "no release", "not stable"],
)
def test_what_a_stranger_orders_is_refused(deploying: Site, text: str, why: str) -> None:
    """The folder of the orders is the manager's: whoever takes it over can ask for no more."""
    site = deploying
    site.run("deploy", "alpha")
    links = site.machine.run(["ls", "-l", f"{RELEASES}/runs", f"{RELEASES}/stable"]).stdout
    site.machine.write("/var/lib/tqunits/manager/orders/alpha.json", text)
    since = site.machine.cursor()
    site.machine.run(["systemctl", "start", "tq-harvest@alpha.service"], check=False)
    site.machine.run(["journalctl", "--sync"])
    assert why in site.machine.journal("tq-harvest@alpha.service", since)
    assert site.machine.run(["ls", "-l", f"{RELEASES}/runs", f"{RELEASES}/stable"]).stdout == links


def test_an_order_that_is_a_link_is_not_followed(deploying: Site) -> None:
    site = deploying
    site.run("deploy", "alpha")
    order = "/var/lib/tqunits/manager/orders/alpha.json"
    site.machine.run(["cp", order, "/root/order.json"])
    site.machine.run(["ln", "-sfn", "/root/order.json", order])
    assert site.machine.run(["systemctl", "start", "tq-harvest@alpha.service"], check=False).returncode == 1
    site.machine.run(["systemctl", "reset-failed", "tq-harvest@alpha.service"])


@pytest.mark.parametrize(
    "what",
    [
        "restart",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("build", "take", "drain", "healthy", "stable")),
    ],
)
def test_a_manager_that_is_killed_goes_on_where_it_was(deploying: Site, what: str) -> None:
    site = deploying
    site.run("deploy", "alpha")
    change(site, version(2))
    with hammered(site, 10) as report:
        cut_off(site, what, "deploy")
        wait(site, lambda: history(site)[0]["outcome"] not in {"waiting", "running"})
    check(site, report)
    newest, first = history(site)
    assert (newest["outcome"], first["outcome"]) == ("done", "done")
    assert running(site) == newest["release"] != first["release"]
    assert site.machine.show("tq-worker@alpha:2.service", "ActiveState") == "inactive", "the surge is not forgotten"


def test_install_does_not_build_what_runs_a_release(deploying: Site) -> None:
    site = deploying
    site.run("deploy", "alpha")
    release = running(site)
    change(site, BROKEN)
    assert "nothing to do" in site.install()
    site.run("restart", "alpha")
    assert running(site) == release
    site.run("uninstall", "alpha")
    change(site, RUDE)
    site.install()
    pid = site.machine.show("tq-worker@alpha.service", "MainPID")
    assert not site.machine.exists(f"/proc/{pid}/root{ROOT}/workers/alpha/.tqunits-release"), "it starts anew"
    site.run("uninstall", "--purge", "alpha")
    assert not site.machine.exists(RELEASES)


def test_what_can_not_be_deployed_is_refused_with_the_reason(deploying: Site) -> None:
    site = deploying
    site.yaml("alpha", "path: [\n")
    assert "its worker.yaml has an error" in site.run("deploy", "alpha", status=1)
    site.machine.run(["mv", f"{ROOT}/workers/alpha", f"{ROOT}/alpha"])
    assert "it is none of the host's own workers" in site.run("deploy", "alpha", status=1)
    site.machine.run(["mv", f"{ROOT}/alpha", f"{ROOT}/workers/alpha"])
    site.yaml(
        "alpha",
        f"path: /alpha\ntype: python\ncommand: [python3, src/main.py]\nsandbox: {{relax: [writable-code]}}\n{RESTART}",
    )
    said = site.run("deploy", "alpha", status=1)
    assert "its worker.yaml is not what is installed" in said
    assert "tqunits apply alpha" in said
    site.install()
    assert "it may write its own folder" in site.run("deploy", "alpha", status=1)
    assert "no release before the present one" in site.run("rollback", "alpha", status=1)


def test_old_releases_go_when_nobody_runs_them(deploying: Site) -> None:
    site = deploying
    site.server("mode: production\nmanager: {keep_releases: 2}\n")
    site.install()
    for number in range(4):
        change(site, version(number))
        site.run("deploy", "alpha")
    kept = site.machine.run(["sh", "-c", f"ls -d {RELEASES}/????????????"]).stdout.split()
    assert len(kept) == 2
    assert f"{RELEASES}/{running(site)}" in kept
    assert running(site) in site.run("history", "alpha")
    prunes = [f'{site.machine.tqunits_path} prune alpha & all="$all $!"' for _ in range(6)]
    script = "\n".join([*prunes, "for each in $all; do wait $each || exit 1; done"])
    assert site.machine.run(["sh", "-c", script], check=False).returncode == 0, "one order after the other"


def test_a_rollback_that_no_unit_mounts_is_no_success(deploying: Site) -> None:
    site = deploying
    for number in range(2):
        change(site, version(number))
        site.run("deploy", "alpha")
    yaml = "path: /alpha\ntype: python\ncommand: [python3, src/main.py]\nsandbox: {relax: [writable-code]}\n"
    site.yaml("alpha", yaml + RESTART)
    site.install()
    pid = site.machine.show("tq-worker@alpha.service", "MainPID")
    assert "was started, and does not run the release" in site.run("rollback", "alpha", status=1)
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == pid, "the surge has shown it"


def test_a_deploy_starts_a_worker_that_has_failed_too_often(deploying: Site) -> None:
    site = deploying
    site.run("deploy", "alpha")
    site.worker("alpha", "restart: {max_restarts: 1, delay: 100ms}\n", program=BROKEN)
    site.run("deploy", "alpha", status=1)  # its worker.yaml is another one
    site.install()
    site.run("uninstall", "alpha")
    site.install(status=1)
    wait(site, lambda: site.machine.show("tq-worker@alpha.service", "ActiveState") == "failed")
    change(site, RUDE)
    site.run("deploy", "alpha")
    assert site.get("/alpha/?id=7")[0] == 200
    assert history(site)[0]["was_stable"] is True


def test_what_has_not_changed_waits_for_no_build(deploying: Site) -> None:
    site = deploying
    site.run("deploy", "alpha")
    site.machine.write(f"{ROOT}/go", "")
    site.worker("beta")
    site.machine.write(f"{ROOT}/workers/beta/make", f"#!/bin/sh\nuntil [ -e {ROOT}/go ]; do :; done\n{MAKE}\n", 0o755)
    site.yaml("beta", "path: /beta\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n")
    site.install()
    site.machine.remove(f"{ROOT}/go")
    site.run("deploy", "beta", "--detach")
    wait(site, lambda: site.machine.show("tq-build@beta.service", "ActiveState") == "activating")
    assert "nothing has changed" in site.run("deploy", "alpha")
    assert site.machine.show("tq-build@beta.service", "ActiveState") == "activating"
    assert "beta is being deployed" in site.run("prune", "beta", "--caches", status=1)
    site.machine.write(f"{ROOT}/go", "")
    site.run("deploy", "beta")
    site.run("prune", "beta")
    assert site.machine.exists("/var/cache/tqunits/builds/beta")
    site.machine.write(f"{ROOT}/workers/beta/make", "#!/bin/sh\nexit 1\n", 0o755)
    site.machine.run(["systemctl", "start", "tq-build@beta"], check=False)  # as one that an install has left behind
    assert site.machine.show("tq-build@beta.service", "ActiveState") == "failed"
    assert "beta: removed the caches of its builds" in site.run("prune", "beta", "--caches")
    assert not site.machine.exists("/var/cache/tqunits/builds/beta")
    assert "no build has a cache" in site.run("prune", "beta", "--caches")


def test_a_build_of_an_install_and_a_prune_of_its_caches_take_turns(deploying: Site) -> None:
    """flock(1) stands for the other one, at the moment when it has begun and no unit of it runs."""
    site, lock, tqunits = deploying, "/var/lib/tqunits/built/beta/build.lock", deploying.machine.tqunits_path
    site.worker("beta")
    site.machine.write(f"{ROOT}/workers/beta/make", f"#!/bin/sh\n{MAKE}\n", 0o755)
    site.yaml("beta", "path: /beta\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n")
    site.install()
    prune = site.machine.run(["flock", lock, tqunits, "prune", "beta", "--caches"], check=False, merge=True)
    assert "it is being built, and its caches are in use" in prune.stdout
    assert (prune.returncode, site.machine.exists("/var/cache/tqunits/builds/beta")) == (1, True)
    site.machine.write(f"{ROOT}/workers/beta/make", f"#!/bin/sh\necho again\n{MAKE}\n", 0o755)
    removal = f"echo begun; until [ -e {ROOT}/go ]; do :; done; rm -r /var/cache/tqunits/builds/beta"
    with site.machine.start(["flock", lock, "sh", "-c", removal]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "begun\n"
        with site.machine.start([tqunits, "install", "--now"]) as install:
            assert install.stderr is not None
            assert any("waiting until it is done" in line for line in install.stderr), "it says so, and waits"
            assert site.machine.show("tq-build@beta.service", "ActiveState") == "inactive"
            site.machine.write(f"{ROOT}/go", "")
            install.communicate()
    assert install.returncode == 0
    assert site.machine.exists("/var/cache/tqunits/builds/beta"), "the build began after the removal"


def test_an_instance_that_comes_back_runs_the_stable_release(deploying: Site) -> None:
    """Its link of before names an older one."""
    site = deploying
    site.run("scale", "alpha=3")
    site.run("deploy", "alpha")
    old = running(site, "alpha:3")
    site.run("scale", "alpha=1")
    change(site, version(2))
    site.run("deploy", "alpha")
    assert site.machine.run(["ls", f"{RELEASES}/runs"]).stdout.split() == ["1"]
    site.run("scale", "alpha=3")
    assert {running(site, each) for each in ("alpha", "alpha:2", "alpha:3")} == {history(site)[0]["release"]} != {old}
    site.run("scale", "alpha=-")
