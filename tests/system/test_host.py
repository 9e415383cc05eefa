"""What the kernel and the journal report about a unit, and limits that change while processes
run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine

PYTHON = "/opt/tqunits/.venv/bin/python"
UNIT = "host-test.service"
STATE = "__import__('pathlib').PurePosixPath('/var/lib/tqunits')"


class Host:
    """Runs Python expressions in the machine, and one unit."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def evaluate(self, expression: str) -> Any:
        """The value of an expression that can use our modules, decoded from JSON."""
        script = (
            "import dataclasses, json, os; from tqunits.system import cgroup, journal, rlimits, users\n"
            f"print(json.dumps({expression}, default=lambda v: sorted(v) if isinstance(v, frozenset) else"
            " dataclasses.asdict(v)))"
        )
        return json.loads(self.machine.run([PYTHON, "-c", script]).stdout)

    def run(self, service: str) -> str:
        """Start the unit; gives its cgroup."""
        self.machine.write(f"/run/systemd/system/{UNIT}", f"[Service]\n{service}\n")
        self.machine.systemctl("daemon-reload")
        self.machine.systemctl("start", UNIT, check=False)
        return self.machine.show(UNIT, "ControlGroup")


@pytest.fixture
def host(machine: Machine) -> Iterator[Host]:
    yield Host(machine)
    machine.systemctl("stop", UNIT, check=False)
    machine.systemctl("reset-failed", UNIT, check=False)
    machine.remove(f"/run/systemd/system/{UNIT}")


def test_all_processes_of_a_unit_are_found(host: Host) -> None:
    group = host.run("ExecStart=/bin/sh -c 'sleep 99 & sleep 99 & exec sleep 99'")
    host.machine.wait_until(lambda: len(host.evaluate(f"cgroup.pids({group!r})")) == 3)
    assert host.evaluate("cgroup.pids('')") == []
    assert host.evaluate("cgroup.pids('/system.slice/nowhere.service')") == []


def test_memory_and_cpu_are_the_kernels_own_numbers(host: Host) -> None:
    busy = "x = bytearray(30 << 20); sum(range(3000000)); import signal; print(flush=True); signal.pause()"
    group = host.run(f"MemoryAccounting=yes\nCPUAccounting=yes\nExecStart=/usr/bin/python3 -c '{busy}'")
    host.machine.wait_until(lambda: host.evaluate(f"cgroup.memory_current({group!r})") > 30 << 20)
    assert host.evaluate(f"cgroup.cpu_usage_ns({group!r})") > 10_000_000
    assert host.evaluate("cgroup.memory_current('/nowhere')") is None
    assert host.evaluate("cgroup.cpu_usage_ns('/nowhere')") is None


def test_limits_reach_every_running_process(host: Host) -> None:
    group = host.run("LimitNOFILE=512\nLimitNPROC=512\nExecStart=/bin/sh -c 'sleep 99 & exec sleep 99'")
    host.machine.wait_until(lambda: len(host.evaluate(f"cgroup.pids({group!r})")) == 2)
    host.evaluate(f"rlimits.apply({group!r}, nofile=(256, 256), nproc=300)")
    for pid in host.evaluate(f"cgroup.pids({group!r})"):
        lines = host.machine.read(f"/proc/{pid}/limits").splitlines()
        limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
        assert limits["Max open files"] == ["256", "256"]
        assert limits["Max processes"] == ["300", "300"]


def test_what_can_not_be_raised_stays(host: Host) -> None:
    group = host.run("LimitNOFILE=512\nLimitNPROC=400\nExecStart=/bin/sleep 99")
    host.evaluate(f"rlimits.apply({group!r}, nofile=(512, 512), nproc=2**64 - 1)")
    pid = host.machine.show(UNIT, "MainPID")
    (line,) = (line for line in host.machine.read(f"/proc/{pid}/limits").splitlines() if "processes" in line)
    assert line[26:].split()[0] in {"400", "unlimited"}


def test_a_soft_limit_that_a_program_chose_is_left_to_it(host: Host) -> None:
    group = host.run("LimitNOFILE=512\nLimitNPROC=400\nExecStart=/bin/sh -c 'ulimit -Sn 100; exec sleep 99'")
    pid = host.machine.show(UNIT, "MainPID")
    host.machine.wait_until(lambda: " 100 " in host.machine.read(f"/proc/{pid}/limits"))
    host.evaluate(f"rlimits.apply({group!r}, nofile=(512, 512), nproc=400)")
    assert " 100 " in host.machine.read(f"/proc/{pid}/limits")


