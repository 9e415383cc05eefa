"""Jobs: the table of pending jobs, and awaited jobs on a booted systemd (test_bus.py has those that
are polled).

The units ask the driver's own event loop for permission to continue. So a start or a stop ends only
if the loop runs meanwhile.
"""

from __future__ import annotations

import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from typing import Any

import pytest
from loop_driver import PORT
from machine import Machine

from tqunits.cli.main import VERBS
from tqunits.system import process
from tqunits.system.jobs import Pending, Wish
from tqunits.system.ramp import abreast

PYTHON = "/opt/tqunits/.venv/bin/python"
DRIVER = [PYTHON, "/opt/tqunits/tests/system/loop_driver.py"]
BUS_DRIVER = [PYTHON, "/opt/tqunits/tests/system/bus_driver.py"]
UNITS = "/run/systemd/system"
FIFO = "/run/jobs-fifo"

ASK = f"{PYTHON} -c 'import socket; assert socket.create_connection((\"127.0.0.1\", {PORT})).recv(9)'"
SERVICES = {
    "ok": "Type=exec\nExecStart=/bin/sleep infinity",
    "asks": f"Type=exec\nExecStart=/bin/sleep infinity\nExecStartPost={ASK}\nExecStop={ASK}",
    "asks-once": f"Type=exec\nExecStart=/bin/sleep infinity\nExecStartPost={ASK}",
    "held": f"Type=exec\nExecStart=/bin/sleep infinity\nExecStartPost=/bin/sh -c 'read word < {FIFO}'",
    "instant": "Type=oneshot\nExecStart=/bin/true",
    "fails": "Type=notify\nExecStart=/bin/sh -c 'exit 7'\nRestart=always\nRestartSec=5",
}


def unit(name: str) -> str:
    return f"jobs-{name}.service"


@pytest.fixture
def host(machine: Machine) -> Iterator[Machine]:
    for name, service in SERVICES.items():
        machine.write(f"{UNITS}/{unit(name)}", f"[Service]\n{service}\n")
    machine.systemctl("daemon-reload")
    machine.run(["mkfifo", FIFO])
    yield machine
    units = [unit(name) for name in SERVICES]
    machine.systemctl("kill", "--signal=SIGKILL", *units, check=False)
    machine.systemctl("stop", *units, check=False)
    machine.systemctl("reset-failed", *units, check=False)
    for path in (FIFO, *(f"{UNITS}/{each}" for each in units)):
        machine.remove(path)
    machine.systemctl("daemon-reload")


def ask(host: Machine, scenario: str, *names: str) -> Any:
    return json.loads(host.run([*DRIVER, scenario, *map(unit, names)]).stdout)


def test_a_unit_starts_restarts_and_stops_while_another_coroutine_runs(host: Machine) -> None:
    asks = unit("asks")
    assert ask(host, "one_after_the_other", "asks") == [
        [{asks: "done"}, 1],
        [{asks: "done"}, 3],  # it stops, and starts again
        [{asks: "done"}, 4],
    ]
    assert host.show(asks, "ActiveState") == "inactive"


def test_several_wait_at_once_also_for_the_same(host: Machine) -> None:
    names = ("ok", "instant", "fails", "nowhere")
    results = dict(zip(map(unit, names), ("done", "done", "failed", "refused"), strict=True))
    assert ask(host, "at_once", *names) == [{name: result} for name, result in results.items()] * 2


def test_a_failure_is_read_at_once(host: Machine) -> None:
    assert ask(host, "failing", "fails") == ["failed", 7]


def test_patience_ends_and_the_job_goes_on(host: Machine) -> None:
    held = unit("held")
    assert ask(host, "impatient", "held") == [{held: "waiting"}, {held: "done"}]


def test_who_is_cancelled_takes_nothing_from_others(host: Machine) -> None:
    assert ask(host, "cancelled", "asks-once") == [True, {unit("asks-once"): "done"}]


def restart_bus(host: Machine) -> None:
    host.systemctl("restart", "dbus.service")
    host.wait_until(["busctl", "status", "org.freedesktop.systemd1"])  # systemd has connected to the new D-Bus
    host.rejoin_bus()


def test_a_restart_of_the_bus_loses_no_job(host: Machine) -> None:
    held, after = unit("held"), unit("ok")
    with host.start([*DRIVER, "bus_restarted", held, after]) as driver:
        host.wait_until(lambda: host.show(held, "ActiveState") == "activating")
        restart_bus(host)
        host.run(["sh", "-c", f"echo go > {FIFO}"])
        answer, complaint = driver.communicate(timeout=30)
    assert answer, complaint
    assert json.loads(answer) == [{held: "done"}, {after: "done"}]


