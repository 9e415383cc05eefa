"""A worker's surge: its units stand, nothing but a roll starts them, and it gets requests while it
runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from machine import Machine

from .conftest import Site
from .hammering import check, hammered, rude
from .test_backoff import wait

SURGE = "tq-worker@alpha:2.service"


class Surging(Site):
    """With a worker alpha, which has one replica."""

    def state(self) -> str:
        return self.machine.show(SURGE, "ActiveState")

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.run("ls", "--json"))["workers"]}

    def answers(self) -> set[str]:
        """The instances that answer a dozen requests."""
        bodies = (self.get("/alpha/environment")[1] for _ in range(12))
        return {body["RUNTIME_DIRECTORY"].rpartition("/")[2] for body in bodies}


@pytest.fixture
def site(emptied: Machine) -> Surging:
    site = Surging(emptied)
    site.server("mode: production\n")
    return site


def test_nothing_starts_it_and_who_runs_gets_requests(site: Surging) -> None:
    site.worker("alpha")
    site.install()
    site.run("enable", "--now", "alpha")
    site.run("restart", "alpha")
    site.machine.systemctl("restart", "tq.target")
    assert (site.state(), site.machine.show(SURGE, "UnitFileState")) == ("inactive", "disabled")
    assert (site.answers(), [*site.rows()]) == ({"alpha"}, ["alpha"])
    assert "a surge is listed during a roll only" in site.run("ls", "alpha:2")
    site.machine.systemctl("start", SURGE)
    wait(site, lambda: site.answers() == {"alpha", "alpha:2"})
    assert {name: row["surge"] for name, row in site.rows().items()} == {"alpha": False, "alpha:2": True}
    assert "alpha:2 (surge) " in site.run("ls")
    assert "instances:  alpha alpha:2 (surge)\n" in site.run("show", "alpha")
    assert "nothing to do" in site.install()
    assert "nothing is lost" in site.run("repair")
    assert site.state() == "active"
    site.machine.systemctl("stop", SURGE)
    assert (site.answers(), [*site.rows()]) == ({"alpha"}, ["alpha"])


def test_it_stops_and_goes_with_its_worker(site: Surging) -> None:
    rude(site, "listen: fd\n")
    for verb in (["stop", "alpha"], ["disable", "--now", "alpha"], ["uninstall", "alpha"]):
        site.run("start", "alpha")
        site.machine.systemctl("start", SURGE)
        site.run(*verb)
        assert site.state() == "inactive", verb
    assert not [unit for unit in site.units() if "alpha" in unit]


@pytest.mark.parametrize("listen", ["tcp", "unix"])
def test_one_after_the_other_is_restarted_beside_it_and_no_request_is_lost(site: Surging, listen: str) -> None:
    rude(site, f"listen: {listen}\n")
    with hammered(site, 20) as report:
        site.machine.systemctl("start", SURGE)
        site.machine.systemctl("restart", "tq-worker@alpha.service")
        site.machine.systemctl("stop", SURGE)
    check(site, report)
