"""Whatever is killed, at random and under load: the states converge to what runs, no worker is
touched, and no request is lost that a kill did not cut."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from .conftest import Site
from .hammering import hammered, noted, rude
from .test_manager import MANAGER, pids, states

CLIENTS = 20
CUT = ("ConnectionResetError", "IncompleteReadError", "BrokenPipeError")
"""How a client sees that its connection has ended."""
ROUTERS = ("tq-proxy@1.service", "tq-proxy@2.service")


def kill(site: Site, unit: str) -> None:
    """And wait until systemd has begun to start it again."""
    before = site.machine.show(unit, "InvocationID")
    site.machine.run(["systemctl", "kill", "--signal=KILL", unit], check=False)  # it may be between two runs
    site.machine.wait_until(lambda: site.machine.show(unit, "InvocationID") != before)


def restart_bus(site: Site) -> None:
    site.machine.systemctl("reset-failed", "dbus.socket", "dbus.service", check=False)  # it has a start limit
    with site.machine.without_bus():
        pass


def reexecute(site: Site) -> None:
    site.machine.systemctl("daemon-reexec")


BLOWS: dict[str, Callable[[Site], None]] = {
    "manager": lambda site: kill(site, MANAGER),
    "first router": lambda site: kill(site, ROUTERS[0]),
    "second router": lambda site: kill(site, ROUTERS[1]),
    "bus": restart_bus,
    "systemd": reexecute,
}


@pytest.mark.short("10")
@pytest.mark.parametrize("seconds", [10, 120], ids=str)
def test_the_states_converge_and_only_what_is_cut_is_lost(managed: Site, seconds: int) -> None:
    managed.server("mode: production\nproxy: {processes: 2}\n")
    rude(managed)
    managed.worker("beta")
    managed.install()
    before = pids(managed, "alpha", "beta")
    dice = random.Random(seconds)
    dealt: list[str] = []
    with hammered(managed, CLIENTS) as report:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            dealt.append(dice.choice(list(BLOWS)))
            BLOWS[dealt[-1]](managed)
    managed.machine.wait_until(lambda: managed.machine.show(MANAGER, "ActiveState") == "active")
    managed.machine.wait_until(lambda: states(managed) == {"alpha": "healthy", "beta": "healthy"})
    assert pids(managed, "alpha", "beta") == before
    assert set(dealt) == set(BLOWS) or seconds < 60
    routers = sum("router" in blow for blow in dealt)
    failed = report["failed"]
    assert {why for why in failed if not any(cut in why for cut in CUT)} == set(), failed
    assert sum(failed.values()) <= CLIENTS * routers, (failed, dealt)
    assert max(noted(managed).values()) == 1, "nothing was done twice"
    assert report["good"] > 100
