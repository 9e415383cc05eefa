"""The verbs pause, drain, maintenance and resume: they apply to all router processes, survive their
restarts, and are shown."""

from __future__ import annotations

import json

from .conftest import ROOT, Site
from .control import echo, in_flight, signal

CURL = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "1"]
HELD = 28


def status(site: Site, path: str) -> str:
    """The answers to ten new connections, over both processes: one word if all are the same."""
    done = [site.machine.run([*CURL, f"http://localhost:8080{path}"], check=False).stdout for _ in range(10)]
    return ",".join(sorted(set(done)))


def row(site: Site, worker: str) -> dict[str, object]:
    found = json.loads(site.machine.tqunits("ls", worker, "--json").stdout)["workers"]
    assert len(found) == 1
    return dict(found[0])


def test_orders_hold_for_all_routers_and_through_their_restarts(site: Site) -> None:
    site.server("proxy: {processes: 2}\n")
    site.worker("alpha")
    site.worker("beta")
    site.yaml("docs", "path: /docs\ntype: static\n")
    site.machine.write(f"{ROOT}/workers/docs/public/page", "page")
    site.install()
    assert "alpha is in maintenance" in site.run("maintenance", "on", "alpha", "docs", "--text", "Back at nine.")
    for _ in range(2):
        assert (status(site, "/alpha/health"), status(site, "/docs/page")) == ("503", "503")
        assert "Back at nine." in site.machine.run(["curl", "-s", "http://localhost:8080/docs/page"]).stdout
        assert (status(site, "/beta/health"), row(site, "alpha")["order"]) == ("200", "maintenance")
        site.machine.systemctl("restart", "tq-proxy@1", "tq-proxy@2")
    assert "healthy, maintenance" in site.run("ls")
    site.run("maintenance", "off", "--all")
    assert (status(site, "/alpha/health"), status(site, "/docs/page")) == ("200", "200")
    assert row(site, "alpha")["order"] is None
    site.run("pause", "alpha")
    paused = site.machine.run([*CURL, "http://localhost:8080/alpha/health"], check=False)
    assert paused.returncode == HELD
    site.run("restart", "alpha")
    assert row(site, "alpha")["order"] == "pause"
    site.run("resume", "alpha")
    assert status(site, "/alpha/health") == "200"
    assert "it has no program to spare" in site.run("drain", "docs", status=1)
    site.run("uninstall", "alpha")
    assert site.run("resume", "alpha", status=4)


def test_a_drain_waits_for_what_runs_and_says_when_it_does_not(site: Site) -> None:
    echo(site)
    with site.machine.start(["curl", "-sf", "http://localhost:8080/alpha/first"]) as first:
        site.machine.wait_until(lambda: in_flight(site, 1) == 1)
        assert "requests still run at tq-proxy@1.service" in site.run("drain", "alpha", "--timeout", "100ms", status=6)
        assert (row(site, "alpha")["order"], status(site, "/alpha/other")) == ("drain", "503")
        with site.machine.start(["/usr/local/bin/tqunits", "drain", "alpha"]) as draining:
            signal(site, "tq-worker@alpha.service", "USR1")
            assert (first.wait(), draining.wait()) == (0, 0)
    site.run("resume", "alpha")
