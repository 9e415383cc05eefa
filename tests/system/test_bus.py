"""The Bus on a booted systemd: every method, and the pitfalls in its header."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine

DRIVER = ["/opt/tqunits/.venv/bin/python", "/opt/tqunits/tests/system/bus_driver.py"]
UNITS = "/run/systemd/system"
PATIENCE = 20_000_000

SERVICES = {
    "ok": "Type=exec\nExecStart=/bin/sleep infinity",
    "slow": "Type=exec\nExecStart=/bin/sleep infinity\nExecStartPost=/bin/sleep 30",
    "instant": "Type=oneshot\nExecStart=/bin/true",
    "fails": "Type=notify\nExecStart=/bin/sh -c 'exit 7'\nRestart=always\nRestartSec=30",
    "gate": "Type=exec\nExecStart=/bin/sleep infinity\nExecStartPost=/bin/sh -c 'exit 1'",
    "masked-like": "ExecStart=relative/path",
}


class Driver:
    """Calls methods of a Bus inside the machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def raw(self, method: str, *arguments: object, user: str | None = None, **options: Any) -> dict[str, Any]:
        order = json.dumps({"method": method, "arguments": arguments, "options": options})
        return dict(json.loads(self.machine.run(DRIVER, input=order, user=user).stdout))

    def call(self, method: str, *arguments: object, **options: Any) -> Any:
        return self.raw(method, *arguments, **options)["answer"]

    def results(self, method: str, *units: str, **options: object) -> dict[str, str]:
        answer = self.call(method, list(units), **{"timeout_us": PATIENCE, **options})
        return {result["unit"]: result["result"] for result in answer}


@pytest.fixture
def bus(machine: Machine) -> Iterator[Driver]:
    for name, service in SERVICES.items():
        text = f"[Unit]\nDescription=Test {name}\n[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n"
        machine.write(f"{UNITS}/bus-{name}.service", text)
    machine.systemctl("daemon-reload")
    yield Driver(machine)
    units = [f"bus-{name}.service" for name in SERVICES]
    machine.systemctl("stop", *units, check=False)
    machine.systemctl("reset-failed", *units, check=False)
    for unit in units:
        machine.remove(f"{UNITS}/{unit}")
    machine.systemctl("daemon-reload")


def test_the_version_is_that_of_systemctl(bus: Driver) -> None:
    told = bus.machine.systemctl("--version").split()[1]
    assert bus.call("systemd_version") == int(told)


def test_jobs_are_waited_for_together_and_told_apart(bus: Driver) -> None:
    units = ("bus-ok.service", "bus-instant.service", "bus-fails.service", "bus-nowhere.service", "bus-gate.service")
    assert bus.results("start", *units) == {
        "bus-ok.service": "done",
        "bus-instant.service": "done",
        "bus-fails.service": "failed",
        "bus-nowhere.service": "refused",
        "bus-gate.service": "failed",
    }


def test_a_failure_tells_its_status_and_its_invocation(bus: Driver) -> None:
    (result,) = bus.call("start", ["bus-fails.service"], timeout_us=PATIENCE)
    failure = result["failure"]
    assert (failure["result"], failure["main_code"], failure["main_status"]) == ("exit-code", 1, 7)
    assert failure["invocation"] == bus.machine.show("bus-fails.service", "InvocationID")


def test_a_failed_gate_is_told_from_a_failed_program(bus: Driver) -> None:
    (result,) = bus.call("start", ["bus-gate.service"], timeout_us=PATIENCE)
    assert result["failure"]["gate_status"] == 1
    (result,) = bus.call("start", ["bus-fails.service"], timeout_us=PATIENCE)
    assert result["failure"]["gate_status"] is None


def test_signals_that_beat_their_reply_are_not_lost(bus: Driver) -> None:
    for _ in range(5):
        assert bus.results("restart", *["bus-instant.service", "bus-ok.service"] * 5) == {
            "bus-instant.service": "done",
            "bus-ok.service": "done",
        }


def test_own_patience_ends_the_wait_not_the_job(bus: Driver) -> None:
    assert bus.results("start", "bus-slow.service", timeout_us=300_000) == {"bus-slow.service": "waiting"}
    assert bus.machine.show("bus-slow.service", "ActiveState") == "activating"


def test_a_job_is_queued_without_waiting(bus: Driver) -> None:
    assert bus.results("start", "bus-slow.service", block=False) == {"bus-slow.service": "queued"}


def test_stopping_what_is_not_there_is_done(bus: Driver) -> None:
    assert bus.results("stop", "bus-nowhere.service", "bus-ok.service") == {
        "bus-nowhere.service": "done",
        "bus-ok.service": "done",
    }


