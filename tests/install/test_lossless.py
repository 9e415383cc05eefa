"""No request is lost (promise P2) while clients keep sending: restarts of workers and of the
router, and new routes.

The worker here ends at SIGTERM at once, also during a request. No client notices that, because the
router drains the worker before the stop. bench/host/restarts.py does the same with more workers and
requests.
"""

from __future__ import annotations

import pytest

from .conftest import Site
from .hammering import RESTART, RUDE, check, hammered, noted, rude


@pytest.mark.short("tcp")
@pytest.mark.parametrize("listen", ["tcp", "unix", "fd"])
def test_restarts_of_a_worker_lose_nothing(site: Site, listen: str) -> None:
    rude(site, f"listen: {listen}\n")
    with hammered(site, 40) as report:
        for _ in range(5):
            site.machine.systemctl("restart", "tq-worker@alpha")
    check(site, report)


def test_restarts_of_the_router_lose_nothing(site: Site) -> None:
    rude(site)
    with hammered(site, 40) as report:
        for _ in range(3):
            site.machine.systemctl("restart", "tq-proxy@1")
    check(site, report)


def test_new_routes_and_reloads_lose_nothing(site: Site) -> None:
    rude(site)
    with hammered(site, 20) as report:
        for name in ("beta", "gamma"):
            site.worker(name)
            site.install()
            site.machine.systemctl("reload", "tq-proxy@1")
        site.remove_worker("beta")
        site.run("apply")
    check(site, report)


@pytest.mark.long  # test_rolls.py and test_several.py have more of it
def test_a_change_of_the_worker_is_taken_and_loses_nothing(site: Site) -> None:
    rude(site)
    with hammered(site, 20) as report:
        for port in ("9500", "9501"):
            site.worker("alpha", f"port: {port}\n{RESTART}", program=RUDE)
            assert "restart tq-worker@alpha.service" in site.install()
    check(site, report)


def test_a_worker_that_is_killed_loses_only_what_it_had(site: Site) -> None:
    """A POST that the worker had begun may have been done, so the router does not repeat it. It
    repeats a GET whose answer has not begun."""
    rude(site)
    clients, kills = 20, 3
    with hammered(site, clients) as report:
        for _ in range(kills):
            site.machine.systemctl("kill", "--signal=KILL", "tq-worker@alpha")
            site.machine.wait_until(["curl", "-sf", "-m", "5", "http://localhost:8080/alpha/?id=x"])
    lost = {
        why for why in report["failed"] if why != "POST ValueError: status 502" and "IncompleteReadError" not in why
    }
    assert lost == set()
    assert sum(report["failed"].values()) <= clients * kills
    assert set(noted(site).values()) == {1}
    assert set(report["answered"]) <= noted(site).keys()


def test_a_crash_of_the_router_leaves_the_workers_alone(site: Site) -> None:
    rude(site)
    before = site.machine.show("tq-worker@alpha.service", "MainPID")
    site.machine.systemctl("kill", "--signal=KILL", "tq-proxy@1")
    site.machine.wait_until(["curl", "-sf", "-m", "5", "http://localhost:8080/alpha/?id=x"])
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == before


def test_a_worker_that_does_not_come_back_healthy_gets_no_request(site: Site) -> None:
    site.worker("alpha")
    site.install()
    site.machine.systemctl("stop", "tq-worker@alpha")
    assert not site.machine.exists("/run/tqunits/workers/alpha/serving")
    request = ["curl", "-s", "-m", "1", "-o", "/dev/null", "http://localhost:8080/alpha/health"]
    assert site.machine.run(request, check=False).returncode == 28  # curl(1): no answer in time, because it waits
    site.machine.systemctl("start", "tq-worker@alpha")
    assert site.get("/alpha/health") == (200, "ok")
    assert site.machine.exists("/run/tqunits/workers/alpha/serving")
