"""The router under systemd: several processes that share a socket, their state and watchdog, their
sandbox, their log."""

from __future__ import annotations

import json
import re
import socket
from hashlib import sha256
from typing import Any

import pytest

from .conftest import LISTEN, ROOT, Site, sync_access_log
from .control import ECHO, TWO, control, control_socket, echo, held, in_flight, pid, served, signal
from .hammering import RUDE, check, hammered, rude

MEBIBYTE = 1 << 20
OVERRIDES = "/etc/systemd/system/tq-proxy@.service.d"
TEMPLATE = "/etc/tqunits/unit-templates/tq-proxy-control@.socket.j2"
SERVING = "/run/tqunits/workers/alpha/serving"
LOG = ("journalctl", "--boot", "--no-pager", "--output=json", "--namespace=tq-access")


def descriptors(site: Site) -> list[str]:
    """What the descriptors of the first router process refer to."""
    folder = f"/proc/{pid(site, 'tq-proxy@1.service')}/fd"
    return site.machine.run(["find", folder, "-type", "l", "-printf", "%l\\n"]).stdout.splitlines()


def log(site: Site) -> list[dict[str, Any]]:
    """The access log of the first router process, since its start."""
    sync_access_log(site.machine)
    return [json.loads(line) for line in site.machine.run([*LOG, this_run(site)]).stdout.splitlines()]


def this_run(site: Site) -> str:
    """The arguments that select the entries of the first router process since its start
    (journalctl(1))."""
    return f"_SYSTEMD_INVOCATION_ID={site.machine.show('tq-proxy@1.service', 'InvocationID')}"


def test_two_processes_serve_one_socket_and_are_restarted_one_by_one(site: Site) -> None:
    site.server(TWO)
    rude(site)
    with hammered(site, 40) as report:
        for process, other in ((1, 2), (2, 1), (1, 2), (2, 1)):
            site.machine.systemctl("restart", f"tq-proxy@{process}")
            site.machine.wait_until(lambda other=other: served(site, other) > 0)  # type: ignore[misc]
    check(site, report)


def test_processes_come_and_go_by_install_and_nothing_is_lost(site: Site) -> None:
    rude(site)
    with hammered(site, 20) as report:
        site.server(TWO)
        assert "start tq-proxy@2.service" in site.install()
        site.machine.systemctl("restart", "tq-proxy@1")  # its clients connect again, to any process that accepts
        site.machine.wait_until(lambda: served(site, 2) > 0)
        site.server("")
        site.install()
        assert site.machine.show("tq-proxy@2.service", "ActiveState") == "inactive"
        assert site.machine.show("tq-proxy-control@2.socket", "ActiveState") == "inactive"
        assert not site.machine.exists(control_socket(2))
    check(site, report)
    assert "nothing to do" in site.install()


def test_a_process_that_starts_does_not_hold_up_the_others(site: Site) -> None:
    """What systemd does to the sockets before it starts a process affects all processes. Another
    program makes this phase long."""
    site.server(TWO)
    echo(site)
    still = "[Service]\nType=exec\nExecStart=\nExecStart=/bin/sleep infinity\n"
    site.machine.write("/etc/systemd/system/tq-proxy@2.service.d/50-test.conf", still)
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("restart", "tq-proxy@2")
    assert site.get("/alpha/") == (200, "ok")


def test_a_stop_of_a_worker_waits_for_what_every_process_has(site: Site) -> None:
    site.server(TWO)
    echo(site)
    clients = [held(site, 1, "first"), held(site, 2, "second")]
    site.machine.systemctl("stop", "--no-block", "tq-worker@alpha")
    site.machine.wait_until(lambda: not site.machine.exists(SERVING))
    for client, name in zip(clients, ("USR1", "USR2"), strict=True):
        assert site.machine.show("tq-worker@alpha.service", "ActiveState") == "deactivating"
        signal(site, "tq-worker@alpha", name)
        with client, client.makefile("rb") as answer:
            assert answer.read().endswith(b"\r\n\r\ndone")
    site.machine.wait_until(lambda: site.machine.show("tq-worker@alpha.service", "ActiveState") == "inactive")


def test_systemctl_status_tells_what_the_router_does(site: Site) -> None:
    rude(site)
    assert site.machine.show("tq-proxy@1.service", "StatusText") == "routing 1 paths to 1 workers"
    told = re.compile(r"routing 1 paths to 1 workers; 5 connections, [1-9][0-9]* requests/s")
    with hammered(site, 5):
        site.machine.wait_until(lambda: bool(told.fullmatch(site.machine.show("tq-proxy@1.service", "StatusText"))))


