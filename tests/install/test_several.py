"""A worker with two instances: they share their data; everything in /run belongs to one instance.
`defaults` of tqunits.yaml give every worker two.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from machine import Machine

from .conftest import PROBE, ROOT, Site
from .hammering import check, hammered, rude
from .test_backoff import wait

PAIRS = "mode: production\ndefaults: {scaling: {min_workers: 2}}\n"
UNITS = {"alpha": "tq-worker@alpha.service", "alpha:2": "tq-worker@alpha:2.service"}
SCALE = f"{ROOT}/config/tqunits.yaml.d/scale.yaml"
STATE, CACHE = "/var/lib/tqunits/workers/alpha", "/var/cache/tqunits/workers/alpha"
LINKS = {"alpha": f"{CACHE}/.begun", "alpha:2": f"{CACHE}/.begun-2"}


class Several(Site):
    """Each of its workers has two instances."""

    def environment(self, instance: str) -> dict[str, str]:
        """What the program of this instance finds in its environment and folders."""
        (port,) = (
            line.removeprefix("Port=")
            for line in self.machine.read(self.drop_in(instance)).splitlines()
            if line.startswith("Port=")
        )
        return dict(json.loads(self.machine.run(["curl", "-s", f"http://127.0.0.1:{port}/environment"]).stdout))

    def is_surge(self, instance: str) -> bool:
        """Whether its drop-in says that only a roll starts it."""
        return "\nSurge=yes\n" in self.machine.read(self.drop_in(instance))

    def pid(self, instance: str) -> int:
        return int(self.machine.show(UNITS[instance], "MainPID"))

    def failures(self, instance: str) -> int:
        """The number of failures in a row before its last pause."""
        state = f"/run/tqunits/backoff/{instance}/state"
        return int(self.machine.read(state).split()[3]) if self.machine.exists(state) else 0

    def crash(self, instance: str, number: int) -> None:
        """One more failure in a row, and the wait until the unit runs again. The first one makes a
        note only."""
        note = f"/run/tqunits/backoff/{instance}"
        self.machine.systemctl("kill", "--signal=KILL", UNITS[instance])
        wait(self, lambda: self.failures(instance) == number or (number == 1 and self.machine.exists(note)))
        wait(self, lambda: self.machine.show(UNITS[instance], "ActiveState") == "active")

    def rows(self) -> list[dict[str, Any]]:
        return list(json.loads(self.run("ls", "--json"))["workers"])

    def noted(self, since: str) -> list[tuple[str, str]]:
        """All messages that the journal has of alpha, with the unit that logged them. (With a match
        and a cursor, journalctl of systemd 252 skips the first entry.)"""
        fields = ("MESSAGE", "SYSLOG_IDENTIFIER", "TQUNITS_WORKER")
        self.machine.run(["journalctl", "--sync"])
        argv = ["journalctl", "-o", "json", f"--output-fields={','.join(fields)}", since]
        entries = [json.loads(line) for line in self.machine.run(argv).stdout.splitlines()]
        return [(e["SYSLOG_IDENTIFIER"], e["MESSAGE"]) for e in entries if e.get("TQUNITS_WORKER") == "alpha"]

    def begun(self) -> list[str]:
        """The instances whose link exists: those that have started and were not asked to stop."""
        links = ((name, self.machine.run(["test", "-L", link], check=False)) for name, link in LINKS.items())
        return [name for name, looked in links if looked.returncode == 0]


@pytest.fixture
def site(emptied: Machine) -> Several:
    site = Several(emptied)
    site.server(PAIRS)
    return site


def test_data_and_the_journals_field_are_the_workers_and_the_rest_is_each_ones(site: Several) -> None:
    since = site.machine.cursor()
    site.worker("alpha", program="print('to stdout', flush=True)\n" + PROBE)
    site.install()
    found = {name: site.environment(name) for name in UNITS}
    for name, variables in found.items():
        assert (variables["STATE_DIRECTORY"], variables["CACHE_DIRECTORY"]) == (STATE, CACHE), name
        assert variables["RUNTIME_DIRECTORY"] == f"/run/tqunits/workers/{name}"
    assert found["alpha"]["WORKER_PORT"] != found["alpha:2"]["WORKER_PORT"]
    for folder in (STATE, CACHE):
        assert site.machine.run(["stat", "-c", "%a %U", folder]).stdout == "700 worker-alpha\n"
        assert not site.machine.exists(f"{folder}:2")
    assert {who for who, text in site.noted(since) if text == "to stdout"} == {"tq-worker@alpha", "tq-worker@alpha:2"}
    assert [row["name"] for row in site.rows()] == ["alpha", "alpha:2"]
    assert "nothing to do" in site.install()


@pytest.mark.long
def test_the_pause_after_a_failure_is_of_the_one_that_failed(site: Several) -> None:
    site.worker("alpha", "restart: {delay: 100ms, backoff_max: 1s}\n")
    site.install()
    assert site.begun() == ["alpha", "alpha:2"]
    since, first = site.machine.cursor(), site.pid("alpha")
    site.crash("alpha:2", 1)
    site.crash("alpha:2", 2)
    assert site.pid("alpha") == first
    assert site.failures("alpha") == 0
    said = [text for who, text in site.noted(since) if who == "tq-worker@alpha:2"]
    assert any(text.startswith("tqunits-backoff: alpha:2 has failed 2 times in a row") for text in said)


@pytest.mark.long
def test_a_stop_that_was_asked_for_is_told_by_each_ones_link(site: Several) -> None:
    site.worker("alpha")
    site.install()
    site.run("stop", "alpha:2")
    assert site.begun() == ["alpha"]
    assert {row["name"]: row["state"] for row in site.rows()} == {"alpha": "healthy", "alpha:2": "stopped"}
    assert site.get("/alpha/health") == (200, "ok")
    site.run("start", "alpha:2")
    assert site.begun() == ["alpha", "alpha:2"]
    site.machine.systemctl("stop", UNITS["alpha"])
    assert site.begun() == ["alpha:2"]
    assert not site.machine.exists("/run/tqunits/backoff/alpha:2/state")  # there was no pause


def test_fewer_and_more_instances_lose_no_request(site: Several) -> None:
    rude(site, "")
    with hammered(site, 20) as report:
        site.server("mode: production\n")
        site.run("install")
        assert site.machine.show(UNITS["alpha:2"], "ActiveState") == "active"  # without --now it goes on
        assert f"{UNITS['alpha:2']} is more than its worker is to have" in site.run("install")
        site.install()
        assert site.machine.show(UNITS["alpha:2"], "ActiveState") == "inactive"
        assert "nothing to do" in site.install()
        assert "nothing is lost" in site.run("repair")
        assert not [path for path in site.files() if "alpha:3" in path], "the pair's surge"
        assert site.is_surge("alpha:2")
        site.server(PAIRS)
        site.install()
    check(site, report)
    assert [row["name"] for row in site.rows()] == ["alpha", "alpha:2"]
    assert [site.is_surge(name) for name in ("alpha", "alpha:2", "alpha:3")] == [False, False, True]


def test_roots_own_number_loses_no_request_and_what_is_refused_changes_nothing(site: Several) -> None:
    site.server("mode: production\nworkers: {port_range: 9000-9005}\n")
    rude(site)
    pid = site.pid("alpha")
    with hammered(site, 20) as report:
        site.run("scale", "alpha=3")
        assert [row["name"] for row in site.rows()] == ["alpha", "alpha:2", "alpha:3"]
        assert site.machine.run(["stat", "-c", "%a %U", SCALE]).stdout == "644 root\n"
        before, units = site.machine.read(SCALE), site.machine.read(site.drop_in("alpha"))
        assert "nothing to do" in site.run("scale", "alpha=3")
        assert "no port is left" in site.run("scale", "alpha=9", status=1)
        site.run("scale", "alpha=2", "beta=2", status=4)
        assert (site.machine.read(SCALE), site.machine.read(site.drop_in("alpha"))) == (before, units)
        assert "nothing to do" in site.install()
        site.run("scale", "alpha=-")
    check(site, report)
    assert [row["name"] for row in site.rows()] == ["alpha"]
    assert (site.machine.exists(SCALE), site.pid("alpha")) == (False, pid)


def test_the_number_stays_when_an_instance_does_not_come(site: Several) -> None:
    site.server("mode: production\n")
    site.worker("alpha", "restart: {policy: no}\n")
    site.install()
    site.worker("alpha", "restart: {policy: no}\n", program="raise SystemExit(7)")
    assert "alpha:2: it exited with status 7" in site.run("scale", "alpha=2", status=1)
    assert "alpha: 2\n" in site.machine.read(SCALE)
    assert [line.split() for line in site.run("scale").splitlines()[1:]] == [["alpha", "2", "2", f"{SCALE}:4"]]
    (row,) = [line.split() for line in site.run("show", "alpha").splitlines() if line.startswith("scaling.min_workers")]
    assert row == ["scaling.min_workers", "2", f"{SCALE}:4"]
    assert site.get("/alpha/health") == (200, "ok")


@pytest.mark.long
@pytest.mark.parametrize("listen", ["tcp", "unix", "fd"])
def test_a_restart_of_one_after_the_other_loses_nothing(site: Several, listen: str) -> None:
    rude(site, f"listen: {listen}\n")
    with hammered(site, 20) as report:
        for name in (*UNITS, *UNITS):
            site.run("restart", f"tq-worker@{name}.service")
    check(site, report)


@pytest.mark.long
def test_verbs_take_an_instance_or_say_what_to_write(site: Several) -> None:
    site.worker("alpha")
    site.install()
    assert site.run("why", "alpha:2").startswith("alpha:2: ")
    assert [line for line in site.run("why", "alpha").splitlines() if line.startswith("alpha")] == [
        line for name in UNITS for line in site.run("why", UNITS[name]).splitlines() if line.startswith("alpha")
    ]
    assert "instances:  alpha alpha:2\n" in site.run("show", "alpha:2")
    for verb in ("install", "uninstall", "render", "check", "security"):
        for text in ("alpha:2", UNITS["alpha:2"]):
            said = site.run(verb, text, status=2)
            assert "tq-worker@alpha:2.service is one of several instances of alpha" in said, verb
            assert "say it of the worker: alpha" in said, verb


@pytest.mark.long
def test_another_worker_waits_for_all_of_them(site: Several) -> None:
    site.worker("alpha")
    site.worker("beta", "depends: [alpha]\n")
    site.install()
    for directive in ("After", "Requires"):
        assert {*UNITS.values()} <= {*site.machine.show("tq-worker@beta:2.service", directive).split()}
    before = site.machine.read(site.drop_in("beta"))
    site.yaml("alpha", "no: worker\n")
    site.install(status=1)
    site.install("beta")
    assert site.machine.read(site.drop_in("beta")) == before  # a worker that is refused or not named keeps its number


@pytest.mark.long
def test_all_of_it_goes_with_the_worker(site: Several) -> None:
    rude(site, "listen: fd\n")
    site.run("uninstall", "alpha")
    data = ("/var/lib/tqunits/", "/var/cache/")
    assert [path for path in site.files() if "alpha" in path and not path.startswith(data)] == []
    assert not [unit for unit in site.units() if "alpha" in unit]