@pytest.mark.parametrize(
    ("service", "found"),
    [
        pytest.param("ExecStart=/bin/sh -c 'exit 7'", ("exit-code", "exited", "7"), id="exit-status"),
        pytest.param("ExecStart=/bin/sh -c 'kill -KILL $$$$'", ("signal", "killed", "9"), id="signal"),
        pytest.param("ExecStart=/bin/true", ("success", "", ""), id="success"),
        pytest.param(
            "Type=oneshot\nTimeoutStartSec=1\nExecStart=/bin/sleep 9", ("timeout", "killed", "15"), id="timeout"
        ),
    ],
)
def test_the_journal_tells_how_a_run_ended(host: Host, service: str, found: tuple[str, str, str]) -> None:
    host.run(service)
    host.machine.wait_until(lambda: host.machine.show(UNIT, "ActiveState") in {"failed", "inactive"})
    host.evaluate("journal.sync()")
    (last,) = host.evaluate(f"journal.exits({UNIT!r}, 1, user_mode=False)")
    assert (last["result"], last["code"], last["status"]) == found
    assert len(last["invocation"]) == 32


def test_the_last_lines_come_in_order_and_as_they_were_written(host: Host) -> None:
    host.run("Type=oneshot\nExecStart=/usr/bin/printf 'one\\\\ntwo\\\\xe9\\\\n\\\\033[31mthree\\\\n'")
    lines = host.evaluate(f"journal.last_lines({UNIT!r}, 9, user_mode=False)")
    assert [line for line in lines if line[:3] in {"one", "two", "\x1b[3"}] == ["one", "two\ufffd", "\x1b[31mthree"]


def test_the_words_of_a_start_are_told_however_much_those_beside_it_say(host: Host) -> None:
    script, enough = "/run/host-test.sh", "/run/host-test-enough"
    host.machine.write(script, "")
    host.run(f"Type=oneshot\nExecStart=/bin/sh {script}")

    def start(program: str) -> str:
        """Start it with this program, which ends when it is told to. Gives the start's ID."""
        host.machine.remove(enough)
        host.machine.write(script, f"{program}; until [ -e {enough} ]; do :; done; exit 7\n")
        with host.machine.start(["systemctl", "start", UNIT]):
            host.machine.wait_for_log(UNIT, program.rpartition(" ")[2])  # journald looks whose words they are
            host.machine.write(enough, "")
        return host.machine.show(UNIT, "InvocationID")

    start("seq 3001")
    quiet = start("echo words")
    start("seq 3002")
    said = f"journal.said({UNIT!r}, {quiet!r}, user_mode=False, verdict='none')"
    assert host.evaluate(said) == ["words"]
    assert host.evaluate(f"journal.last_lines({UNIT!r}, 9, user_mode=False, invocation={quiet!r})") == ["words"]


def test_users_are_made_once_and_known_as_ours(host: Host) -> None:
    home = "/var/lib/tqunits/workers/test"
    host.machine.write("/run/test-users.conf", f'u worker-test - "tqunits worker test" {home} /usr/sbin/nologin\n')
    path = "__import__('pathlib').Path('/run/test-users.conf')"
    for _ in range(2):
        host.evaluate(f"users.create({path})")
    assert host.evaluate("users.exists('worker-test')") is True
    assert host.evaluate(f"[users.is_ours(user, {STATE}) for user in ('worker-test', 'root')]") == [True, False]
    host.evaluate("users.remove('worker-test')")
    assert host.evaluate("users.exists('worker-test')") is False


@pytest.mark.parametrize(("description", "ours"), [("tqunits manager", True), ("somebody", False)])
def test_the_managers_user_is_ours_if_we_made_it(host: Host, description: str, *, ours: bool) -> None:
    host.machine.run(["useradd", "--system", "--comment", description, "tqunits"])
    assert host.evaluate(f"[users.is_managers_ours(), users.is_ours('tqunits', {STATE})]") == [ours, False]
    host.evaluate("users.remove('tqunits')")
    assert host.evaluate("users.is_managers_ours()") is False