def test_a_router_that_hangs_is_started_again_and_the_workers_run_on(site: Site) -> None:
    site.machine.write(f"{OVERRIDES}/50-test.conf", "[Service]\nWatchdogSec=500ms\n")
    echo(site)
    router, worker = pid(site, "tq-proxy@1.service"), pid(site, "tq-worker@alpha.service")
    signal(site, "tq-proxy@1", "STOP")
    assert site.get("/alpha/") == (200, "ok")  # it waits in the socket until a router runs again
    assert site.machine.show("tq-proxy@1.service", "NRestarts") == "1"
    assert pid(site, "tq-proxy@1.service") != router
    assert pid(site, "tq-worker@alpha.service") == worker
    assert "Watchdog timeout" in site.machine.journal("tq-proxy@1.service")


def test_the_sandbox_leaves_the_router_all_that_it_needs(site: Site) -> None:
    """Large bodies use splice(2) through pipes, files use sendfile(2), and changes of the routes
    come by inotify(7)."""
    site.machine.write(f"{ROOT}/workers/alpha/public/big", "y" * MEBIBYTE)
    echo(site, "static: {directory: public, prefix: /assets}\n")
    url = f"http://localhost:{LISTEN}/alpha"
    fetch = ["sh", "-c", 'curl -sf -m 20 "$@" | sha256sum', "sh"]
    assert site.machine.run([*fetch, f"{url}/bytes?of={MEBIBYTE}"]).stdout.split()[0] == digest(b"x")
    assert site.machine.run([*fetch, f"{url}/assets/big"]).stdout.split()[0] == digest(b"y")
    big = f"{ROOT}/workers/alpha/public/big"
    sent = site.machine.run(["curl", "-sf", "-m", "20", "-H", "Expect:", "--data-binary", f"@{big}", f"{url}/"])
    assert sent.stdout == digest(b"y")
    kinds = {kind.partition(":")[0] for kind in descriptors(site)} | set(descriptors(site))
    assert {"pipe", "anon_inode:inotify"} <= kinds
    said = site.machine.journal("tq-proxy@1.service", this_run(site))
    assert "not permitted" not in said
    assert "can not be watched" not in said


def digest(letter: bytes) -> str:
    return sha256(letter * MEBIBYTE).hexdigest()


def test_the_control_socket_is_for_the_managers_user_and_root_alone(site: Site) -> None:
    echo(site)
    assert site.get("/alpha/") == (200, "ok")
    assert json.loads(control(site, 1, "/status"))["pid"] == pid(site, "tq-proxy@1.service")
    metrics = control(site, 1, "/metrics")
    assert 'worker="alpha"' in metrics
    assert metrics.endswith("# EOF\n")
    assert control(site, 1, "/status", user="tqunits") == control(site, 1, "/status")
    owner, *fields = stat(site, control_socket(1)).split()
    assert (owner, fields) == ("tqunits", ["600", "socket"])
    assert site.machine.run(["getent", "passwd", "tqunits"]).stdout.endswith(":/nonexistent:/usr/sbin/nologin\n")


@pytest.mark.parametrize("user", ["worker-alpha", "nobody"])
def test_the_kernel_keeps_others_out_of_the_control_socket(site: Site, user: str) -> None:
    echo(site)
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = site.machine.run(["python3", "-c", connect, control_socket(1)], user=user, check=False)
    assert "PermissionError: [Errno 13] Permission denied" in done.stderr


@pytest.mark.long
def test_who_asks_a_process_that_restarts_gets_the_answer_of_the_next_one(site: Site) -> None:
    echo(site)
    before, file = pid(site, "tq-proxy@1.service"), inode(site, control_socket(1))
    wait = "[Service]\nExecStartPre=/bin/sh -c 'until [ -e /run/go ]; do sleep 0.05; done'\n"
    site.machine.write(f"{OVERRIDES}/50-test.conf", wait)
    site.machine.systemctl("daemon-reload")
    site.machine.systemctl("restart", "--no-block", "tq-proxy@1")
    site.machine.wait_until(lambda: site.machine.show("tq-proxy@1", "ActiveState") == "activating")
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answer:
        client.settimeout(30)
        client.connect(str(site.machine.root / control_socket(1).removeprefix("/")))
        client.sendall(b"GET /status HTTP/1.1\r\nHost: router\r\n\r\n")
        site.machine.write("/run/go", "")
        told = json.loads(answer.read().partition(b"\r\n\r\n")[2])
    site.machine.remove("/run/go")
    after = pid(site, "tq-proxy@1.service")
    assert (told["pid"], inode(site, control_socket(1))) == (after, file)
    assert after != before


