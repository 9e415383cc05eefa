"""All workers share the journal: what one writes to it is limited, and does not pass for
another's."""

from __future__ import annotations

import json

import pytest
from machine import Machine

from .conftest import PROBE, Site, sync_access_log

WRITE = """\
import array, fcntl, os, socket, syslog

def attempt(what, act):
    try:
        act()
    except OSError as error:
        print(f"{what}: {error.strerror}", flush=True)
    else:
        print(f"{what}: taken", flush=True)

def datagram():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"MESSAGE=forged\\nUNIT=tq-worker@beta.service\\nTQUNITS_WORKER=forged\\n", NATIVE)

def file():
    memory = os.memfd_create("entry", os.MFD_ALLOW_SEALING)
    os.write(memory, b"MESSAGE=" + b"A" * (4 << 20) + b"\\n")
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, 15)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(NATIVE)
        sock.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))])

def stream():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect("/run/systemd/journal/stdout")
        sock.send(b"somebody\\n\\n6\\n0\\n0\\n0\\n0\\nby a stream\\n")

NATIVE = "/run/systemd/journal/socket"
attempt("an entry", datagram)
attempt("an entry in a file", file)
attempt("a stream", stream)
print("JOURNAL_STREAM", os.environ.get("JOURNAL_STREAM", "is not set"), flush=True)
syslog.syslog("by syslog")
"""

FLOOD = """\
import sys
sys.stdout.write("".join(f"<{n % 8}>line {n}\\n" for n in range(100000)))
sys.stdout.flush()
"""

BURST = 1000
PRIORITIES = 5  # journald's priority groups, each of which it counts separately
MODULATION = 6  # journald multiplies a burst by at most this, depending on free disk space


def messages(machine: Machine, unit: str, *more: str) -> list[str]:
    machine.run(["journalctl", "--sync"])
    return machine.journal(unit, *more).splitlines()


def test_a_worker_has_stdout_and_syslog_and_not_the_journals_own_sockets(site: Site) -> None:
    since = site.machine.cursor()
    site.worker("alpha", program=WRITE + PROBE)
    site.install()
    said = messages(site.machine, "tq-worker@alpha.service", since)
    for what in ("an entry", "an entry in a file", "a stream"):
        assert f"{what}: Permission denied" in said
    assert "JOURNAL_STREAM is not set" in said
    assert "by syslog" in said
    assert not site.machine.journal(None, since, "TQUNITS_WORKER=forged")


def test_who_needs_the_journals_own_socket_asks_for_it(site: Site) -> None:
    since = site.machine.cursor()
    site.worker("alpha", "sandbox: [standard, journal]\n", program=WRITE + PROBE)
    site.install()
    said = messages(site.machine, "tq-worker@alpha.service", since)
    for what in ("an entry", "an entry in a file", "a stream"):
        assert f"{what}: taken" in said


def test_a_flood_is_cut(site: Site) -> None:
    site.worker("torrent", program=FLOOD + PROBE)
    site.worker("beta", program="print('of beta', flush=True)\n" + PROBE)
    site.install()
    said = messages(site.machine, "tq-worker@torrent.service")
    lines = [line for line in said if line.startswith("line ")]
    assert BURST <= len(lines) <= BURST * PRIORITIES * MODULATION
    assert "of beta" in messages(site.machine, "tq-worker@beta.service")


def test_the_plain_journal_has_a_workers_messages(site: Site) -> None:
    site.worker("plain", program="print('to stdout', flush=True)\n" + PROBE)
    site.install()
    argv = ["journalctl", "-u", "tq-worker@plain", "-o", "json", "--output-fields=MESSAGE,TQUNITS_WORKER"]
    site.machine.run(["journalctl", "--sync"])
    entries = [json.loads(line) for line in site.machine.run(argv).stdout.splitlines()]
    assert [e["TQUNITS_WORKER"] for e in entries if e["MESSAGE"] == "to stdout"] == ["plain"]


ACCESS = ("journalctl", "--namespace=tq-access", "--output=cat", "--no-pager")
BOUND = "/etc/systemd/journald@tq-access.conf"


def requests(machine: Machine) -> list[str]:
    sync_access_log(machine)
    return machine.run(ACCESS).stdout.splitlines()


