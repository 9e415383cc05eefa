"""A start returns when the worker is ready; a worker that does not get ready reports why; a stop
ends in time."""

from __future__ import annotations

import time

import pytest

from .conftest import PROBE, Site

SLOW = "import time\ntime.sleep(1)\n" + PROBE
STUBBORN = PROBE.replace(
    "signal.signal(signal.SIGTERM, lambda", "signal.signal(signal.SIGTERM, signal.SIG_IGN) or (lambda"
)
SICK = PROBE.replace('sick = os.path.exists(f"{STATE}/sick")', "sick = True")
TALKATIVE = SICK.replace(
    "signal.signal(signal.SIGTERM, lambda *_: ", 'signal.signal(signal.SIGTERM, lambda *_: print("bye\\n" * 600) or '
)
SHORT = "timeouts: {start: 3s}\nrestart: {policy: no}\n"


def test_start_returns_when_the_worker_is_healthy(site: Site) -> None:
    site.worker("alpha", program=SLOW)
    site.run("install")
    site.machine.systemctl("start", "tq-worker@alpha", "tq-proxy@1")
    assert site.get("/alpha/health") == (200, "ok")


def test_a_worker_that_never_gets_healthy_fails_in_time_and_says_why(site: Site) -> None:
    site.worker("alpha", SHORT, program=SICK)
    site.run("install")
    started = time.monotonic()
    said = site.run("start", "alpha", status=6)
    assert time.monotonic() - started < 5
    journal = site.machine.journal("tq-worker@alpha.service")
    for text in (said, journal):
        assert "/health" in text
        assert "503" in text
    assert "attempts" in journal
    assert site.machine.show("tq-worker@alpha.service", "ActiveState") == "failed"


def test_the_reason_is_told_however_much_the_worker_says_after_it(site: Site) -> None:
    assert "bye" in TALKATIVE
    site.worker("alpha", SHORT, program=TALKATIVE)
    site.run("install")
    said = site.run("start", "alpha", status=6)
    assert "503 Service Unavailable" in said
    assert "bye" not in said


def test_a_worker_that_dies_at_once_fails_at_once(site: Site) -> None:
    program = "import sys\nsys.exit('no such table')\n"
    site.worker("alpha", "restart: {policy: no}\n", program=program)
    started = time.monotonic()
    said = site.install(status=1)
    assert time.monotonic() - started < 10  # not after the 60 s of timeouts.start
    assert "no such table" in said


def test_one_sick_worker_does_not_stop_the_others(site: Site) -> None:
    site.worker("alpha", SHORT, program=SICK)
    site.worker("beta")
    site.install(status=6)
    assert site.get("/beta/health") == (200, "ok")


def test_another_program_on_the_port_does_not_look_ready(site: Site) -> None:
    site.server("workers: {port_range: 9300-9300}\n")
    site.worker("alpha", SHORT, program="import time\ntime.sleep(60)\n")
    site.machine.write("/srv/impostor.py", PROBE)
    impostor = ["systemd-run", "--collect", "--unit=impostor", "-E", "WORKER_PORT=9300", "-E", "STATE_DIRECTORY=/tmp"]
    site.run("install")
    site.machine.run([*impostor, "-p", "User=nobody", "python3", "/srv/impostor.py"])
    try:
        site.machine.wait_until(["curl", "-sf", "http://127.0.0.1:9300/health"])
        site.run("start", "alpha", status=6)
    finally:
        site.machine.systemctl("stop", "impostor")


def test_a_worker_that_ignores_sigterm_is_killed_in_time(site: Site) -> None:
    site.worker("alpha", "timeouts: {stop: 1s}\n", program=STUBBORN)
    site.install()
    started = time.monotonic()
    site.run("stop", "alpha")
    assert time.monotonic() - started < 5
    assert "SIGKILL" in site.machine.journal("tq-worker@alpha.service")


def test_a_crash_loop_ends_within_its_budget(site: Site) -> None:
    site.worker("alpha", "restart: {policy: always, delay: 50ms, max_restarts: 3, period: 1min}\n")
    site.worker("beta")
    site.install()
    pid = site.machine.show("tq-worker@beta.service", "MainPID")
    unit = "tq-worker@alpha.service"
    crash = [
        "sh",
        "-c",
        f"systemctl is-active {unit} && systemctl kill --signal=KILL {unit}; systemctl is-failed {unit}",
    ]
    site.machine.wait_until(crash)
    assert int(site.machine.show(unit, "NRestarts")) == 4  # systemd refused the fourth
    assert site.machine.show("tq-worker@beta.service", "MainPID") == pid
    site.run("start", "alpha")  # a start by an operator resets the count
    assert site.get("/alpha/health") == (200, "ok")


def test_the_gates_exit_status_is_no_name_that_means_something_else(site: Site) -> None:
    site.worker("alpha", SHORT.replace("3s", "1s") + "health: {timeout: 1s}\n", program=SICK)
    site.run("install")
    site.run("start", "alpha", status=6)
    said = site.machine.systemctl("status", "tq-worker@alpha", check=False)
    assert "status=150)" in said or "status=150/n/a" in said


@pytest.mark.long
def test_no_verdict_is_lost_when_many_start_at_once_on_a_busy_host(site: Site) -> None:
    """Sixty programs use the whole processor: systemd's time-out would expire while the gates wait
    for their turn."""
    for number in range(40):
        site.worker(f"w{number}", SHORT.replace("3s", "2s") + "health: {timeout: 2s}\n", program=SICK)
    site.run("install")
    busy = [f"busy{number}.service" for number in range(60)]
    for unit in busy:
        site.machine.run(["systemd-run", "--collect", f"--unit={unit}", "sh", "-c", "while :; do :; done"])
    try:
        said = site.run("start", "--all", status=6)
    finally:
        site.machine.systemctl("stop", *busy)
    units = [f"tq-worker@w{number}.service" for number in range(40)]
    assert {site.machine.show(unit, "Result") for unit in units} == {"exit-code"}
    assert "timeouts.start" not in said