def test_who_asks_a_process_that_has_crashed_gets_the_answer_of_the_next_one(site: Site) -> None:
    echo(site)
    before, file = pid(site, "tq-proxy@1.service"), inode(site, control_socket(1))
    signal(site, "tq-proxy@1", "KILL")
    site.machine.wait_until(lambda: pid(site, "tq-proxy@1.service") != before)
    told = json.loads(control(site, 1, "/status", user="tqunits"))
    assert (told["pid"], inode(site, control_socket(1))) == (pid(site, "tq-proxy@1.service"), file)


@pytest.mark.long
def test_a_process_is_stopped_with_its_control_socket_and_else_is_started_by_who_asks(site: Site) -> None:
    site.server(TWO)
    echo(site)
    site.machine.systemctl("stop", "tq-proxy@2")
    assert json.loads(control(site, 2, "/status"))["pid"] == pid(site, "tq-proxy@2.service")
    site.machine.systemctl("stop", "tq-proxy@2", "tq-proxy-control@2.socket")
    assert not site.machine.exists(control_socket(2))
    site.machine.systemctl("restart", "tq-worker@alpha")
    assert site.machine.show("tq-proxy@2.service", "ActiveState") == "inactive"
    site.machine.systemctl("start", "tq-proxy@2")
    assert json.loads(control(site, 2, "/status"))["pid"] == pid(site, "tq-proxy@2.service")


@pytest.mark.long
def test_a_control_socket_that_install_changes_is_made_anew_and_nothing_is_lost(site: Site) -> None:
    rude(site)
    ours = site.machine.read("/etc/systemd/system/tq-proxy-control@.socket")
    site.machine.write(TEMPLATE, ours.replace("SocketMode=0600", "SocketMode=0660"))
    with hammered(site, 20) as report:
        site.install()
        assert stat(site, control_socket(1)).split()[1] == "660"
        site.machine.wait_until(lambda: served(site, 1) > 0)
        site.machine.remove("/etc/tqunits")
        site.install()
    check(site, report)
    assert stat(site, control_socket(1)).split()[1] == "600"
    assert "nothing to do" in site.install()


def stat(site: Site, path: str) -> str:
    """Owner, mode and type."""
    return site.machine.run(["stat", "--format=%U %a %F", path]).stdout


def inode(site: Site, path: str) -> str:
    return site.machine.run(["stat", "--format=%i", path]).stdout


def test_each_request_is_an_entry_of_the_journal(site: Site) -> None:
    echo(site)
    status, fields = site.get("/alpha/fields")
    assert status == 200
    assert site.get("/nowhere")[0] == 404
    answered, refused = log(site)
    known = {name: answered[name] for name in ("TQ_WORKER", "HTTP_STATUS", "HTTP_METHOD", "REQUEST_ID")}
    assert known == {
        "TQ_WORKER": "alpha",
        "HTTP_STATUS": "200",
        "HTTP_METHOD": "GET",
        "REQUEST_ID": fields["x-request-id"],
    }
    assert ' "GET /alpha/fields HTTP/1.1" 200 ' in answered["MESSAGE"]
    assert answered["_SYSTEMD_UNIT"] == "tq-proxy@1.service"
    assert (refused["HTTP_STATUS"], "TQ_WORKER" in refused) == ("404", False)


def test_the_access_log_is_switched_off_and_on_by_install(site: Site) -> None:
    echo(site)
    router = pid(site, "tq-proxy@1.service")
    for text, entries in (("proxy: {access_log: none}\n", 0), ("", 1)):
        site.server(text)
        site.install()
        assert site.get("/alpha/") == (200, "ok")
        assert len(log(site)) == entries
    assert pid(site, "tq-proxy@1.service") == router


@pytest.mark.long
def test_requests_for_a_stopped_worker_are_answered_at_once(site: Site) -> None:
    """A stop by systemctl is known to systemd alone: requests wait, as in a restart."""
    echo(site, "proxy: {queue_timeout: 1s}\n")
    site.run("stop", "alpha")
    status, page = site.get("/alpha/")
    assert (status, "The worker is stopped." in page) == (503, True)
    site.run("start", "alpha")
    assert site.get("/alpha/") == (200, "ok")
    site.machine.systemctl("stop", "tq-worker@alpha")
    assert site.get("/alpha/")[0] == 504
    site.run("restart", "alpha")
    assert site.get("/alpha/") == (200, "ok")
    site.run("stop", "alpha")
    site.machine.systemctl("start", "tq-worker@alpha")  # this one takes effect, and from then on requests wait
    assert site.get("/alpha/") == (200, "ok")
    site.machine.systemctl("stop", "tq-worker@alpha")
    assert site.get("/alpha/")[0] == 504
    site.run("stop", "alpha")
    site.install()
    assert site.get("/alpha/") == (200, "ok")


