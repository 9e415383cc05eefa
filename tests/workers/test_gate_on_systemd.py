"""The gate as it is used: ExecStartPost= of a sandboxed unit on a booted systemd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import Machine

UNIT = "gate-test.service"
SANDBOX = """
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
MemoryDenyWriteExecute=yes
IPAddressDeny=any
IPAddressAllow=localhost
"""
GATE = "/usr/bin/python3 -I -S /opt/tqunits/tqunits/alone/gate.py"
INDEX = "/usr/bin/python3 /opt/tqunits/workers/index/src/main.py"
PORT = 9990


def start(machine: Machine, command: str, *, listen: str = f"--port {PORT}", budget: float = 20) -> str:
    """Write and start the unit; gives its state."""
    machine.write(
        f"/run/systemd/system/{UNIT}",
        f"[Service]\nType=exec\nUser=nobody\nEnvironment=WORKER_PORT={PORT}\nRuntimeDirectory=gate-test\n"
        f"ExecStart={command}\nExecStartPost={GATE} {listen} --budget {budget} --pid $MAINPID\n"
        f"TimeoutStartSec=30\n{SANDBOX}",
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("start", UNIT, check=False)
    return machine.systemctl("is-active", UNIT, check=False).strip()


@pytest.fixture(autouse=True)
def _stopped(machine: Machine) -> Iterator[None]:
    yield
    machine.systemctl("stop", UNIT, "impostor.service", check=False)
    machine.systemctl("reset-failed", check=False)


def test_the_unit_is_active_when_the_worker_is_healthy(machine: Machine) -> None:
    assert start(machine, INDEX) == "active"
    machine.run(["curl", "-sf", f"http://127.0.0.1:{PORT}/health"])


def test_a_unix_socket_is_asked_too(machine: Machine) -> None:
    path = "/run/gate-test/http.sock"
    assert start(machine, f"/usr/bin/env WORKER_SOCKET={path} {INDEX}", listen=f"--socket {path}") == "active"


def test_a_worker_that_dies_fails_the_start_at_once(machine: Machine) -> None:
    assert start(machine, "/usr/bin/sleep 0.5") != "active"
    assert machine.show(UNIT, "Result") != "timeout"


def test_a_worker_that_never_listens_fails_within_the_budget(machine: Machine) -> None:
    assert start(machine, "/usr/bin/sleep 60", budget=0.5) == "failed"
    assert machine.show(UNIT, "Result") == "exit-code"


def test_an_impostor_of_another_user_does_not_make_it_ready(machine: Machine) -> None:
    impostor = ["systemd-run", "--collect", "--unit=gate-impostor", "--service-type=exec"]
    machine.run([*impostor, f"--setenv=WORKER_PORT={PORT}", *INDEX.split()])
    try:
        machine.wait_until(["curl", "-sf", f"http://127.0.0.1:{PORT}/health"])
        assert start(machine, "/usr/bin/sleep 60", budget=0.5) == "failed"
        said = machine.run(["journalctl", "-u", UNIT, "-n", "20", "-o", "cat"]).stdout
        assert "from a process of another user" in said
    finally:
        machine.systemctl("stop", "gate-impostor")
