"""Workers that do not listen on a port: on a Unix socket of their own, and on a descriptor from
systemd."""

from __future__ import annotations

import json

import pytest

from .conftest import ROOT, Site

SOCKET = "/run/tqunits/workers/alpha/http.sock"
HANDED = "/run/tqunits/sockets/alpha.sock"

INHERITED = '''\
"""Serves the socket that it is handed (sd_listen_fds(3)); every answer is its process id."""

import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

assert (os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"]) == ("1", str(os.getpid()))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for them


server = Server(("", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=3)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.01)
server.server_close()
'''

HAMMER = f"""\
until test -e {ROOT}/enough; do
    curl -s -m 10 -o /dev/null -w '%{{http_code}}\\n' --unix-socket {HANDED} http://localhost/ || echo "exit status $?"
done
"""


def inherited(site: Site, yaml: str = "") -> None:
    site.worker("alpha", f"listen: fd\n{yaml}", program=INHERITED)


def state(site: Site, unit: str) -> str:
    return site.machine.show(unit, "ActiveState")


def main_pid(site: Site, unit: str) -> str:
    return site.machine.show(unit, "MainPID")


def backlog(site: Site) -> int:
    """The number of connections that wait to be accepted."""
    return int(site.machine.run(["ss", "-Hxl", "src", HANDED]).stdout.split()[2])


def only_worker(site: Site) -> dict[str, object]:
    (worker,) = json.loads(site.run("ls", "--json"))["workers"]
    return dict(worker)


def test_a_worker_on_a_unix_socket_is_for_the_router_alone(site: Site) -> None:
    site.worker("alpha", "listen: unix\n")
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    request = ["curl", "-s", "--unix-socket", SOCKET, "http://localhost/health"]
    assert site.machine.run(request, user="nobody", check=False).returncode == 7  # failed to connect
    assert site.machine.run(request).stdout == '"ok"'
    assert "127.0.0.1:9" not in site.machine.run(["ss", "-Hltn"]).stdout


@pytest.mark.long
def test_the_routers_group_for_a_later_unix_worker_comes_with_a_restart_of_the_router_alone(site: Site) -> None:
    site.worker("beta")
    site.install()
    router, beta = main_pid(site, "tq-proxy@1.service"), main_pid(site, "tq-worker@beta.service")
    site.worker("alpha", "listen: unix\n")
    assert "restart tq-proxy@1.service" in site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert site.machine.show("tq-proxy@1.service", "SupplementaryGroups") == "worker-alpha"
    assert main_pid(site, "tq-proxy@1.service") != router
    assert main_pid(site, "tq-worker@beta.service") == beta
    assert "nothing to do" in site.install()


@pytest.mark.long
def test_the_router_starts_again_when_a_unix_workers_group_is_gone(site: Site) -> None:
    site.worker("alpha", "listen: unix\n")
    site.worker("beta")
    site.install()
    site.run("uninstall", "alpha", "--purge")
    site.machine.systemctl("restart", "tq-proxy@1.service")
    assert site.get("/beta/health") == (200, "ok")
    assert "worker-alpha" not in site.users()
    site.machine.run(["systemd-sysusers"])  # as the next boot does
    assert "worker-alpha" not in site.users()


@pytest.mark.short("unix")
@pytest.mark.parametrize("listen", ["tcp", "unix"])
def test_a_worker_can_change_how_it_listens(site: Site, listen: str) -> None:
    before = "unix" if listen == "tcp" else "tcp"
    site.worker("alpha", f"listen: {before}\n")
    site.install()
    site.worker("alpha", f"listen: {listen}\n")
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert site.machine.exists(SOCKET) == (listen == "unix")
    assert "nothing to do" in site.install()


