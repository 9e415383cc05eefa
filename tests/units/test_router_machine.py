"""The router's IP filter: it can connect to this host only, but accepts connections from
everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import Machine

STRANGER = "10.9.9.9"
"""An address other than localhost on a local interface: packets from it pass the filter as those of
a client would."""

FETCH = ["curl", "-sS", "-m", "3", "--interface", STRANGER, "-o", "/dev/null", "-w", "%{http_code}"]


@pytest.fixture
def router(machine: Machine) -> Iterator[Machine]:
    machine.write("/srv/filter/config/tqunits.yaml", "listen: ['0.0.0.0:8080']\n")
    machine.run(["mkdir", "-p", "/srv/filter/workers"])
    machine.tqunits("-C", "/srv/filter", "install", "--now")
    machine.run(["ip", "address", "add", f"{STRANGER}/32", "dev", "lo"])
    yield machine
    machine.run(["ip", "address", "del", f"{STRANGER}/32", "dev", "lo"])
    machine.tqunits("uninstall", "--all", "--purge", "--yes")
    machine.remove("/srv/filter")


def test_the_filter_does_not_meet_clients(router: Machine) -> None:
    assert router.run([*FETCH, f"http://{STRANGER}:8080/"]).stdout == "404"


def test_the_filter_holds_what_the_router_opens_itself(router: Machine) -> None:
    """The same two lines as in tq-proxy@.service. Without this test, the one above would pass on a
    kernel that does not filter."""
    filtered = ["systemd-run", "--wait", "--pipe", "-q", "-p", "IPAddressDeny=any", "-p", "IPAddressAllow=localhost"]
    done = router.run([*filtered, *FETCH, f"http://{STRANGER}:8080/"], check=False)
    assert (done.returncode, done.stdout) == (28, "000")  # 28: time-out, the packets are dropped
