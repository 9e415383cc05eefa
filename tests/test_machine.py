"""The container machine that the other tests use: a real systemd runs in it, its kernel enforces
the limits, and nothing of it is left.

The last part kills the launcher and the keeper, as a cancelled test run does, and looks for what
they leave behind.
"""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from machine import Machine, MachineError, kernel_file, kernel_limits

TESTS = Path(__file__).parent
LAUNCHER = """
import sys
from machine import Machine
machine = Machine.boot()
print(machine.keeper.pid, machine.pid, flush=True)
sys.stdin.read()
"""
MIB = 1 << 20
END_SECONDS = 30


def test_every_unit_of_the_machine_is_up(machine: Machine) -> None:
    assert machine.systemctl("is-system-running") == "running\n", machine.systemctl("list-units", "--failed")


def test_nothing_of_the_hosts_own_services_runs(machine: Machine) -> None:
    running = machine.systemctl("list-units", "--type=service", "--state=running", "--plain", "--no-legend")
    known = {"dbus.service", "systemd-journald.service", "systemd-logind.service", "polkit.service"}
    assert {line.split()[0] for line in running.splitlines()} <= known


def test_the_journal_is_readable(machine: Machine) -> None:
    machine.run(["systemd-run", "--wait", "--unit=journal-test", "echo", "a line of a unit"])
    assert "a line of a unit" in machine.wait_for_log("journal-test.service", "a line of")
    assert "a line of a unit" in machine.journal("journal-test.service")


def test_from_a_cursor_on_no_line_of_a_unit_is_missing_and_none_is_older(machine: Machine) -> None:
    """Also where its own line is the first one after it."""
    unit, program = "cursor-test.service", "echo older; read line < /run/cursor-test; echo newer; exec sleep 4711"
    machine.run(["mkfifo", "/run/cursor-test"])
    machine.run(["systemd-run", "--quiet", f"--unit={unit}", "sh", "-c", program])
    machine.wait_for_log(unit, "older")
    machine.run(["sh", "-c", "logger --tag other 'of somebody else'; journalctl --sync"])
    since = machine.cursor()
    machine.run(["sh", "-c", "echo now > /run/cursor-test"])
    machine.wait_for_log(unit, "newer")
    assert machine.journal(unit, since).split() == ["newer"]
    machine.systemctl("stop", unit)


@pytest.fixture
def limited(machine: Machine) -> str:
    """A running unit with the three limits."""
    machine.systemctl("reset-failed")
    limits = ["--property=MemoryMax=64M", "--property=CPUQuota=20%", "--property=TasksMax=7"]
    machine.run(["systemd-run", "--unit=limited", "--collect", *limits, "sleep", "infinity"])
    return "limited.service"


def test_the_kernel_has_the_limits_that_systemd_was_given(machine: Machine, limited: str) -> None:
    found = kernel_limits(machine, limited)
    machine.systemctl("stop", limited)
    assert (found.memory_max, found.cpu_quota, found.tasks_max) == (64 * MIB, 0.2, 7)


def test_a_program_is_killed_at_its_memory_limit(machine: Machine) -> None:
    limits = ["--property=MemoryMax=32M", "--property=MemorySwapMax=0"]
    program = ["/usr/bin/python3", "-c", "bytearray(256 << 20)"]
    done = machine.run(["systemd-run", "--wait", "--collect", *limits, *program], check=False)
    assert re.search("result: (oom-kill|signal)", done.stderr), done.stderr  # version 1 does not report who killed it


def test_a_program_can_not_start_more_tasks_than_its_limit(machine: Machine) -> None:
    fork = "import os, signal\nfor _ in range(50):\n if os.fork() == 0: signal.pause()"
    argv = ["systemd-run", "--wait", "--unit=forks", "--property=TasksMax=5", "/usr/bin/python3", "-c", fork]
    assert machine.run(argv, check=False).returncode != 0
    assert "BlockingIOError" in machine.journal("forks.service")
    machine.systemctl("reset-failed", "forks.service")


def test_a_busy_program_is_held_to_its_share_of_a_processor(machine: Machine) -> None:
    busy = ["systemd-run", "--unit=busy", "--collect", "--property=CPUQuota=10%", "sh", "-c", "while :; do :; done"]
    machine.run(busy)
    stat = kernel_file(machine, "busy.service", "CPUQuota").rpartition("/")[0] + "/cpu.stat"
    machine.wait_until(lambda: "nr_throttled 0" not in machine.read(stat))
    machine.systemctl("stop", "busy.service")


@pytest.mark.parametrize("sandbox", ["--property=ProtectSystem=strict", "--property=ProtectHome=tmpfs"])
def test_any_user_in_a_sandbox_can_run_the_checkout(machine: Machine, sandbox: str) -> None:
    argv = ["systemd-run", "--wait", "--pipe", "--quiet", "--collect", "--property=DynamicUser=yes", sandbox]
    assert machine.run([*argv, "tqunits", "--version"]).stdout.startswith("tqunits ")