def test_signals_are_heard_again_after_a_restart_of_the_bus(host: Machine) -> None:
    with host.start([*DRIVER, "renewed", unit("ok"), unit("instant")], stdin=PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "asked\n"
        restart_bus(host)
        answer, complaint = driver.communicate("\n", timeout=30)
    assert answer, complaint
    assert json.loads(answer) == [True, ["done", "done"]]


@pytest.fixture
def crowd(host: Machine) -> Iterator[tuple[str, ...]]:
    """Services whose starts go on until somebody opens the FIFO."""
    template = f"{UNITS}/jobs-crowd@.service"
    waits = f"ExecStartPost=/bin/sh -c ': < {FIFO}'"
    host.write(template, f"[Service]\nType=exec\nExecStart=/bin/sleep infinity\n{waits}\n")
    host.systemctl("daemon-reload")
    yield tuple(f"jobs-crowd@{number}.service" for number in range(40))
    host.systemctl("kill", "--signal=SIGKILL", "jobs-crowd@*.service", check=False)
    host.systemctl("stop", "jobs-crowd@*.service")
    host.systemctl("reset-failed", "jobs-crowd@*.service", check=False)
    host.remove(template)


def queued(host: Machine) -> int:
    return host.run(["systemctl", "list-jobs", "--no-legend"]).stdout.count("jobs-crowd@")


def note(host: Machine, seen: list[int]) -> list[int]:
    """Add how many are queued now."""
    seen.append(queued(host))
    return seen


def test_a_crowd_starts_a_number_at_a_time_and_goes_on_without_who_has_asked(
    host: Machine, crowd: tuple[str, ...]
) -> None:
    order = {"method": "start", "arguments": [crowd], "options": {"timeout_us": 600_000_000}}
    seen: list[int] = []
    with host.start(["timeout", "--signal=INT", "8", *BUS_DRIVER], stdin=PIPE) as driver:
        assert driver.stdin is not None
        driver.stdin.write(json.dumps(order))
        driver.stdin.close()
        host.wait_until(lambda: len(crowd) in note(host, seen), timeout=30)
        driver.wait(timeout=30)
    assert abreast() in seen, "as many as are started at once"
    assert 2 * abreast() in seen, "and as many more, when these took too long"
    host.run(["sh", "-c", f"exec 3<>{FIFO}; while systemctl list-jobs --no-legend | grep -q jobs-crowd@; do :; done"])
    assert {host.show(each, "ActiveState") for each in crowd} == {"active"}


def test_the_command_line_loads_no_event_loop() -> None:
    """An import of asyncio takes 20 ms, a fifth of the start of a command."""
    daemons = {"proxy", "manager"}
    verbs = [f"tqunits.cli.verbs.{verb.name}" for group in VERBS for verb in group.verbs if verb.name not in daemons]
    code = f"import sys, {', '.join(verbs)}; print('asyncio' in sys.modules)"
    assert process.run([sys.executable, "-c", code]).stdout == "False\n"


FIRST, SECOND = Wish("StartUnit", "a.service"), Wish("StartUnit", "a.service")


def pending(**jobs: Wish) -> Pending:
    table = Pending()
    for path, wish in jobs.items():
        table.add(path, wish)
    return table


def test_equal_wishes_are_two_and_one_job_answers_both() -> None:
    table = pending(job=FIRST)
    table.add("job", SECOND)
    assert table.units() == ("a.service", "a.service")
    assert table.take("job") == (FIRST, SECOND)
    assert not table


def test_what_strangers_have_asked_for_is_nobodys() -> None:
    table = pending(job=FIRST)
    assert table.take("other") == ()
    assert table


def test_who_no_longer_waits_leaves_the_others() -> None:
    table = pending(job=FIRST)
    table.add("job", SECOND)
    table.forget(FIRST)
    assert table.take("job") == (SECOND,)


def test_a_job_is_lost_when_it_is_gone_twice() -> None:
    table = pending(gone=FIRST, queued=SECOND)
    assert table.lost(frozenset({"queued"})) == ()  # its signal may still come
    assert table.lost(frozenset({"queued"})) == ("gone",)
    assert table.take("gone") == (FIRST,)
    assert table.lost(frozenset()) == ()
    assert table.lost(frozenset()) == ("queued",)


def test_a_signal_that_comes_late_is_no_loss() -> None:
    table = pending(job=FIRST)
    assert table.lost(frozenset()) == ()
    assert table.take("job") == (FIRST,)
    assert table.lost(frozenset()) == ()
