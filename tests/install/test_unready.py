"""An instance that fails its health checks is out of the traffic, while another one of its worker
serves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from machine import Machine, rest, wake

from .conftest import PROBE
from .test_manager import HASTY, MANAGER, becomes, instances
from .test_several import PAIRS, UNITS, Several

PATIENT = HASTY.replace("failure_threshold: 2", "failure_threshold: 1000")
FILE = "/run/tqunits/readiness/unready.json"
PROCESSES = f"{PAIRS}proxy: {{processes: 2}}\n"


@pytest.fixture
def two(emptied: Machine) -> Iterator[Several]:
    """A host with a manager and two router processes, whose workers have two instances each."""
    site = Several(emptied)
    site.server(PROCESSES)
    wake(site.machine)
    yield site
    rest(site.machine)


def signal(site: Several, name: str, number: str) -> None:
    site.machine.systemctl("kill", "--kill-whom=main", f"--signal={number}", UNITS[name])


def out(site: Several) -> list[str]:
    """Who is out of the traffic."""
    return list(json.loads(site.machine.read(FILE))["unready"]) if site.machine.exists(FILE) else []


def until_out(site: Several, *names: str) -> None:
    site.machine.wait_until(lambda: out(site) == list(names))


def ports(site: Several) -> set[str]:
    """The instances that answer two dozen requests, by their ports."""
    answers = [site.get("/alpha/environment") for _ in range(24)]
    assert {status for status, _ in answers} == {200}
    return {variables["WORKER_PORT"] for _, variables in answers}


def test_one_that_hangs_gets_nothing_until_it_answers_again(two: Several) -> None:
    two.worker("alpha", PATIENT)
    two.install()
    first, second = (site["WORKER_PORT"] for site in map(two.environment, UNITS))
    assert ports(two) == {first, second}
    signal(two, "alpha:2", "STOP")
    until_out(two, "alpha:2")
    assert ports(two) == {first}
    assert "unhealthy (failing)" in two.run("ls", "alpha:2", status=3)

    two.machine.systemctl("kill", "--signal=KILL", MANAGER)
    two.machine.wait_until(lambda: two.machine.show(MANAGER, "NRestarts") == "1")
    becomes(two, "alpha:2", "unhealthy")
    assert ports(two) == {first}, "a crash of the manager lets nobody in"

    signal(two, "alpha", "STOP")
    until_out(two)  # as long as both hang, both may answer as well as they can
    signal(two, "alpha", "CONT")
    until_out(two, "alpha:2")
    signal(two, "alpha:2", "CONT")
    becomes(two, "alpha:2", "healthy")
    until_out(two)
    assert ports(two) == {first, second}


@pytest.mark.long
def test_one_that_hangs_is_restarted_and_back(two: Several) -> None:
    two.worker("alpha", HASTY)
    two.install()
    before = two.pid("alpha"), two.pid("alpha:2")
    signal(two, "alpha:2", "STOP")
    two.machine.wait_until(lambda: instances(two)["alpha:2"]["requested_restarts"] == 1)
    becomes(two, "alpha:2", "healthy")
    until_out(two)
    assert (two.pid("alpha"), two.pid("alpha:2") != before[1]) == (before[0], True)
    assert len(ports(two)) == 2


@pytest.mark.long
def test_without_the_manager_all_that_run_are_in(two: Several) -> None:
    two.worker("alpha", PATIENT, program=PROBE)
    two.install()
    two.machine.write("/var/lib/tqunits/workers/alpha/sick", "")
    becomes(two, "alpha", "unhealthy")
    becomes(two, "alpha:2", "unhealthy")
    assert out(two) == [], "the last one stays in"
    assert len(ports(two)) == 2
    two.machine.remove("/var/lib/tqunits/workers/alpha/sick")
    becomes(two, "alpha", "healthy")
    becomes(two, "alpha:2", "healthy")
    signal(two, "alpha:2", "STOP")
    until_out(two, "alpha:2")
    two.machine.systemctl("stop", MANAGER, "tq-manager.socket")
    assert not two.machine.exists(FILE)
    signal(two, "alpha:2", "CONT")
    assert len(ports(two)) == 2


def test_one_without_its_file_serving_is_not_healthy(two: Several) -> None:
    two.worker("alpha", PATIENT)
    two.install()
    two.machine.systemctl("stop", "tq-repair.path")  # it would make the file again
    two.machine.remove("/run/tqunits/workers/alpha:2/serving")
    becomes(two, "alpha:2", "unhealthy")
    assert "its file 'serving' is gone" in instances(two)["alpha:2"]["why"]
    two.run("restart", UNITS["alpha:2"])
    becomes(two, "alpha:2", "healthy")
