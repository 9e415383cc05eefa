"""The host ends in the middle of a roll, by a power cut or by a reboot: the worker serves again
without anybody's help, and the manager's next run finishes or undoes the deploy.

The step during which it ends is the one that the manager has written down last: it is written
before it is taken. (The disk of these machines is the host's, so a cut loses nothing that was
written; tests/vm/ has power cuts that lose what was not flushed.)
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from machine import Machine, wake

from .conftest import Site, in_etc
from .hammering import rude
from .test_backoff import wait
from .test_deploys import change, history, running, version

RECORD = "/var/lib/tqunits/manager/deploys/alpha.json"
REPLICAS = ("alpha", "alpha:2")
SURGE = "tq-worker@alpha:3.service"
ENDS: dict[str, Callable[[Machine], None]] = {"cut": Machine.cut_power, "reboot": Machine.reboot}


def steps(site: Site, what: str) -> int:
    """How many steps of this kind are written down."""
    return site.machine.read(RECORD).count(f'"what": "{what}"')


@pytest.mark.short("cut-restart")
@pytest.mark.parametrize("step", ["surge", "drain", "restart"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_host_that_ends_in_a_roll_serves_and_finishes_it(
    fresh_machine: Callable[[], Machine], end: Callable[[Machine], None], step: str
) -> None:
    site = in_etc(fresh_machine())
    wake(site.machine)
    rude(site, "scaling: {min_workers: 2}\n")
    site.run("deploy", "alpha")
    before, first = steps(site, step), running(site)
    change(site, version(2))
    site.run("deploy", "alpha", "--detach")
    while steps(site, step) == before:
        pass
    end(site.machine)
    wait(site, lambda: site.get("/alpha/?id=7")[0] == 200)
    wait(site, lambda: history(site)[0]["outcome"] not in {"waiting", "running"})
    newest, older = history(site)
    assert (newest["outcome"], newest["why"]) == ("done", ""), newest["steps"]
    assert "the manager was started again, and goes on" in site.machine.read(RECORD)
    assert {running(site, each) for each in REPLICAS} == {newest["release"]} != {first}
    assert older["release"] == first
    assert site.machine.show(SURGE, "ActiveState") == "inactive"
    assert site.machine.read("/var/lib/tqunits/releases/alpha/stable/src/main.py") == version(2)
    assert "nothing has changed" in site.run("deploy", "alpha")


LATER = """
[Unit]
After=tq-manager.service
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=true
ExecStop=sleep 3
"""
"""It has the manager stopped three seconds after the workers: as where a thousand of them are
stopped, and the manager hears of the end of its jobs long before its own."""


def test_a_manager_that_is_stopped_last_does_not_take_the_end_of_the_host_for_a_failure(
    fresh_machine: Callable[[], Machine],
) -> None:
    site = in_etc(fresh_machine())
    wake(site.machine)
    rude(site)
    site.run("deploy", "alpha")
    first = running(site)
    site.machine.write("/etc/systemd/system/later.service", LATER)
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("start", "later.service")
    before = steps(site, "surge")
    change(site, version(2))
    site.run("deploy", "alpha", "--detach")
    while steps(site, "surge") == before:
        pass
    site.machine.reboot()
    wait(site, lambda: history(site)[0]["outcome"] not in {"waiting", "running"})
    assert (history(site)[0]["outcome"], history(site)[0]["why"]) == ("done", "")
    assert running(site) == history(site)[0]["release"] != first
