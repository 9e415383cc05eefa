"""A worker that fails, or is slow to start, does not hold up the boot or other workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from machine import Machine

from .conftest import ROOT, Site

UNIT = "tq-worker@alpha.service"
DEAF = "import signal\nsignal.pause()\n"
SICK = "/var/lib/tqunits/workers/alpha/sick"  # while it exists, the probe's health check fails
PROVISION = f"""[Unit]
Before=multi-user.target
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=60s
ExecStart=/usr/local/bin/tqunits -C {ROOT} install --now
[Install]
WantedBy=multi-user.target
"""


def test_a_worker_may_be_stopped_and_started_as_often_as_its_own_limit_lets_it(site: Site) -> None:
    site.worker("alpha", "restart: {max_restarts: 100}\n")
    site.install()
    for _ in range(8):  # the worker needs this folder, a mount that starts and stops with it
        site.machine.systemctl("stop", UNIT)
        site.machine.systemctl("start", UNIT)
    assert site.get("/alpha/health") == (200, "ok")


def test_a_worker_that_never_gets_healthy_holds_up_no_boot(site: Site) -> None:
    """The boot waits for multi-user.target (systemd.special(7)), which wants tq.target."""
    site.worker("alpha", "timeouts: {start: 10min}\n", program=DEAF)
    site.worker("beta")
    site.run("install")  # enabled, and started as the boot does
    machine = site.machine
    machine.systemctl("stop", "tq.target", "multi-user.target")
    machine.systemctl("start", "--no-block", "multi-user.target")
    machine.wait_until(["systemctl", "is-active", "--quiet", "multi-user.target"])
    machine.wait_until(["systemctl", "is-active", "--quiet", "tq-worker@beta.service"])
    assert machine.show(UNIT, "ActiveState") == "activating"
    assert machine.show("tq.target", "ActiveState") == "inactive"
    assert site.get("/beta/health") == (200, "ok")


def test_to_start_all_waits_for_all(site: Site) -> None:
    for name in ("alpha", "beta"):
        site.worker(name)
    site.install()
    machine = site.machine
    machine.systemctl("stop", "tq.target")
    machine.wait_until(lambda: not machine.exists("/run/tqunits/workers/alpha/serving"))
    machine.write(SICK, "")
    machine.systemctl("start", "--no-block", "tq.target")
    machine.wait_until(["systemctl", "is-active", "--quiet", "tq-worker@beta.service"])
    assert machine.show(UNIT, "ActiveState") == "activating"
    assert machine.show("tq.target", "ActiveState") == "inactive"
    machine.remove(SICK)
    machine.wait_until(["systemctl", "is-active", "--quiet", "tq.target"])
    states = machine.systemctl("is-active", UNIT, "tq-worker@beta.service", "tq-proxy@1.service", "tq-proxy.socket")
    assert states.split() == ["active"] * 4


def test_a_provisioning_unit_of_the_boot_may_install(fresh_machine: Callable[[], Machine]) -> None:
    """A unit that the boot waits for runs install, and install waits for tq.target: this is no
    deadlock."""
    site = Site(fresh_machine())
    site.server("mode: production\n")
    site.worker("alpha")
    unit = "/etc/systemd/system/provision.service"
    site.machine.write(unit, PROVISION)
    site.machine.systemctl("enable", "provision.service")
    site.machine.reboot()
    site.machine.wait_until(["systemctl", "is-active", "--quiet", "multi-user.target"])
    assert site.machine.show("provision.service", "Result") == "success"
    assert site.get("/alpha/health") == (200, "ok")


SOCKETS = ("tq-proxy.socket", r"tq-proxy-\x5b::\x5d:8080.socket", "tq-proxy-control@1.socket")


@pytest.mark.short("10")
@pytest.mark.parametrize("times", [10, 60])
def test_a_restart_of_all_opens_the_routers_socket_again(site: Site, times: int) -> None:
    """In one of ten restarts the address was still in use by a child of systemd that made the
    control socket. And five starts in ten seconds were the socket unit's limit."""
    site.worker("alpha")
    site.install()
    for _ in range(times):
        site.machine.systemctl("restart", "tq.target")
        assert site.machine.systemctl("is-active", *SOCKETS).split() == ["active"] * 3
    assert site.get("/alpha/health") == (200, "ok")