@pytest.mark.long
def test_who_could_not_be_stopped_is_waited_for(site: Site) -> None:
    """A stop that systemd refuses has no lasting effect: when the worker crashes, its requests wait
    for the next start."""
    echo(site, "restart: {delay: 2s}\n")
    refuses = "/run/systemd/system/tq-worker@alpha.service.d/50-test.conf"
    site.machine.write(refuses, "[Unit]\nRefuseManualStop=yes\n")
    try:
        site.machine.systemctl("daemon-reload")
        site.run("stop", "alpha", status=1)
        signal(site, "tq-worker@alpha", "KILL")
        site.machine.wait_until(lambda: not site.machine.exists(SERVING))
        assert site.get("/alpha/") == (200, "ok")
    finally:
        site.machine.remove(refuses)
        site.machine.systemctl("daemon-reload")


@pytest.mark.long
def test_requests_for_a_worker_that_is_down_are_answered_at_once(site: Site) -> None:
    """Once it has not come up for as long as a start may take; before that they wait."""
    echo(site, "proxy: {queue_timeout: 20s}\ntimeouts: {start: 3s}\nrestart: {delay: 100ms}\n")
    site.machine.write(f"{ROOT}/workers/alpha/src/main.py", "raise SystemExit(3)\n")
    site.machine.run(["systemctl", "--no-block", "restart", "tq-worker@alpha"])
    site.machine.wait_until(lambda: "The worker is down." in site.get("/alpha/")[1])
    site.machine.write(f"{ROOT}/workers/alpha/src/main.py", ECHO)
    site.machine.wait_until(lambda: site.get("/alpha/") == (200, "ok"))


def test_uninstall_of_everything_waits_for_what_runs(site: Site) -> None:
    echo(site)
    with site.machine.connect(LISTEN, timeout=30) as client, client.makefile("rb") as answer:
        client.sendall(b"GET /alpha/first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        site.machine.wait_until(lambda: in_flight(site, 1) == 1)
        with site.machine.start(["/usr/local/bin/tqunits", "-C", ROOT, "uninstall", "--all"]) as uninstalling:
            for unit in ("tq-proxy@1.service", "tq-worker@alpha.service"):
                site.machine.wait_until(
                    lambda unit=unit: site.machine.show(unit, "ActiveState") == "deactivating"  # type: ignore[misc]
                )
            signal(site, "tq-worker@alpha", "USR1")
            assert answer.read().endswith(b"\r\n\r\ndone")
            assert uninstalling.wait(30) == 0


# Keeps sending requests to a control socket, as a worker's ExecStop= may at any moment, until the
# socket is gone.
ASKS = """
import contextlib, os, socket, sys
while os.path.exists(sys.argv[1]):
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(sys.argv[1])
"""


@pytest.mark.long
@pytest.mark.parametrize("active", ["active", "inactive"])
def test_who_asks_at_the_control_socket_does_not_start_what_is_uninstalled(site: Site, active: str) -> None:
    site.worker("alpha")
    site.install()
    if active == "inactive":
        site.machine.systemctl("stop", "tq.target")
        site.machine.systemctl("start", "tq-proxy@1.service", "tq-worker@alpha.service")
    assert site.machine.show("tq.target", "ActiveState") == active
    slowly = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=sendmsg:delay_enter=100000"]
    with site.machine.start(["python3", "-c", ASKS, control_socket(1)]) as asking:
        site.machine.run([*slowly, "/usr/local/bin/tqunits", "-C", ROOT, "uninstall", "--all"])
        assert asking.wait(10) == 0
    assert site.units() == []


@pytest.mark.short("purge")
@pytest.mark.parametrize("purge", [(), ("--purge", "--yes")], ids=["data-stays", "purge"])
def test_uninstall_leaves_nothing_of_the_router(site: Site, purge: tuple[str, ...]) -> None:
    site.server(TWO)
    for name, listen in (("alpha", "tcp"), ("beta", "unix"), ("gamma", "fd")):
        site.worker(name, f"listen: {listen}\n", program=RUDE)
    before = set(site.files())
    site.install()
    site.run("stop", "alpha")
    assert not site.machine.exists(SERVING)
    site.run("uninstall", "--all", *purge)
    assert site.units() == []
    data = "/var/lib/tqunits/workers/"
    assert {path for path in site.files() if purge or not path.startswith(data)} == before
    left = site.machine.run(["sh", "-c", "find /run/tqunits ! -type d ! -name '*.lock'; ss -Hltnx"]).stdout
    assert not re.search(rf"tqunits|:{LISTEN}\b", left)
