"""The virtual machine that the other tests use: it runs programs, a power cut loses exactly what
was not flushed, and nothing of it is left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from machine import MachineError

from .conftest import Boot
from .folders import run_folder
from .guest import VirtualMachine
from .image import Image

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

TESTS = Path(__file__).parents[1]
MIB = 1 << 20
END_SECONDS = 30
LAUNCHER = """
import sys
from pathlib import Path
from vm.folders import run_folder
from vm.guest import VirtualMachine
from vm.image import Image
with run_folder() as folder:
    machine = VirtualMachine.boot(Image(Path(sys.argv[1])), folder)
    print(machine.pid, folder, flush=True)
    sys.stdin.read()
"""
WRITE = """
import os, sys
for name in "flushed", "written":
    with open(f"/var/tmp/{name}.new", "wb") as file:
        file.write(name.encode() * 1000)
        if name == "flushed":
            file.flush()
            os.fsync(file.fileno())
    os.rename(f"/var/tmp/{name}.new", f"/var/tmp/{name}")
    if name == "flushed":
        os.fsync(os.open("/var/tmp", os.O_RDONLY))
"""


@pytest.fixture(scope="module")
def vm(boot: Boot) -> VirtualMachine:
    """One machine for all tests; each leaves it running."""
    return boot()


def test_programs_run_and_files_go_in_and_out(vm: VirtualMachine) -> None:
    assert vm.await_boot() == "running", vm.systemctl("list-units", "--failed")
    assert vm.run(["cat"], input="in\n").stdout == "in\n"
    assert vm.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False, merge=True).stdout == "out\nerr\n"
    assert vm.run(["id", "-un"], user="nobody").stdout == "nobody\n"
    with pytest.raises(MachineError, match=r"(?s)exit status 3.*out.*err"):
        vm.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    with pytest.raises(MachineError, match="exit status 127"):
        vm.run(["/nowhere"])
    content = bytes(range(256)) * 4 * 1024
    vm.write("/var/tmp/a b/file", content, 0o600)
    assert vm.run(["stat", "-c", "%a %U %s", "/var/tmp/a b/file"]).stdout == f"600 root {MIB}\n"
    vm.remove("/var/tmp/a b")
    assert not vm.exists("/var/tmp/a b")
    with pytest.raises(MachineError, match="not done within"):
        vm.run(["sh", "-c", "sleep 4711 & sleep 4711"], timeout=0.5)
    assert vm.run(["pgrep", "-f", "sleep 4711"], check=False).returncode == 1
    long = vm.begin(["sleep", "infinity"], timeout=5)
    assert not vm.has_finished(long, 0.1)
    assert vm.run(["echo", "meanwhile"]).stdout == "meanwhile\n"
    assert vm.has_finished(long, 60)


def test_it_has_the_second_version_of_cgroups_and_all_its_controllers(vm: VirtualMachine) -> None:
    assert {"cpu", "io", "memory", "pids"} <= set(vm.read("/sys/fs/cgroup/cgroup.controllers").split())


def test_a_reboot_keeps_the_disk_and_empties_run(vm: VirtualMachine) -> None:
    vm.write("/etc/kept", "kept")
    vm.write("/run/lost", "lost")
    before = vm.read("/proc/sys/kernel/random/boot_id"), vm.read("/etc/machine-id")
    vm.reboot()
    assert (vm.read("/etc/kept"), vm.exists("/run/lost")) == ("kept", False)
    assert vm.read("/etc/machine-id") == before[1]
    assert vm.read("/proc/sys/kernel/random/boot_id") != before[0]


def test_a_power_cut_loses_what_was_not_flushed_and_nothing_else(vm: VirtualMachine) -> None:
    """Otherwise the tests of power cuts would prove too little, or too much."""
    vm.run(["python3", "-c", WRITE])
    vm.cut_power()
    vm.power_on()
    assert vm.read("/var/tmp/flushed") == "flushed" * 1000
    assert not vm.exists("/var/tmp/written") or vm.read("/var/tmp/written") == ""


def test_an_overlay_leaves_the_disk_below_as_it_is(vm: VirtualMachine, boot: Boot) -> None:
    vm.write("/etc/first", "")
    vm.power_off()
    with boot(vm.disk) as other:
        assert other.exists("/etc/first")
        other.write("/etc/second", "")
        other.power_off()
    vm.power_on()
    assert not vm.exists("/etc/second")


def test_who_waits_for_a_guest_that_panics_is_told_at_once(vm: VirtualMachine) -> None:
    with pytest.raises(MachineError, match="the guest is gone"):
        vm.run(["sh", "-c", "echo c >/proc/sysrq-trigger; sleep infinity"], timeout=600)
    vm.power_on()
    assert vm.run(["echo", "again"]).stdout == "again\n"


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_nothing_outlives_who_has_started_it(image: Image, ending: signal.Signals) -> None:
    argv = [sys.executable, "-c", LAUNCHER, str(image.folder)]
    with subprocess.Popen(argv, cwd=TESTS, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        pid, folder = launcher.stdout.readline().split()
        end = os.pidfd_open(int(pid))
        launcher.send_signal(ending)
    assert select.select([end], [], [], END_SECONDS)[0], "it still runs"
    os.close(end)
    with run_folder():
        assert not Path(folder).exists()
