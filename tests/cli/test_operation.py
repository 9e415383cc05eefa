"""ls, start, stop, restart, enable and disable on a booted systemd."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from documents import documented, members
from machine import Machine
from operation import Host

GATE_FAILS = "ExecStartPost=/bin/sh -c 'exit 1'"
# It lives until the journal has its messages: in a container journald can not find out which unit a
# dead process belonged to.
CRASH = "Type=notify\nExecStart=\nExecStart=+/bin/sh -c 'echo the disk is on fire; journalctl --sync; exit 7'"
LOOP = "Restart=always\nRestartSec=100ms"
LATER = "Restart=always\nRestartSec=1h"
TAKEN = CRASH.replace("the disk is on fire", "OSError: [Errno 98] Address already in use")
NOT_THERE = "ExecStart=\nExecStart=/nowhere/program"


@pytest.fixture
def host(machine: Machine) -> Iterator[Host]:
    made = Host(machine)
    yield made
    made.clean()


def test_start_waits_until_all_run(host: Host) -> None:
    host.install(alpha="ExecStartPost=/bin/sleep 0.3", beta="")
    host.machine.tqunits("start", "alpha", "tq-worker@beta.service")
    assert (host.state("alpha"), host.state("beta")) == ("active", "active")


def test_all_jobs_run_side_by_side(host: Host) -> None:
    host.install(**{f"side{i}": "ExecStartPost=/bin/sleep 1" for i in range(5)})
    host.machine.tqunits("start", "side*", "--timeout", "4s")


def test_no_block_does_not_wait(host: Host) -> None:
    host.install(alpha="ExecStartPost=/bin/sleep 20")
    host.machine.tqunits("start", "--no-block", "alpha", timeout=10)
    assert host.state("alpha") == "activating"


@pytest.mark.parametrize(
    ("service", "status", "words"),
    [
        pytest.param(CRASH, 1, ["exited with status 7", "the disk is on fire"], id="exit-status"),
        pytest.param(f"{CRASH}\n{LOOP}", 1, ["exited with status 7", "the disk is on fire"], id="crash-loop"),
        pytest.param(NOT_THERE, 1, ["/nowhere/program does not exist", "203", "`command`"], id="no-program"),
        pytest.param(GATE_FAILS, 6, ["health check", "hint: it must listen"], id="unhealthy"),
        pytest.param(TAKEN, 1, ["Address already in use", "ss -ltnp"], id="port-taken"),
        pytest.param("TimeoutStartSec=1\nExecStartPost=/bin/sleep 20", 6, ["in time"], id="start-timeout"),
        pytest.param("User=nobody-at-all", 1, ["user does not exist"], id="no-user"),
        pytest.param("ExecStart=", 1, ["bad unit file setting"], id="bad-unit"),
        pytest.param("Type=notify\nExecStart=\nExecStart=/bin/true", 1, ["READY=1"], id="protocol"),
        pytest.param("Type=notify\nExecStart=\nExecStart=/bin/sh -c 'kill -ABRT $$$$'", 1, ["SIGABRT"], id="signal"),
    ],
)
def test_a_failed_start_says_why(host: Host, service: str, status: int, words: list[str]) -> None:
    host.install(alpha=service, beta="")
    done = host.machine.tqunits("start", "alpha", "beta", check=False)
    assert done.returncode == status, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert done.stdout == ""
    assert host.state("beta") == "active"


def test_only_the_lines_of_the_failed_start_are_shown(host: Host) -> None:
    host.install(alpha=CRASH.replace("the disk is on fire", "$$INVOCATION_ID"))
    first, second = (host.machine.tqunits("start", "alpha", check=False).stderr for _ in range(2))
    own = [line.strip() for line in first.splitlines() if len(line.strip()) == 32]
    assert len(own) == 1, first
    assert own[0] not in second


def test_what_systemd_says_of_every_failure_does_not_push_the_workers_words_away(host: Host) -> None:
    host.install(alpha=f"{CRASH}\n{LOOP}")
    lines = host.machine.tqunits("start", "alpha", check=False).stderr.splitlines()
    assert (lines[0], lines[-1]) == ("alpha: it exited with status 7", "    the disk is on fire")
    assert not [line for line in lines if "Failed" in line or "Scheduled restart" in line]


def test_many_failures_end_with_their_names(host: Host) -> None:
    host.install(alpha=NOT_THERE, beta="", gamma=NOT_THERE)
    last = host.machine.tqunits("start", "--all", check=False).stderr.splitlines()[-1]
    assert sorted(last.removeprefix("failed: ").split(", ")) == ["alpha", "gamma"]


def test_own_patience_ends_with_6(host: Host) -> None:
    host.install(alpha="ExecStartPost=/bin/sleep 20")
    done = host.machine.tqunits("start", "alpha", "--timeout", "200ms", check=False)
    assert done.returncode == 6
    assert "not done yet" in done.stderr


def test_stop_during_a_start_cancels_it(host: Host) -> None:
    host.install(alpha="ExecStartPost=/bin/sleep 20")
    with host.machine.start(["/usr/local/bin/tqunits", "start", "alpha"]) as starting:
        host.machine.wait_until(lambda: host.state("alpha") == "activating")
        host.machine.tqunits("stop", "alpha")
        _, complaint = starting.communicate(timeout=20)
    assert starting.returncode == 1
    assert "canceled" in complaint


def test_stopping_what_does_not_run_is_fine(host: Host) -> None:
    host.install(alpha="")
    host.machine.tqunits("stop", "alpha")
    host.machine.tqunits("start", "alpha")
    host.machine.tqunits("stop", "alpha")
    assert host.state("alpha") == "inactive"


def test_restart_replaces_the_process(host: Host) -> None:
    host.install(alpha="")
    host.machine.tqunits("start", "alpha")
    before = host.machine.show("tq-worker@alpha.service", "MainPID")
    host.machine.tqunits("restart", "alpha")
    assert host.machine.show("tq-worker@alpha.service", "MainPID") not in {before, "0"}


def test_start_gives_a_spent_worker_a_new_chance(host: Host) -> None:
    host.install(
        alpha="Restart=always\nRestartSec=0\nExecStart=\nExecStart=/bin/sh -c 'test -e /run/well && exec sleep 99'"
    )
    host.machine.tqunits("start", "alpha", check=False)
    host.machine.wait_until(lambda: host.state("alpha") == "failed")
    host.machine.write("/run/well", "")
    host.machine.tqunits("start", "alpha")
    assert host.state("alpha") == "active"


def test_start_all_leaves_disabled_workers_alone(host: Host) -> None:
    host.write("alpha")
    host.write("beta", enabled=False)
    host.machine.systemctl("daemon-reload")
    host.machine.tqunits("start", "--all")
    assert (host.state("alpha"), host.state("beta")) == ("active", "inactive")


def test_enable_now_survives_and_disable_now_stops(host: Host) -> None:
    host.install(alpha="")
    host.machine.tqunits("enable", "--now", "alpha")
    assert host.machine.systemctl("is-enabled", "tq-worker@alpha.service") == "enabled\n"
    assert "tq-worker@alpha.service" in host.machine.show("tq.target", "Wants")
    host.machine.tqunits("disable", "--now", "alpha")
    assert host.machine.systemctl("is-enabled", "tq-worker@alpha.service", check=False) == "disabled\n"
    assert host.state("alpha") == "inactive"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        pytest.param(["start", "alhpa"], 4, "did you mean 'alpha'?", id="mistyped"),
        pytest.param(["stop", "x*"], 4, "no installed worker", id="empty-pattern"),
        pytest.param(["start"], 2, "say which workers", id="nothing"),
        pytest.param(["start", "--all", "alpha"], 2, "say which workers", id="both"),
        pytest.param(["start", "alpha", "--timeout", "soon"], 2, "not a time span", id="bad-span"),
    ],
)
def test_a_wrong_command_line_is_told_apart(host: Host, arguments: list[str], status: int, words: str) -> None:
    host.install(alpha="")
    done = host.machine.tqunits(*arguments, check=False)
    assert done.returncode == status
    assert words in done.stderr


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "enable", "disable"])
def test_an_unprivileged_caller_is_refused(host: Host, verb: str) -> None:
    host.install(alpha="")
    if verb in {"stop", "disable"}:
        host.machine.tqunits("enable", "--now", "alpha")
    done = host.machine.tqunits(verb, "alpha", user="nobody", check=False)
    assert done.returncode == 5, done.stderr
    assert "not permitted" in done.stderr


def test_ls_shows_what_runs_and_why_the_rest_does_not(host: Host) -> None:
    host.install(alpha="", broken=CRASH, idle="", off="", waits=f"{GATE_FAILS}\n{LATER}")
    host.machine.tqunits("enable", "alpha", "idle", "broken")
    host.machine.tqunits("start", "alpha", "broken", "waits", check=False)
    done = host.machine.tqunits("ls", user="nobody")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert " ".join(lines["NAME"].split()) == "NAME ROUTE STATE PID UPTIME RESTARTS CPU MEM/MAX PORT USER"
    assert lines["alpha"].split()[1:3] == ["/alpha", "healthy"]
    assert list(lines) == ["NAME", "broken", "waits", "alpha", "idle", "off"]
    assert lines["alpha"].split()[-2:] == ["9001", "nobody"]
    assert "/64M" in lines["alpha"]
    assert "failed (exit-code)" in lines["broken"]
    assert lines["idle"].split()[2] == "stopped"
    assert lines["off"].split()[2] == "disabled"
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("restart", "state", "again"),
    [
        pytest.param(LATER, "unhealthy (health check)", ", again in 59min", id="comes again"),
        pytest.param("", "failed (health check)", "", id="given up"),
    ],
)
def test_ls_and_show_tell_that_a_health_check_was_not_passed(host: Host, restart: str, state: str, again: str) -> None:
    host.install(alpha=f"{GATE_FAILS}\n{restart}")
    host.machine.tqunits("start", "alpha", check=False)
    done = host.machine.tqunits("ls", "alpha", check=False)
    assert done.returncode == 3
    assert f"  {state}{again}" in done.stdout
    assert f"\nstate:      {state}, 0 restarts{again}" in host.machine.tqunits("show", "alpha", check=False).stdout


def test_ls_as_json_is_whole_and_versioned(host: Host) -> None:
    host.install(alpha="")
    host.machine.tqunits("start", "alpha")
    document = json.loads(host.machine.tqunits("ls", "--json", "alpha").stdout)
    (worker,) = document["workers"]
    assert members(worker) <= documented("ls")
    assert (document["schema"], document["version"]) == ("tqunits.ls", 1)
    assert worker["pid"] == int(host.machine.show("tq-worker@alpha.service", "MainPID"))
    assert worker["memory_max"] == 64 << 20
    assert worker["memory"] > 0
    assert worker["cpu_ns"] > 0
    assert worker["routes"] == ["/alpha"]


def test_ls_of_a_stopped_worker_by_name_exits_3(host: Host) -> None:
    host.install(alpha="", beta="")
    host.machine.tqunits("start", "alpha")
    assert host.machine.tqunits("ls", "alpha", "beta", check=False).returncode == 3
    assert host.machine.tqunits("ls", "alpha").returncode == 0


def test_ls_without_workers_says_so(host: Host) -> None:
    done = host.machine.tqunits("ls")
    assert done.stdout == ""
    assert "no workers are installed" in done.stderr


def test_logs_become_journalctl(host: Host) -> None:
    host.install(alpha="ExecStart=\nExecStart=/bin/sh -c 'echo hello from alpha; exec sleep 99'")
    host.machine.tqunits("start", "alpha")
    host.machine.wait_for_log("tq-worker@alpha.service", "hello from alpha")
    assert "hello from alpha" in host.machine.tqunits("logs", "alpha", "-n", "5").stdout
    entries = host.machine.tqunits("logs", "alpha", "--json", "-p", "info").stdout.splitlines()
    assert "hello from alpha" in [json.loads(entry)["MESSAGE"] for entry in entries]  # a message may be bytes, too
    found = ("logs", "alpha", "--since", "-1h", "-o", "cat", "--grep", "^hello", "-b", "-n", "1")
    assert host.machine.tqunits(*found).stdout == "hello from alpha\n"
    assert host.machine.tqunits("logs", "-o", "cat", "-g", "^hello", "-b", "alpha").stdout == "hello from alpha\n"
    assert "hello" not in host.machine.tqunits("logs", "alpha", "--until", "-1h", "-o", "cat").stdout


def test_ls_of_a_hundred_workers_names_them_all_and_loads_no_yaml_and_no_templates(host: Host) -> None:
    for number in range(100):
        host.write(f"many{number}")
    host.machine.systemctl("daemon-reload")
    assert len(host.machine.tqunits("ls").stdout.splitlines()) == 101
    loaded = host.machine.run(["/opt/tqunits/.venv/bin/python", "-IX", "importtime", "-m", "tqunits", "ls"]).stderr
    modules = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert "tqunits.host.status" in modules
    assert not modules & {"yaml", "jinja2", "tqunits.units.rendering"}


def test_progress_is_for_terminals_only(host: Host) -> None:
    host.install(alpha="ExecStartPost=/bin/sleep 2")
    assert host.machine.tqunits("start", "alpha").stderr == ""
    host.machine.tqunits("stop", "alpha")
    shown = host.machine.run(["script", "-qec", "tqunits start alpha", "/dev/null"]).stdout
    assert "waiting for alpha since 1 s" in shown
