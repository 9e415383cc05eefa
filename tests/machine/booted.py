"""A machine as the host uses it: the API for tests and the demo. `Machine.boot()` starts a machine,
`with` ends it.

nsenter(1) runs programs in the machine, in a cgroup of the machine that belongs to no unit, with a
clean environment. We can kill their process group, so a program that exceeds its time leaves
nothing behind in the machine.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from . import cgroups, kernel
from .host import ENVIRONMENT, Call, Host, MachineError, describe

Made = TypeVar("Made")

CHECKOUT = Path(__file__).resolve().parents[2]
TREE = Path(os.environ.get("TQUNITS_TEST_ROOT", "/")).resolve()  # .ci/root makes one of another Debian
BOOT_SECONDS = 120.0  # it takes 2 s; an emulated processor under load takes far longer, and a hang must still end
STOP_SECONDS = 30.0

NO_USER_NAMESPACES = """the kernel makes no user namespaces here, and the sandboxes of the workers need them:
in a chroot it never does (unshare(2), EPERM): enter that tree with systemd-nspawn, which makes it a root of its own;
else see `sysctl user.max_user_namespaces`"""


class Machine(Host):
    """A booted systemd in a container; `root` is the machine's tree as the host sees it."""

    def __init__(self, keeper: subprocess.Popen[bytes]) -> None:
        self.keeper = keeper
        self.pid = 0
        self._entries: list[str] = []
        self._reports = b""
        self._is_detached = False

    @classmethod
    def boot(cls, checkout: Path = CHECKOUT, tree: Path = TREE) -> Self:
        """Boot a machine over a tree, by default the host's; root only. Raises MachineError with
        the console's text."""
        if os.geteuid() != 0:
            raise MachineError("a machine of our own needs root (namespaces, cgroups, mounts): run this as root")
        if subprocess.run(["unshare", "--user", "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
            raise MachineError(NO_USER_NAMESPACES)
        machine = cls(_start_keeper(checkout, tree))
        try:
            machine._boot()
        except BaseException:
            machine.stop()
            raise
        return machine

    @property
    def root(self) -> Path:
        """The machine's root folder, for access from the host. Absolute links in it lead to the
        host's files."""
        return Path(f"/proc/{self.pid}/root")

    # Running programs

    def perform(self, call: Call) -> subprocess.CompletedProcess[str]:
        stderr = subprocess.STDOUT if call.merge else subprocess.PIPE
        stdin = subprocess.DEVNULL if call.input is None else subprocess.PIPE
        with self.start(call.argv, user=call.user, env=call.env, stdin=stdin, stderr=stderr) as process:
            try:
                out, err = process.communicate(call.input, call.timeout)
            except subprocess.TimeoutExpired:
                _kill_group(process)
                out, err = process.communicate()
                raise MachineError(describe(call.argv, f"not done within {call.timeout:g} s", out, err)) from None
        return subprocess.CompletedProcess(list(call.argv), process.returncode, out, err)

    def start(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a program and return at once. `with` waits for its end; `terminate` ends it and its
        children."""
        return subprocess.Popen(
            self.command(argv, user=user),
            env={**ENVIRONMENT, **(env or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def command(self, argv: Sequence[str], *, user: str | None = None) -> list[str]:
        """The command line on the host that runs `argv` in the machine."""
        into = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]
        become = self._become(user) if user is not None else []
        return cgroups.joining(self._entries, [*into, *become, *argv])

    # Files

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        target = self._path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        target.chmod(mode)

    def read(self, path: str) -> str:
        return self._path(path).read_text(encoding="utf-8", errors="replace")

    def exists(self, path: str) -> bool:
        return os.path.lexists(self._path(path))

    def _path(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def wait_for_log(self, unit: str, text: str, *, timeout: float = 30.0, since_start: bool = True) -> str:
        """Wait for a line of the unit's journal that contains `text`; returns the line."""
        argv = ["journalctl", "--follow", "--output=cat", f"--unit={unit}", "-n", "all" if since_start else "0"]
        process = self.start(argv, stderr=subprocess.DEVNULL)
        watchdog = threading.Timer(timeout, _kill_group, (process,))
        watchdog.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if text in line:
                    return line.removesuffix("\n")
        finally:
            watchdog.cancel()
            terminate(process)
        raise MachineError(f"{unit} did not log {text!r} within {timeout:g} s\n{self.journal_tail(unit)}")

    # The network

    def connect(self, port: int, host: str = "127.0.0.1", *, timeout: float = 10.0) -> socket.socket:
        """A TCP connection from inside the machine's network, usable in this process."""
        return self.in_network(lambda: socket.create_connection((host, port), timeout))

    def in_network(self, make: Callable[[], Made]) -> Made:
        """Call `make` in a thread that is in the machine's network. A socket that it makes stays in
        that network."""

        def enter_and_make() -> Made:
            kernel.enter_network(self.pid)
            return make()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(enter_and_make).result()

    # Power

    def reboot(self) -> None:
        """An orderly reboot: units are stopped, /run and /tmp are new, the disk is kept."""
        self.run(["systemctl", "reboot"], check=False)
        self._await_exit()
        self._boot()

    def cut_power(self) -> None:
        """Kill every process at once, as a power cut does; then boot again over the same disk."""
        os.kill(self.pid, signal.SIGKILL)
        self._await_exit()
        self._boot()

    def detach(self) -> None:
        """Let the machine run without this process, until it is powered off or its keeper gets a
        SIGTERM."""
        self._tell("detach")
        self._is_detached = True

    def stop(self) -> None:
        """End the machine at once, and discard its disk; a detached machine stays."""
        if self._is_detached:
            return
        assert self.keeper.stdin is not None
        self.keeper.stdin.close()
        try:
            self.keeper.wait(STOP_SECONDS)
        finally:
            self.keeper.kill()
            self.keeper.wait()

    def _boot(self) -> None:
        self._tell("boot")
        match self._report(BOOT_SECONDS):
            case {"booted": int(pid), "entries": list(entries)}:
                self.pid, self._entries = pid, [str(entry) for entry in entries]
            case {"console": str(console), **rest}:
                raise MachineError(f"the machine did not boot: {rest}\n{console}")
            case report:
                raise MachineError(f"the machine did not boot: {report}")

    def _await_exit(self) -> None:
        report = self._report(BOOT_SECONDS)
        if "exited" not in report:
            raise MachineError(f"the machine did not end: {report}")

    def _tell(self, command: str) -> None:
        assert self.keeper.stdin is not None
        self.keeper.stdin.write(command.encode() + b"\n")
        self.keeper.stdin.flush()

    def _report(self, timeout: float) -> dict[str, object]:
        """The next line from the keeper."""
        assert self.keeper.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._reports:
            ready, _, _ = select.select([self.keeper.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self.keeper.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise MachineError("the machine's keeper has ended" if ready else f"no machine within {timeout:g} s")
            self._reports += data
        line, _, self._reports = self._reports.partition(b"\n")
        return dict(json.loads(line))


def terminate(process: subprocess.Popen[str]) -> None:
    """End a program of `Machine.start` and its children at once."""
    _kill_group(process)
    process.communicate()


def _kill_group(process: subprocess.Popen[str]) -> None:
    """The process group is the same inside and outside; killing nsenter alone would leave the
    program running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _start_keeper(checkout: Path, tree: Path) -> subprocess.Popen[bytes]:
    private = ["unshare", "--mount", "--propagation", "private"]
    argv = [*private, sys.executable, "-m", "machine.keeper", str(checkout), str(tree)]
    return subprocess.Popen(
        [*_scope(), *argv],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def _scope() -> list[str]:
    """On a host with systemd and version 2: a scope of our own, in which systemd leaves the cgroups
    to us."""
    if Path("/run/systemd/system").is_dir() and Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return ["systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes"]
    return []
