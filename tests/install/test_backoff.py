"""A worker that fails is started again, after a longer pause each time; starts and stops that
somebody asks for do not count."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import PROBE, ROOT, Site

UNIT, PAUSE = "tq-worker@alpha.service", "tq-backoff@alpha.service"
STATE = "/run/tqunits/backoff/alpha/state"
FLAG = f"{ROOT}/there"
NEEDS = f"""\
import os, sys
if not os.path.exists("{FLAG}"):
    sys.exit("the database is away")
{PROBE}"""
TELLS = NEEDS.replace(
    "    serve(server)",
    '    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])\n'
    "    serve(server)",
)


def wait(site: Site, condition: Callable[[], bool]) -> None:
    """Wait long: these tests need several starts in a row, which are slow on a busy host."""
    site.machine.wait_until(condition, timeout=120)


def listed(site: Site) -> dict[str, Any]:
    rows = json.loads(site.machine.tqunits(*site.options, "ls", "--json").stdout)["workers"]
    return dict({row["name"]: row for row in rows}["alpha"])


def restarts(site: Site) -> int:
    return int(site.machine.show(UNIT, "NRestarts"))


def failures(site: Site) -> int:
    """The number of failures in a row before the last pause."""
    return int(site.machine.read(STATE).split()[3]) if site.machine.exists(STATE) else 0


def is_in_pause(site: Site, number: int) -> bool:
    """Whether the worker waits in a pause, after at least so many failures in a row."""
    return site.machine.show(PAUSE, "ActiveState") == "activating" and failures(site) >= number


def kill(site: Site) -> None:
    """Crash the worker, and wait until it runs again."""
    before = restarts(site)
    site.machine.systemctl("kill", "--signal=KILL", UNIT)
    wait(site, lambda: restarts(site) > before and site.machine.show(UNIT, "ActiveState") == "active")


ASKED: dict[str, Callable[[Site], object]] = {
    "systemctl": lambda site: site.machine.systemctl("restart", UNIT),
    "tqunits": lambda site: site.run("restart", "alpha"),
}


@pytest.mark.long
@pytest.mark.parametrize("ask", ASKED)
def test_six_restarts_in_a_row_are_no_failures(site: Site, ask: str) -> None:
    site.worker("alpha", "restart: {max_restarts: 2}\n")
    site.install()
    site.machine.remove("/run/tqunits/backoff/alpha")
    for _ in range(6):
        ASKED[ask](site)
    assert site.machine.show(UNIT, "ActiveState") == "active"
    assert restarts(site) == 0
    assert not site.machine.exists(STATE)  # starts that somebody asked for do not count
    assert site.get("/alpha/health") == (200, "ok")


@pytest.mark.long
@pytest.mark.parametrize(("yaml", "program"), [("", NEEDS), ("service_type: notify\n", TELLS)], ids=["exec", "notify"])
def test_what_it_needs_is_away_for_a_while_and_it_comes_back_by_itself(site: Site, yaml: str, program: str) -> None:
    assert TELLS != NEEDS
    site.machine.remove(FLAG)
    since = site.machine.cursor()
    site.worker("alpha", f"{yaml}restart: {{delay: 100ms, backoff_max: 1s}}\n", program=program)
    site.install(status=1)
    wait(site, lambda: is_in_pause(site, 6))
    site.machine.run(["journalctl", "--sync"])
    texts = site.machine.journal(PAUSE, since)
    waits = [line.rpartition(" in ")[2] for line in texts.splitlines() if "times in a row" in line]
    assert [wait for wait in waits if wait != "0.1 s"][:3] == ["0.3 s", "0.7 s", "0.9 s"]  # besides the delay
    site.machine.write(FLAG, "")
    wait(site, lambda: site.machine.show(UNIT, "ActiveState") == "active")
    assert site.get("/alpha/health") == (200, "ok")
    site.machine.systemctl("restart", UNIT)
    assert restarts(site) == 0


@pytest.mark.long
def test_a_worker_that_waits_is_shown_and_whoever_asks_has_it_at_once(site: Site) -> None:
    site.machine.remove(FLAG)
    site.worker("alpha", "restart: {delay: 200ms, backoff_max: 1d}\n", program=NEEDS)
    site.worker("beta")
    site.install(status=1)
    wait(site, lambda: is_in_pause(site, 5))
    row = listed(site)
    assert (row["state"], row["detail"], row["result"]) == ("unhealthy", "restarting", "exit-code")
    assert row["restarts"] >= 4
    assert row["next_try_us"] > 0
    assert "tqunits-backoff: alpha has failed 5 times in a row; it is started again in " in site.run("logs", "alpha")
    wait(site, lambda: is_in_pause(site, 6))  # 6 s
    assert "unhealthy (exit-code), again in " in site.run("ls", "alpha", status=3)
    assert " restarts, again in " in site.run("show", "alpha")
    assert "unhealthy (restarting), " in site.run("why", "alpha", status=1)
    assert f"fail again and again: {UNIT}" in site.run("doctor", status=1)
    asked: list[Callable[[Site], object]] = [*ASKED.values(), lambda site: site.run("start", "alpha")]
    for number, ask in enumerate(asked):
        if number:
            site.machine.remove(FLAG)
            site.machine.systemctl("kill", "--signal=KILL", UNIT)
            wait(site, lambda: is_in_pause(site, 4))  # 1.6 s, in which we ask
        site.machine.write(FLAG, "")
        ask(site)
        assert failures(site) == 0  # the pause was ended by a request
        assert site.get("/alpha/health") == (200, "ok")
    site.machine.remove(FLAG)
    site.machine.systemctl("kill", "--signal=KILL", UNIT)
    wait(site, lambda: is_in_pause(site, 2))
    site.machine.systemctl("stop", UNIT)
    assert site.machine.show(PAUSE, "ActiveState") == "inactive"
    assert listed(site)["state"] == "stopped"


def test_the_first_failure_waits_for_nothing_and_is_counted_all_the_same(site: Site) -> None:
    site.worker("alpha", "restart: {delay: 50ms, backoff_max: 400ms}\n")
    site.install()
    assert not site.machine.exists("/run/tqunits/backoff/alpha"), "no start of what runs already is a failure"
    kill(site)
    assert site.machine.show(PAUSE, "ConditionResult") == "no"
    kill(site)
    assert site.machine.show(PAUSE, "ConditionResult") == "yes"
    assert failures(site) == 2


def test_an_install_ends_although_two_fail_again_and_again(site: Site) -> None:
    """The start of tq.target would wait until neither of them has a job."""
    for name in ("alpha", "beta"):
        site.worker(name, "restart: {delay: 50ms, backoff_max: 1d}\n", program="raise SystemExit(3)")
    said = site.run("install", "--now", status=1, timeout=60)
    assert "exited with status 3" in said
    assert site.machine.show("tq.target", "ActiveState") == "active"


@pytest.mark.long
def test_a_good_run_begins_a_new_row(site: Site) -> None:
    site.worker("alpha", "restart: {delay: 50ms, backoff_max: 400ms, period: 2s, max_restarts: 4}\n")
    site.install()
    for number in (0, 2, 3):
        kill(site)
        assert failures(site) == number, "the first is noted only, and waits for nothing"
    wait(
        site,
        lambda: (
            float(site.machine.read("/proc/uptime").split()[0])
            - int(site.machine.show(UNIT, "ActiveEnterTimestampMonotonic")) / 1e6
            > 2.1
        ),
    )
    for number in (1, 2):
        kill(site)
        assert failures(site) == number
    assert restarts(site) == 5


@pytest.mark.short("exec")
@pytest.mark.parametrize("kind", ["exec", "notify"])
def test_who_fails_too_often_is_given_up_until_somebody_starts_it(site: Site, kind: str) -> None:
    site.machine.write(FLAG, "")
    yaml = f"service_type: {kind}\nrestart: {{delay: 50ms, backoff_max: 200ms, max_restarts: 2}}\n"
    site.worker("alpha", yaml, program=TELLS if kind == "notify" else NEEDS)
    site.install()
    site.machine.remove(FLAG)
    site.machine.systemctl("kill", "--signal=KILL", UNIT)
    wait(site, lambda: site.machine.show(UNIT, "ActiveState") == "failed")
    assert site.machine.show(UNIT, "ExecMainStatus") == "199"
    assert restarts(site) == 3  # systemd refused the third
    assert UNIT in site.machine.systemctl("--failed", "--plain", "--no-legend")
    assert "failed too often in a row" in site.run("show", "alpha")
    told = site.run("why", "alpha", status=1)
    assert "it exited with status 1; it failed too often, and is not started again by itself" in told
    assert "\n          the database is away\n" in told  # from its last real run
    site.machine.write(FLAG, "")
    site.machine.systemctl("start", UNIT)
    assert site.get("/alpha/health") == (200, "ok")
    site.machine.remove(FLAG)
    site.run("restart", "alpha", status=1)  # it fails, and a new count begins
    wait(site, lambda: site.machine.show(UNIT, "ActiveState") == "failed")
    site.machine.write(FLAG, "")
    site.run("start", "alpha")
    assert site.get("/alpha/health") == (200, "ok")


@pytest.mark.long
def test_a_program_that_is_missing_is_tried_less_and_less_often(site: Site) -> None:
    site.yaml("alpha", "path: /alpha\ncommand: [bin/none]\nbuild: []\nrestart: {delay: 50ms, backoff_max: 1s}\n")
    site.machine.write(f"{ROOT}/workers/alpha/bin/none", "#!/nowhere\n", 0o755)
    site.install(status=1)
    wait(site, lambda: failures(site) >= 4)