def test_a_result_is_found_when_the_bus_restarts_meanwhile(bus: Driver) -> None:
    bus.machine.write(f"{UNITS}/bus-ok.service.d/x.conf", "[Service]\nExecStartPost=/bin/sleep 4\n")
    bus.machine.systemctl("daemon-reload")
    order = {"method": "start", "arguments": [["bus-ok.service"]], "options": {"timeout_us": PATIENCE}}
    bus.machine.write("/run/order.json", json.dumps(order))
    argv = ["sh", "-c", f"{' '.join(DRIVER)} < /run/order.json"]
    with bus.machine.start(argv) as waiting:
        bus.machine.wait_until(lambda: bus.machine.show("bus-ok.service", "ActiveState") == "activating")
        bus.machine.systemctl("restart", "dbus.service")
        answer, complaint = waiting.communicate(timeout=30)
    bus.machine.rejoin_bus()
    bus.machine.remove(f"{UNITS}/bus-ok.service.d")
    assert json.loads(answer or "{}").get("answer", [{}])[0].get("result") == "done", complaint


def test_enabling_is_told_from_enabled(bus: Driver) -> None:
    assert bus.call("enable", ["bus-ok.service"]) is True
    assert bus.call("enable", ["bus-ok.service"]) is False
    assert bus.machine.systemctl("is-enabled", "bus-ok.service").startswith("enabled")
    assert bus.call("disable", ["bus-ok.service"]) is True
    assert bus.call("disable", ["bus-ok.service"]) is False


def test_limits_change_while_it_runs(bus: Driver) -> None:
    bus.results("start", "bus-ok.service")
    limits = {"MemoryMax": 32 << 20, "CPUWeight": 50, "CPUQuotaPerSecUSec": 500_000, "TasksMax": 7, "IOWeight": 20}
    bus.call("set_properties", "bus-ok.service", limits)
    found = bus.call("properties", "bus-ok.service", "Service")
    assert {key: found[key] for key in limits} == limits


def test_properties_are_text_and_numbers(bus: Driver) -> None:
    found = bus.call("properties", "bus-ok.service", "Unit")
    assert found["Description"] == "Test ok"
    assert found["LoadState"] == "loaded"
    assert bus.call("property_of", "bus-ok.service", "Unit", "ActiveState", "s") == "inactive"


def test_only_matching_units_are_listed(bus: Driver) -> None:
    bus.results("start", "bus-ok.service")
    (unit,) = bus.call("list_units", ["bus-o*"])
    assert (unit["name"], unit["active"], unit["sub"]) == ("bus-ok.service", "active", "running")


def test_the_cgroup_is_that_of_the_running_unit(bus: Driver) -> None:
    assert bus.call("control_group", "bus-ok.service") == ""
    bus.results("start", "bus-ok.service")
    assert bus.call("control_group", "bus-ok.service") == "/system.slice/bus-ok.service"


def test_a_signal_reaches_the_main_process(bus: Driver) -> None:
    bus.results("start", "bus-ok.service")
    bus.call("kill", "bus-ok.service", 9)
    bus.machine.wait_until(lambda: bus.machine.show("bus-ok.service", "Result") == "signal")
    bus.call("reset_failed", "bus-ok.service")
    assert bus.machine.show("bus-ok.service", "ActiveState") == "inactive"


def test_resetting_what_is_not_loaded_is_fine(bus: Driver) -> None:
    assert bus.call("reset_failed", "bus-nowhere.service") is None


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        pytest.param("start", [["bus-ok.service"]], id="start"),
        pytest.param("enable", [["bus-ok.service"]], id="enable"),
        pytest.param("reload_daemon", [], id="reload"),
        pytest.param("set_properties", ["bus-ok.service", {"TasksMax": 5}], id="limits"),
    ],
)
def test_who_may_not_is_told_in_a_sentence(bus: Driver, method: str, arguments: list[object]) -> None:
    options = {"timeout_us": PATIENCE} if method == "start" else {}
    answer = bus.raw(method, *arguments, user="nobody", **options)
    assert answer["error"] == "NotPermitted"
    assert answer["message"].startswith("you are not permitted to")
    assert "pystemd" not in answer["message"]


def test_reading_needs_no_privilege(bus: Driver) -> None:
    assert bus.raw("list_units", ["bus-*"], user="nobody")["answer"] is not None


def test_root_does_without_a_bus(bus: Driver) -> None:
    with bus.machine.without_bus():
        assert bus.results("start", "bus-ok.service", "bus-fails.service") == {
            "bus-ok.service": "done",
            "bus-fails.service": "failed",
        }
        assert bus.raw("list_units", ["x"], user="nobody")["message"].startswith("the service manager can not be")


def test_no_user_manager_is_a_sentence(bus: Driver) -> None:
    order = json.dumps({"method": "systemd_version", "arguments": [], "options": {}})
    done = bus.machine.run([*DRIVER, "--user"], input=order, user="nobody")
    assert "your own service manager" in json.loads(done.stdout)["message"]