def test_what_clients_send_fills_the_access_logs_journal_and_no_other(site: Site) -> None:
    site.worker("quiet")
    site.install()
    assert site.get("/quiet/health?" + "x" * 6000) == (200, "ok")
    site.machine.run(["journalctl", "--sync"])
    assert "GET /quiet/health" not in site.machine.journal()
    (line,) = [line for line in requests(site.machine) if "GET /quiet/health?xxx" in line]
    assert len(line) < 1200
    assert "SystemMaxUse=256M" in site.machine.read(BOUND)
    site.run("uninstall", "--all")
    assert not site.machine.exists(BOUND)


def access_journals(machine: Machine) -> list[str]:
    find = ["find", "/var/log/journal", "/run/log/journal", "-maxdepth", "1", "-name", "*.tq-access"]
    return machine.run(find, check=False).stdout.splitlines()


@pytest.mark.long
def test_a_purge_takes_the_access_logs_journal_too(site: Site) -> None:
    site.worker("quiet")
    site.install()
    assert site.get("/quiet/health?purged") == (200, "ok")
    assert any("purged" in line for line in requests(site.machine))
    site.run("uninstall", "--all")
    assert access_journals(site.machine)
    said = site.run("uninstall", "--all", "--purge", "--yes")
    assert ".tq-access" in said
    assert not access_journals(site.machine)
    site.machine.run(["journalctl", "--sync"])
    assert "Worker quiet" in site.machine.journal("tq-worker@quiet.service")
    site.install()
    assert site.get("/quiet/health?again") == (200, "ok")
    lines = requests(site.machine)
    assert any("again" in line for line in lines)
    assert not any("purged" in line for line in lines)
    site.run("uninstall", "--all", "--purge", "--yes")
    assert not access_journals(site.machine)


def test_logs_shows_the_access_log_alone_and_among_the_others(site: Site) -> None:
    site.worker("foremost", program="print('foremost begins', flush=True)\n" + PROBE)
    site.worker("second")
    site.install()
    for name in ("foremost", "second"):
        assert site.get(f"/{name}/health?shown") == (200, "ok")
    requests(site.machine)
    messages(site.machine, "tq-worker@foremost.service")
    alone, of_one, everything = (site.run("logs", *more) for more in (("--access",), ("--access", "foremost"), ()))
    assert "GET /foremost/health?shown" in alone
    assert "GET /second/health?shown" in alone
    assert "foremost begins" not in alone
    assert "GET /foremost/health?shown" in of_one
    assert "second" not in of_one
    assert "GET /foremost/health?shown" in everything
    assert "foremost begins" in everything
    assert "GET /" not in site.run("logs", "foremost")
    assert "foremost begins" not in site.run("logs", "--router")
    assert "listening on" in site.run("logs", "--router")


ECHO_ID = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("looks into", self.headers["X-Request-ID"], flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["WORKER_PORT"])), Handler).serve_forever()
"""


def test_one_command_leads_from_a_request_to_all_its_lines(site: Site) -> None:
    site.worker("first", program=ECHO_ID)
    site.install()
    url = "http://localhost:8080/first/"
    heads = [site.machine.run(["curl", "-s", "-D", "-", url + path]).stdout for path in ("asked", "other")]
    asked, _ = (head.lower().partition("x-request-id: ")[2].split()[0] for head in heads)
    requests(site.machine)
    messages(site.machine, "tq-worker@first.service")
    said = site.run("logs", "--request", asked)
    assert said.count(f"looks into {asked}") == 1
    assert "GET /first/asked" in said
    assert "/first/other" not in said
    assert said.count("looks into") == 1
    unknown = "0" * 32
    assert f"nothing is known of a request '{unknown}'" in site.run("logs", "--request", unknown, status=1)
    assert "--request stands alone" in site.run("logs", "first", "--request", asked, status=2)


def test_the_router_serves_where_the_access_log_has_no_journal(site: Site) -> None:
    site.machine.systemctl("mask", "--runtime", "--now", "systemd-journald@tq-access.socket", check=False)
    site.machine.systemctl("stop", "systemd-journald@tq-access.service", "systemd-journald-varlink@tq-access.socket")
    try:
        site.worker("alone")
        site.install()
        for _ in range(3):
            assert site.get("/alone/health") == (200, "ok")
        assert "access log: lines are dropped" in "".join(messages(site.machine, "tq-proxy@1.service"))
    finally:
        site.machine.systemctl("unmask", "--runtime", "systemd-journald@tq-access.socket")


def test_a_worker_can_not_reach_the_access_logs_journal(site: Site) -> None:
    program = WRITE.replace("/run/systemd/journal/socket", "/run/systemd/journal.tq-access/socket")
    site.worker("liar", program=program + PROBE)
    site.install()
    assert "an entry: Permission denied" in messages(site.machine, "tq-worker@liar.service")
