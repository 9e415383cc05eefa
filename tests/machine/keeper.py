"""The keeper of one machine: a process that ends with its machine and, unless detached, with its
launcher.

It holds the machine's disk (a tmpfs in a mount namespace of its own, so a machine may be booted
again over what it has written), its console and its cgroups. Started as
`unshare --mount python3 -m machine.keeper CHECKOUT TREE`.

Commands on standard input, a word per line: boot, detach, stop. The end of the input is `stop`,
unless detached. Reports on standard output, a JSON object per line: `{"booted": PID, "entries":
[...]}`, `{"exited": STATUS}`, `{"failed": WHY, "console": TEXT}`. If the launcher is killed the
input ends, and the machine with it. If the keeper is killed the kernel kills the machine
(PR_SET_PDEATHSIG); the empty cgroups that then stay are removed by the next keeper.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

from . import cgroups, kernel

CONSOLE_BYTES = 64 * 1024  # enough for all output of systemd in a failed boot
STAGES = ("/mnt", "/media", "/srv", "/run")  # every Debian has them; the checkout or the tree may be below one
NAMESPACES = ("--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--kill-child=SIGKILL")


class Keeper:
    def __init__(self, checkout: Path, tree: Path) -> None:
        self._checkout, self._tree = checkout, tree
        self._stage = _make_stage(checkout, tree)
        self._hierarchies = cgroups.mount_all(self._stage / "cgroup")
        cgroups.sweep(self._hierarchies)
        self._folders = cgroups.make(self._hierarchies, f"{cgroups.NAME}{os.getpid()}")
        self._identity = uuid.uuid4().hex
        self._events = selectors.DefaultSelector()
        self._commands = b""
        self._console = b""
        self._init: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._ready = False
        self._detached = False
        self._terminal, self._far_end = os.openpty()
        os.set_blocking(self._terminal, False)
        self._events.register(self._terminal, selectors.EVENT_READ, self._read_console)
        self._events.register(0, selectors.EVENT_READ, self._read_commands)

    def serve(self) -> None:
        """Run until the command `stop`, until the launcher has ended, or until the detached machine
        has powered itself off."""
        try:
            while True:
                for key, _ in self._events.select():
                    key.data()
        finally:
            self._kill()
            cgroups.release(self._hierarchies, self._folders)

    def _read_commands(self) -> None:
        data = os.read(0, 4096)
        if not data:
            self._events.unregister(0)
            if not self._detached:
                sys.exit(0)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            match line:
                case b"boot":
                    self._boot()
                case b"detach":
                    self._detached = True
                    _let_go_of_the_terminal()
                case _:
                    sys.exit(0)

    def _read_console(self) -> None:
        try:
            self._console = (self._console + os.read(self._terminal, 65536))[-CONSOLE_BYTES:]
        except BlockingIOError:
            return

    def _boot(self) -> None:
        cgroups.renew(self._folders)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._init = self._start(notify)
        self._exit = os.pidfd_open(self._init.pid)
        self._notify = notify
        self._events.register(notify, selectors.EVENT_READ, self._read_notification)
        self._events.register(self._exit, selectors.EVENT_READ, self._reap)

    def _start(self, notify: socket.socket) -> subprocess.Popen[bytes]:
        plan = {
            "stage": str(self._stage),
            "checkout": str(self._checkout),
            "tree": str(self._tree),
            "notify": notify.fileno(),
            "identity": self._identity,
            "roots": _roots(self._folders),
            "hierarchies": [h.options for h in self._hierarchies],
            "console": os.ttyname(self._far_end),
        }
        # The machine's cgroups become the roots of its namespace. Then processes that are not the
        # machine's own are moved to a leaf: systemd treats a process in its root that it can not
        # see as an error, and version 2 does not allow one there.
        inside = ["unshare", *NAMESPACES, sys.executable, "-m", "machine.root", json.dumps(plan)]
        aside = ["unshare", "--cgroup", *cgroups.joining(cgroups.entries(self._folders), inside)]
        tied = ["setpriv", "--pdeathsig", "KILL", *aside]
        return subprocess.Popen(
            cgroups.joining(_roots(self._folders), tied),
            stdin=subprocess.DEVNULL,
            stdout=self._far_end,
            stderr=self._far_end,
            pass_fds=(notify.fileno(),),
        )

    def _read_notification(self) -> None:
        for line in self._notify.recv(4096).decode().splitlines():
            if line.startswith("MAINPID="):
                self._pid = int(line.removeprefix("MAINPID="))
            elif line == "READY=1" and not self._ready:  # systemd reports it again after daemon-reexec
                self._ready = True
                entries = cgroups.entries(self._folders)
                _report({"booted": self._pid, "entries": [f"/proc/{os.getpid()}/root{path}" for path in entries]})

    def _reap(self) -> None:
        """The machine has ended. By SIGHUP: a reboot; by SIGINT: off (reboot(2), "Behavior inside
        PID namespaces")."""
        status = self._forget()
        _report({"exited": status, "console": self._console.decode(errors="replace")})
        if self._detached:
            sys.exit(0)

    def _kill(self) -> None:
        if self._init is not None:
            if self._pid:
                os.kill(self._pid, signal.SIGKILL)
            else:
                self._init.kill()
            self._forget()

    def _forget(self) -> int:
        assert self._init is not None
        self._events.unregister(self._exit)
        self._events.unregister(self._notify)
        os.close(self._exit)
        self._notify.close()
        status = self._init.wait()
        self._init, self._pid, self._ready = None, 0, False
        return status


def _roots(folders: tuple[Path, ...]) -> list[str]:
    return [f"{folder}/cgroup.procs" for folder in folders]


def _make_stage(checkout: Path, tree: Path) -> Path:
    """The disk: a tmpfs in our own mount namespace, so nothing of it outlives the keeper."""
    taken = checkout, tree
    stage = next(Path(s) for s in STAGES if Path(s).is_dir() and not any(t.is_relative_to(s) for t in taken))
    kernel.mount("tmpfs", str(stage), "tmpfs", kernel.MS_NOSUID, "mode=755")
    return stage


def _let_go_of_the_terminal() -> None:
    """A reader of the launcher's output waits until all writers have closed it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in 1, 2:
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _report(message: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody reads the reports of a detached keeper
        os.write(1, json.dumps(message).encode() + b"\n")


def _on_signal(number: int, _: object) -> None:
    sys.exit(128 + number)


def main() -> None:
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        Keeper(Path(sys.argv[1]), Path(sys.argv[2])).serve()
    except OSError as error:
        _report({"failed": str(error)})
        raise


if __name__ == "__main__":
    main()
