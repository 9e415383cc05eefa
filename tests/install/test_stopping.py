"""How a worker is stopped, asked to reload its configuration, and watched by the watchdog."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import PROBE, ROOT, Site

UNIT = "tq-worker@alpha.service"

GO = "/var/lib/tqunits/workers/alpha/go"
"""A FIFO. When the program ends, it waits until somebody writes to the FIFO."""

GRACEFUL = """\
import os, signal, socket

listening = socket.create_server(("127.0.0.1", int(os.environ["WORKER_PORT"])))
go = os.path.join(os.environ["STATE_DIRECTORY"], "go")
os.path.exists(go) or os.mkfifo(go)
told = []


class Stop(Exception):
    pass


def stop(number, _):
    told.append(number)  # first: the next signal may come while this one is told of
    if len(told) == 1:
        print("begin", signal.Signals(number).name, flush=True)
        raise Stop


try:
    for name in ("SIGTERM", "SIGINT", "SIGQUIT", "SIGWINCH", "SIGUSR2"):
        signal.signal(getattr(signal, name), stop)
    while True:
        client, _ = listening.accept()
        client.settimeout(2)
        client.recv(4096)
        client.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: 2\\r\\n\\r\\nok")
        client.close()
except Stop:
    open(go).read()
    print("end", flush=True)
"""

WRAPPERS = {
    "shell": ("[sh, run.sh]", "export MODE=x\npython3 src/main.py\n"),  # ends at once, and forwards no signal
    "script": ("[sh, -c, 'python3 src/main.py; exit $?']", ""),
    "forwards": (  # as `npm start` and tini do: it forwards the signal to its child, and waits
        "[python3, run.sh]",
        (
            "import signal, subprocess, sys\n"
            "child = subprocess.Popen([sys.executable, 'src/main.py'])\n"
            "signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))\n"
            "sys.exit(child.wait())\n"
        ),
    ),
}

MASTER = """\
import os, signal, socket

STOPS = (signal.SIGTERM, signal.SIGINT)
listening = socket.create_server(("127.0.0.1", int(os.environ["WORKER_PORT"])))
go = os.path.join(os.environ["STATE_DIRECTORY"], "go")
os.path.exists(go) or os.mkfifo(go)
held, masters = os.pipe()


class Stop(Exception):
    pass


def stop(*_):
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise Stop


