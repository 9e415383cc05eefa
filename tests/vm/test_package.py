"""The package in a virtual machine: apt installs it, the kernel enforces the limits of workers, and
a reboot starts what is enabled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from deb.package import version_of
from install.folder import ROOT
from machine import kernel_file

from tqunits import __version__

from .conftest import VirtualHost

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

MIB = 1 << 20
LIMITS = {
    "memory_max: 128M": ("MemoryMax", f"{128 * MIB}"),
    "memory_high: 96M": ("MemoryHigh", f"{96 * MIB}"),
    "cpu_weight: 50": ("CPUWeight", "50"),
    "cpu_quota: 40%": ("CPUQuota", "40000 100000"),
    "io_weight: 200": ("IOWeight", "default 200"),
    "tasks_max: 99": ("TasksMax", "99"),
}
"""A line of `limits` -> the directive, and the content of the kernel's file (cgroup-v2.rst)."""

FIRST = "/var/lib/first-requests"
NAMES = ("alpha", "beta")
ASK = [word for name in NAMES for word in ("--output", "/dev/null", f"http://127.0.0.1:8080/{name}/health")]
FIRST_REQUESTS = f"""[Unit]
Description=Requests as soon as there is a socket to connect to
DefaultDependencies=no
After=tq-proxy.socket
[Service]
Type=exec
ExecStart=/usr/bin/curl --silent --show-error --parallel --max-time 120 --write-out '%%{{http_code}}\\n' {" ".join(ASK)}
StandardOutput=truncate:{FIRST}
RemainAfterExit=yes
[Install]
WantedBy=sockets.target
"""


def test_apt_installs_it_from_a_file_and_the_router_answers(host: VirtualHost, deb: Path) -> None:
    assert host.installed_version() == version_of(deb)
    assert host.run("--version") == f"tqunits {__version__}\n"
    assert host.machine.systemctl("is-active", "tq-proxy.socket", "tq-proxy@1.service").split() == ["active"] * 2
    status, page = host.get("/nobody-has-this-route")
    assert status == 404, page


def test_a_worker_beyond_memory_max_ends_by_the_kernels_hand(host: VirtualHost) -> None:
    """On version 1 of cgroups systemd sees a signal, and does not know its sender."""
    host.worker("greedy", "limits: {memory_max: 64M}\nrestart: {policy: no}\n")
    host.install()
    unit = "tq-worker@greedy.service"
    assert host.get("/greedy/allocate?of=16")[0] == 200
    assert host.get("/greedy/allocate?of=256")[0] == 502
    host.machine.wait_until(lambda: host.machine.show(unit, "ActiveState") == "failed")
    assert host.machine.show(unit, "Result") == "oom-kill"
    assert "memory_max" in host.run("why", "greedy", status=1)


def test_the_kernel_has_the_limits_that_the_yaml_asks_for(host: VirtualHost) -> None:
    host.worker("modest", f"limits: {{{', '.join(LIMITS)}}}\n")
    host.install()
    found = {
        name: host.machine.read(kernel_file(host.machine, "tq-worker@modest.service", name)).splitlines()[0]
        for name, _ in LIMITS.values()
    }
    assert found == dict(LIMITS.values())


def test_a_reboot_brings_up_what_is_enabled_and_holds_the_first_requests(
    host: VirtualHost, figure: Callable[[str], None]
) -> None:
    machine = host.machine
    machine.run(["sh", "-c", f"rm -rf {ROOT}/workers/*"])
    for name in (*NAMES, "unwanted", "switched-off"):
        host.worker(name, "enabled: false\n" if name == "unwanted" else "")
    host.run("apply", timeout=300)
    machine.systemctl("disable", "tq-worker@switched-off.service")
    machine.systemctl("stop", "tq-worker@beta.service")
    assert host.running_workers() == {"alpha", "switched-off"}
    machine.write("/etc/systemd/system/first-requests.service", FIRST_REQUESTS)
    machine.systemctl("enable", "first-requests.service")
    machine.reboot()
    state = machine.await_boot()
    assert state == "running", machine.systemctl("list-units", "--failed")
    assert host.running_workers() == set(NAMES)
    machine.wait_until(lambda: machine.read(FIRST).split() == ["200", "200"])
    asked = moment(host, "first-requests.service", "ExecMainStart")
    served = [moment(host, f"tq-worker@{name}.service", "Active") for name in NAMES]
    router = moment(host, "tq-proxy@1.service", "Active")
    assert asked < min(*served, router)
    figure(f"reboot: agent after {machine.boot_seconds:.1f} s; requests {min(served) - asked:.1f} s before a worker")


def moment(host: VirtualHost, unit: str, name: str) -> float:
    """In seconds since the kernel's start."""
    suffix = "Timestamp" if name == "ExecMainStart" else "EnterTimestamp"
    return int(host.machine.show(unit, f"{name}{suffix}Monotonic")) / 1e6