def test_a_worker_serves_the_socket_it_is_handed(site: Site) -> None:
    inherited(site)
    assert "0 errors, 0 warnings, 0 notes" in site.run("check")
    site.install()
    assert site.get("/alpha/") == (200, int(main_pid(site, "tq-worker@alpha.service")))
    assert site.machine.run(["stat", "-c", "%U %G %a", HANDED]).stdout.split() == ["root", "worker-alpha", "660"]
    assert "nothing to do" in site.install()


@pytest.mark.short("unix")
@pytest.mark.parametrize("listen", ["tcp", "unix", "fd"])
def test_the_blog_takes_all_three(site: Site, listen: str) -> None:
    folder = f"{ROOT}/workers/blog"
    site.machine.run(["cp", "-R", "/srv/tqunits/workers/blog", folder])
    yaml = site.machine.read(f"{folder}/config/worker.yaml")
    assert "\nlisten: tcp " in yaml
    site.yaml("blog", yaml.replace("\nlisten: tcp ", f"\nlisten: {listen} "))
    site.install()
    assert site.get("/blog/health")[0] == 200
    assert (only_worker(site)["port"] is None) == (listen != "tcp")
    site.run("restart", "blog")
    assert site.get("/blog/health")[0] == 200


def test_a_restart_refuses_no_connection_to_a_handed_socket(site: Site) -> None:
    inherited(site)
    site.install()
    pid = main_pid(site, "tq-worker@alpha.service")
    with site.machine.start(["sh", "-c", HAMMER]) as hammer:
        assert hammer.stdout is not None
        codes = [hammer.stdout.readline()]  # the request has begun
        for _ in range(3):
            site.run("restart", "alpha")
        site.machine.write(f"{ROOT}/enough", "")
        codes += hammer.stdout.readlines()
    assert main_pid(site, "tq-worker@alpha.service") != pid
    assert "exit status 7\n" not in codes  # curl(1): refused. What the probe has accepted, its end drops
    assert codes.count("200\n") > 3


@pytest.mark.short("restart")
@pytest.mark.parametrize("ending", [["restart"], ["kill", "--signal=KILL"]], ids=["restart", "crash"])
def test_a_handed_socket_and_who_waits_there_outlive_the_process(site: Site, ending: list[str]) -> None:
    """Promise P2 without help of the router: the next process accepts the connections that were not
    accepted."""
    inherited(site)
    site.install()
    inode = site.machine.run(["stat", "-c", "%i", HANDED]).stdout
    site.machine.systemctl("kill", "--signal=STOP", "tq-worker@alpha.service")  # so it accepts no connection
    argv = ["curl", "-s", "-m", "20", "-w", " %{http_code}", "--unix-socket", HANDED, "http://localhost/"]
    with site.machine.start(argv) as waiting:
        site.machine.wait_until(lambda: backlog(site) == 1)
        site.machine.systemctl(*ending, "tq-worker@alpha.service")
        answer, errors = waiting.communicate(timeout=30)
    assert answer.endswith(" 200"), errors
    assert site.machine.run(["stat", "-c", "%i", HANDED]).stdout == inode


def test_a_worker_that_crashes_for_good_takes_its_socket_along(site: Site) -> None:
    inherited(site, 'restart: {policy: "no"}\n')
    site.install()
    site.machine.systemctl("kill", "--signal=KILL", "tq-worker@alpha.service")
    site.machine.wait_until(lambda: state(site, "tq-worker@alpha.service") == "failed")
    site.machine.wait_until(lambda: state(site, "tq-worker@alpha.socket") == "inactive")
    assert not site.machine.exists(HANDED)