def serve():
    os.close(masters)
    try:
        for number in STOPS:
            signal.signal(number, stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        while True:
            client, _ = listening.accept()
            client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: 2\\r\\n\\r\\nok")
            client.close()
    except Stop:
        os.read(held, 1)  # what is under way, until its master lets go
        print("child ends", flush=True)
        os._exit(0)


signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
children = [pid for _ in range(2) if (pid := os.fork()) or serve()]
signal.sigwait(STOPS)
for child in children:
    os.kill(child, signal.SIGTERM)
open(go).read()
os.close(masters)
for child in children:
    os.waitpid(child, 0)
print("master ends", flush=True)
"""


Heard = Callable[[], str]


@pytest.fixture
def heard(site: Site) -> Heard:
    """The messages of the unit since the test began."""
    since = site.machine.cursor()

    def read() -> str:
        site.machine.run(["journalctl", "--sync"])
        return site.machine.journal(UNIT, since)

    return read


def lay_down(site: Site, command: str, script: str, yaml: str = "") -> None:
    site.yaml("alpha", f"path: /alpha\ntype: python\ncommand: {command}\n{yaml}")
    site.machine.write(f"{ROOT}/workers/alpha/run.sh", script)
    site.machine.write(f"{ROOT}/workers/alpha/src/main.py", GRACEFUL)


def let_go(site: Site) -> None:
    """The request in flight ends, and then the worker. The shell waits until somebody reads; a
    killed shell would not."""
    site.machine.run(["timeout", "20", "sh", "-c", f"echo > {GO}"])
    site.machine.wait_until(lambda: site.machine.show(UNIT, "ActiveState") != "deactivating")


@pytest.mark.short("shell")
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_program_behind_a_wrapper_ends_as_it_likes(site: Site, heard: Heard, wrapper: str) -> None:
    lay_down(site, *WRAPPERS[wrapper])
    site.install()
    site.machine.systemctl("stop", "--no-block", UNIT)
    site.machine.wait_until(lambda: "begin SIGTERM" in heard())
    if wrapper != "forwards":  # the main process is the shell
        site.machine.wait_until(lambda: site.machine.show(UNIT, "MainPID") == "0")
    assert site.machine.show(UNIT, "ActiveState") == "deactivating"
    let_go(site)
    journal = heard()
    assert "begin SIGTERM" in journal
    assert "end" in journal.split("begin SIGTERM", 1)[1].split()
    assert "SIGKILL" not in journal
    assert site.machine.show(UNIT, "Result") == "success"


@pytest.mark.parametrize("mode", ["control-group", "mixed"])
def test_a_master_and_its_processes_end_in_either_mode(site: Site, heard: Heard, mode: str) -> None:
    site.worker("alpha", f"kill_mode: {mode}\n", program=MASTER)
    site.install()
    site.machine.systemctl("stop", "--no-block", UNIT)
    let_go(site)
    journal = heard()
    assert journal.count("child ends") == 2
    assert "master ends" in journal
    assert "SIGKILL" not in journal
    assert site.machine.show(UNIT, "ActiveState") == "inactive"


def test_mixed_tells_the_main_process_alone(site: Site, heard: Heard) -> None:
    lay_down(site, *WRAPPERS["shell"], "kill_mode: mixed\n")
    site.install()
    site.machine.systemctl("stop", UNIT)
    assert "begin" not in heard()


@pytest.mark.short("SIGQUIT")
@pytest.mark.parametrize("signal", ["SIGINT", "SIGQUIT", "SIGWINCH"])
def test_the_signal_that_asks_it_to_stop_can_be_another(site: Site, heard: Heard, signal: str) -> None:
    site.worker("alpha", f"stop_signal: {signal}\n", program=GRACEFUL)
    site.install()
    site.machine.systemctl("stop", "--no-block", UNIT)
    let_go(site)
    assert f"begin {signal}" in heard()
    assert site.machine.show(UNIT, "ActiveState") == "inactive"


def test_who_dies_of_the_stop_signal_has_not_failed(site: Site, heard: Heard) -> None:
    site.worker("alpha", "stop_signal: SIGQUIT\nrestart: {policy: on-failure}\n")
    site.install()
    site.machine.systemctl("stop", UNIT)
    assert site.machine.show(UNIT, "Result") == "success"


@pytest.mark.long
def test_how_it_ends_and_comes_back_changes_without_a_restart(site: Site, heard: Heard) -> None:
    site.worker("alpha")
    site.install()
    pid = site.machine.show(UNIT, "MainPID")
    site.worker(
        "alpha",
        "kill_mode: mixed\nstop_signal: SIGINT\nreload: SIGHUP\n"
        "timeouts: {stop: 7s}\nrestart: {delay: 3s, policy: on-failure}\n",
    )
    site.install()
    assert site.machine.show(UNIT, "MainPID") == pid
    found = site.machine.systemctl("show", UNIT, "-p", "KillMode", "-p", "KillSignal", "-p", "TimeoutStopUSec")
    assert set(found.split()) == {"KillMode=mixed", "KillSignal=2", "TimeoutStopUSec=7s"}
    assert "nothing to do" in site.install()


RELOADS = PROBE.replace(
    "def main() -> None:\n",
    'def main() -> None:\n    signal.signal(signal.SIGHUP, lambda *_: print("read again", flush=True))\n',
)


def test_reload_sends_the_signal_and_keeps_the_process(site: Site, heard: Heard) -> None:
    assert RELOADS != PROBE
    site.worker("alpha", "reload: SIGHUP\n", program=RELOADS)
    site.worker("beta")
    site.install()
    pid = site.machine.show(UNIT, "MainPID")
    site.run("reload", "alpha")
    site.machine.wait_until(lambda: heard().count("read again") == 1)
    site.machine.systemctl("reload-or-restart", UNIT)
    site.machine.wait_until(lambda: heard().count("read again") == 2)
    assert site.machine.show(UNIT, "MainPID") == pid
    assert site.get("/alpha/health") == (200, "ok")
    said = site.run("reload", "beta", status=1)
    assert "beta: has no `reload`" in said
    assert "tqunits restart beta" in said
    assert "alpha" not in site.run("reload", "--all")  # prints nothing where all went well, and does not touch beta
    site.machine.wait_until(lambda: heard().count("read again") == 3)
    site.run("stop", "alpha")
    assert "alpha: does not run" in site.run("reload", "alpha", status=1)


HANG = "/var/lib/tqunits/workers/alpha/hang"
HANGS = """\
import os, select, signal, socket

TOLD = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listening = socket.create_server(("127.0.0.1", int(os.environ["WORKER_PORT"])))
hang = os.path.join(os.environ["STATE_DIRECTORY"], "hang")
half = int(os.environ["WATCHDOG_USEC"]) / 2e6  # sd_watchdog_enabled(3): say it every half of the time
TOLD.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
beats = 0
while not os.path.exists(hang):
    TOLD.sendto(b"WATCHDOG=1", os.environ["NOTIFY_SOCKET"])
    print("beat", beats, flush=True)
    beats += 1
    select.select([listening], [], [], half)
os.unlink(hang)
signal.pause()
"""


def test_a_program_that_hangs_is_started_again_by_the_watchdog(site: Site, heard: Heard) -> None:
    site.worker("alpha", "service_type: notify\nwatchdog: 1s\nrestart: {delay: 50ms}\n", program=HANGS)
    site.install()
    pid = site.machine.show(UNIT, "MainPID")
    site.machine.wait_until(lambda: "beat 4" in heard())  # it has run for two watchdog intervals
    site.machine.write(HANG, "")
    site.machine.wait_until(
        lambda: (
            site.machine.show(UNIT, "MainPID") not in {pid, "0"} and site.machine.show(UNIT, "ActiveState") == "active"
        )
    )
    assert site.machine.show(UNIT, "NRestarts") == "1"
    assert "watchdog" in heard().lower()
    exits = site.run("show", "alpha")
    assert "stopped answering systemd's watchdog" in exits