def test_a_program_runs_as_the_user_asked_for(machine: Machine) -> None:
    assert machine.run(["id", "-un"], user="nobody").stdout == "nobody\n"
    assert machine.run(["id", "-un"]).stdout == "root\n"


def test_a_failed_program_tells_what_it_said(machine: Machine) -> None:
    with pytest.raises(MachineError, match=r"(?s)exit status 3.*out.*err"):
        machine.run(["sh", "-c", "echo out; echo err >&2; exit 3"])


def test_a_program_past_its_time_leaves_no_process(machine: Machine) -> None:
    with pytest.raises(MachineError, match="not done within"):
        machine.run(["sh", "-c", "sleep 4711 & sleep 4711"], timeout=0.2)
    machine.wait_until(lambda: machine.run(["pgrep", "-f", "sleep 4711"], check=False).returncode == 1)


def test_files_go_in_and_out(machine: Machine) -> None:
    machine.write("/var/tmp/some/file", "content\n", 0o600)
    assert machine.run(["stat", "-c", "%a %U", "/var/tmp/some/file"]).stdout == "600 root\n"
    assert machine.read("/var/tmp/some/file") == "content\n"
    machine.remove("/var/tmp/some")
    assert not machine.exists("/var/tmp/some")


def test_its_network_is_its_own_and_reachable_from_a_test(machine: Machine) -> None:
    server = machine.in_network(lambda: socket.create_server(("127.0.0.1", 0)))
    port = server.getsockname()[1]
    with server, machine.connect(port) as inside:
        inside.sendall(b"hello")
        far_end, _ = server.accept()
        with far_end:
            assert far_end.recv(5) == b"hello"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_the_sample_workers_are_roots_and_unbuilt(machine: Machine) -> None:
    found = machine.run(["find", "/srv/tqunits/workers", "!", "-user", "root", "-o", "-path", "*/bin"]).stdout
    assert found == ""


def test_the_checkout_of_the_host_is_not_written(machine: Machine) -> None:
    machine.write("/opt/tqunits/written-in-the-machine", "")
    assert not (TESTS.parent / "written-in-the-machine").exists()
    machine.remove("/opt/tqunits/written-in-the-machine")


@pytest.mark.parametrize("start_again", [Machine.reboot, Machine.cut_power], ids=["reboot", "power cut"])
def test_the_disk_outlives_a_boot_and_the_runtime_folder_does_not(
    fresh_machine: Callable[[], Machine], start_again: Callable[[Machine], None]
) -> None:
    own = fresh_machine()
    own.write("/etc/kept", "kept")
    own.write("/run/lost", "lost")
    before = own.read("/proc/sys/kernel/random/boot_id"), own.read("/etc/machine-id")
    start_again(own)
    assert (own.read("/etc/kept"), own.exists("/run/lost")) == ("kept", False)
    assert own.read("/etc/machine-id") == before[1]
    assert own.systemctl("is-system-running") == "running\n"


def test_two_machines_are_strangers(machine: Machine, fresh_machine: Callable[[], Machine]) -> None:
    other = fresh_machine()
    other.write("/etc/mine", "")
    assert not machine.exists("/etc/mine")
    assert machine.read("/etc/machine-id") != other.read("/etc/machine-id")


@pytest.mark.machine
@pytest.mark.parametrize("victim", ["launcher", "keeper"])
def test_nothing_is_left_when_it_is_killed(victim: str, machine: Machine) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert launcher.stdout is not None
    keeper, init = map(int, launcher.stdout.readline().split())
    ends = [os.pidfd_open(pid) for pid in (keeper, init)]
    os.kill(launcher.pid if victim == "launcher" else keeper, signal.SIGKILL)
    for end in ends:
        assert select.select([end], [], [], END_SECONDS)[0], "it still runs"
        os.close(end)
    launcher.kill()
    launcher.communicate()
    if victim == "keeper":  # the killed keeper could not remove its cgroups; the next machine does
        Machine.boot().stop()
    assert _cgroups_of(keeper) == []


def _cgroups_of(keeper: int) -> list[str]:
    found = []
    for folder, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{folder}/{name}" for name in folders if name == f"tqunits-machine-{keeper}"]
    return found


def test_a_chroot_is_told_what_it_lacks(tmp_path: Path) -> None:
    inside = f"cd {TESTS} && exec {sys.executable} -m machine.demo"
    script = 'mount --rbind / "$1" && exec chroot "$1" sh -c "$2"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), inside],
        capture_output=True, text=True, timeout=END_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "enter that tree with systemd-nspawn" in done.stderr
