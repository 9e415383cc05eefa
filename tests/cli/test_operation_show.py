"""show and doctor on a booted systemd: the origin of each setting, how runs ended, what is wrong on
the host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine
from operation import Host

WORKER = "/srv/tqunits/workers/{0}/config/worker.yaml"
YAML = "path: /{0}\ntype: exec\ncommand: [sleep, infinity]\nlimits:\n  memory_max: 64M\n"


@pytest.fixture
def host(machine: Machine) -> Iterator[Host]:
    made = Host(machine)
    machine.run(["mv", "/srv/tqunits", "/srv/tqunits.aside"], check=False)
    yield made
    machine.remove("/srv/tqunits")
    machine.run(["mv", "/srv/tqunits.aside", "/srv/tqunits"], check=False)
    made.clean()


def configure(host: Host, name: str, text: str = YAML) -> None:
    host.machine.write(WORKER.format(name), text.format(name))


def document(host: Host, *arguments: str) -> Any:
    return json.loads(host.machine.tqunits(*arguments, "--json", check=False).stdout)


def settings(host: Host, name: str) -> dict[str, tuple[str, str]]:
    return {row["key"]: (row["value"], row["origin"]) for row in document(host, "show", name)["settings"]}


def test_each_setting_says_who_decided_it(host: Host) -> None:
    configure(host, "alpha")
    host.install(alpha="")
    found = settings(host, "alpha")
    assert found["limits.memory_max"] == ("64M", f"{WORKER.format('alpha')}:5")
    assert found["limits.tasks_max"] == ("512", "default")
    assert found["timeouts.stop"] == ("30s", "default")
    assert found["path"] == ("/alpha", f"{WORKER.format('alpha')}:1")


def test_a_preset_says_of_what_type_or_program_it_is(host: Host) -> None:
    configure(host, "alpha", "path: /alpha\ncommand: [env, A=b, /opt/node/bin/npm, start]\n")
    configure(host, "beta", "path: /beta\ntype: java\n")
    assert settings(host, "alpha")["sandbox"] == ("jit", "preset npm")
    assert settings(host, "beta")["sandbox"] == ("jit", "preset java")
    assert settings(host, "beta")["command"] == ("java -cp bin Main", "preset java")


def test_the_administrators_drop_in_decides_last(host: Host) -> None:
    configure(host, "alpha")
    host.install(alpha="")
    path = "/etc/systemd/system/tq-worker@alpha.service.d/50-mine.conf"
    host.machine.write(path, "# mine\n[Service]\nMemoryMax=99M\nNice=5\n")
    host.machine.systemctl("daemon-reload")
    shown = document(host, "show", "alpha")
    assert settings(host, "alpha")["limits.memory_max"] == ("99M", f"drop-in {path}:3")
    assert shown["drop_ins"] == [path]
    assert path in host.machine.tqunits("show", "alpha").stdout


def test_without_valid_yaml_what_is_installed_is_shown(host: Host) -> None:
    configure(host, "alpha", "path: [")
    host.install(alpha="")
    done = host.machine.tqunits("show", "alpha")
    assert "tqunits check" in done.stderr
    assert "MemoryMax" in done.stdout


def test_a_worker_that_is_only_configured_is_shown(host: Host) -> None:
    configure(host, "alpha")
    assert "not installed" in host.machine.tqunits("show", "alpha").stdout
    assert document(host, "show", "alpha")["state"] == "not installed"


def test_the_last_exits_come_with_their_cause_newest_first(host: Host) -> None:
    configure(host, "alpha")
    host.install(alpha="Type=notify\nExecStart=\nExecStart=/bin/sh -c 'exit $(cat /run/status)'")
    for status in (7, 203):
        host.machine.write("/run/status", str(status))
        host.machine.tqunits("start", "alpha", check=False)
    exits = document(host, "show", "alpha")["exits"]
    assert [exit_["status"] for exit_ in exits[:2]] == ["203", "7"]
    text = host.machine.tqunits("show", "alpha").stdout
    assert "exited with status 7" in text
    assert "hidden by the sandbox (status 203)" in text
    assert "failed (exit-code)" in text


def test_what_is_not_in_effect_yet_is_shown_only_where_it_is_written_and_says_so(host: Host) -> None:
    configure(host, "alpha", YAML + "scaling:\n  max_workers: 3\n")
    lines = host.machine.tqunits("show", "alpha").stdout.splitlines()
    in_effect, scaling = [line for line in lines if line.startswith("scaling.")]
    assert in_effect.startswith("scaling.min_workers")
    assert scaling.startswith("scaling.max_workers")
    assert scaling.endswith("worker.yaml:7 (not in effect yet)")
    rows = {row["key"]: row["in_effect"] for row in document(host, "show", "alpha")["settings"]}
    assert (rows["scaling.max_workers"], rows["scaling.idle_stop"]) == (False, False)
    assert (rows["scaling.min_workers"], rows["path"]) == (True, True)


def test_a_failed_worker_shows_its_cause_first(host: Host) -> None:
    configure(host, "alpha")
    host.install(alpha="ExecStartPost=/bin/sh -c 'exit 1'")  # as the gate does
    host.machine.tqunits("start", "alpha", check=False)
    first, *_ = host.machine.tqunits("show", "alpha").stdout.splitlines()
    assert first == "alpha: it did not answer its health check in time"
    document = json.loads(host.machine.tqunits("show", "--json", "alpha").stdout)
    assert (document["state"], document["detail"], document["why"]["kind"]) == ("failed", "health check", "health")


def test_a_worker_that_waits_for_install_is_told_apart_from_a_mistyped_one(host: Host) -> None:
    configure(host, "alpha")
    done = host.machine.tqunits("start", "alpha", check=False)
    assert done.returncode == 4
    assert "it is in /srv/tqunits/workers/alpha: 'tqunits install --now' starts it" in done.stderr


def test_an_unknown_worker_exits_4_with_a_suggestion(host: Host) -> None:
    configure(host, "alpha")
    done = host.machine.tqunits("show", "alpah", check=False)
    assert done.returncode == 4
    assert "did you mean 'alpha'?" in done.stderr


def test_show_needs_no_privilege(host: Host) -> None:
    configure(host, "alpha")
    host.install(alpha="")
    assert "limits.memory_max" in host.machine.tqunits("show", "alpha", user="nobody").stdout


def levels(host: Host) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in document(host, "doctor")["findings"]}


def test_a_healthy_host_has_no_problem(host: Host) -> None:
    configure(host, "alpha")
    done = host.machine.tqunits("doctor")
    assert "problem" not in done.stdout
    assert levels(host)["systemd"] == "ok"


def test_a_failed_unit_is_a_problem(host: Host) -> None:
    host.install(alpha="ExecStart=\nExecStart=/nowhere")
    host.machine.tqunits("start", "alpha", check=False)
    done = host.machine.tqunits("doctor", check=False)
    assert done.returncode == 1
    assert "tq-worker@alpha.service" in done.stdout


def test_broken_yaml_is_a_problem(host: Host) -> None:
    configure(host, "alpha", "path: [")
    assert levels(host)["configuration"] == "problem"


def test_a_missing_program_is_a_problem(host: Host) -> None:
    configure(host, "alpha", "path: /{0}\ncommand: [no-such-program]\n")
    assert levels(host)["programs"] == "problem"


def test_an_edited_drop_in_is_told(host: Host) -> None:
    host.install(alpha="")  # its RestartHash is not that of its content
    assert levels(host)["drop-ins"] == "warning"


def test_a_changed_file_that_systemd_has_not_read_is_told(host: Host) -> None:
    host.install(alpha="")
    host.machine.tqunits("start", "alpha")
    host.write("alpha", "Nice=5")
    host.machine.run(["touch", "-d", "+2 seconds", "/etc/systemd/system/tq-worker@alpha.service.d/10-tqunits.conf"])
    assert levels(host)["reload"] == "warning"


def test_a_port_that_somebody_else_has_is_a_problem(host: Host) -> None:
    argv = ["python3", "-c", "import socket; s = socket.create_server(('', 8080)); print(flush=True); input()"]
    with host.machine.start(argv, stdin=-1) as squatter:
        assert squatter.stdout
        squatter.stdout.readline()
        assert levels(host)["router"] == "problem"
        assert squatter.stdin
        squatter.stdin.close()


def test_doctor_works_where_there_is_no_bus(host: Host) -> None:
    with host.machine.without_bus():
        assert host.machine.tqunits("doctor", user="nobody", check=False).returncode == 1