@pytest.mark.short("systemctl")
@pytest.mark.parametrize("by", ["tqunits", "systemctl"])
def test_a_stopped_worker_is_not_started_by_a_connection(site: Site, by: str) -> None:
    inherited(site, "proxy: {queue_timeout: 500ms}\n")
    site.install()
    if by == "tqunits":
        site.run("stop", "alpha")
    else:
        site.machine.systemctl("stop", "tq-worker@alpha")
    site.machine.wait_until(lambda: state(site, "tq-worker@alpha.socket") == "inactive")
    assert site.get("/alpha/")[0] == (503 if by == "tqunits" else 504)  # it waits that long, and starts no worker
    assert [state(site, f"tq-worker@alpha.{kind}") for kind in ("service", "socket")] == ["inactive"] * 2
    site.run("start", "alpha")
    assert site.get("/alpha/")[0] == 200


def test_a_socket_that_is_started_alone_ends_at_once_and_starts_no_worker(site: Site) -> None:
    """The socket unit is only needed by its worker. `systemctl start` of the service starts it
    too."""
    inherited(site, "proxy: {queue_timeout: 500ms}\n")
    site.install()
    site.run("stop", "alpha")
    site.machine.systemctl("start", "tq-worker@alpha.socket", check=False)
    site.machine.wait_until(lambda: state(site, "tq-worker@alpha.socket") == "inactive")
    assert site.get("/alpha/")[0] == 503
    assert [state(site, f"tq-worker@alpha.{kind}") for kind in ("service", "socket")] == ["inactive"] * 2


def test_connections_that_keep_coming_do_not_start_a_worker_that_stops(site: Site) -> None:
    inherited(site)
    site.install()
    with site.machine.start(["sh", "-c", HAMMER]) as hammer:
        assert hammer.stdout is not None
        assert hammer.stdout.readline() == "200\n"
        site.machine.systemctl("stop", "tq-worker@alpha")
        assert "exit status 7\n" in hammer.stdout  # curl(1): the socket is gone
        site.machine.write(f"{ROOT}/enough", "")
        hammer.communicate()
    assert [state(site, f"tq-worker@alpha.{kind}") for kind in ("service", "socket")] == ["inactive"] * 2


@pytest.mark.long
def test_a_worker_that_is_switched_off_takes_its_socket_along(site: Site) -> None:
    inherited(site)
    site.install()
    inherited(site, "enabled: false\n")
    site.install()
    assert site.get("/alpha/")[0] == 503
    assert [state(site, f"tq-worker@alpha.{kind}") for kind in ("service", "socket")] == ["inactive"] * 2
    assert "nothing to do" in site.install()


def test_a_handed_socket_stays_the_routers_whatever_the_workers_group(site: Site) -> None:
    inherited(site)
    site.install()
    inherited(site, "group: www-data\n")
    site.install()
    owner = ["worker-alpha", "worker-alpha", "660"]  # it belongs to the worker's user, for the gate
    assert site.machine.run(["stat", "-c", "%U %G %a", HANDED]).stdout.split() == owner
    assert site.get("/alpha/") == (200, int(main_pid(site, "tq-worker@alpha.service")))
    assert "nothing to do" in site.install()


@pytest.mark.long
def test_a_socket_unit_goes_when_its_worker_takes_a_port(site: Site) -> None:
    inherited(site)
    site.install()
    site.worker("alpha")
    assert "-ListenStream=" in site.run("diff", status=2)
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert state(site, "tq-worker@alpha.socket") == "inactive"
    assert not site.machine.exists("/etc/systemd/system/tq-worker@alpha.socket")
    assert "nothing to do" in site.install()


@pytest.mark.long
def test_a_worker_with_a_port_can_be_handed_a_socket(site: Site) -> None:
    site.worker("alpha")
    site.install()
    inherited(site)
    site.install()
    assert site.get("/alpha/") == (200, int(main_pid(site, "tq-worker@alpha.service")))
    assert "nothing to do" in site.install()


@pytest.mark.long
def test_uninstall_takes_the_socket_unit_too(site: Site) -> None:
    site.worker("beta")
    site.install()
    units, before = site.units(), set(site.files())
    inherited(site)
    site.install()
    site.run("uninstall", "alpha", "--purge")
    assert site.units() == units
    assert set(site.files()) == before
