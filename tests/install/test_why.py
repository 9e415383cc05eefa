"""`tqunits why`: each kind of failure with a real worker. All workers are started at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from machine import Machine

from .conftest import ROOT, Site, given_to
from .test_backoff import wait

SHORT = "timeouts: {start: 8s}\nhealth: {timeout: 1s}\nrestart: {policy: no}\n"
PYTHON = "command: [python3, src/main.py]\n"
ANSWERS = """
import http.server, os, signal
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        FIRST
        self.send_response(STATUS)
        self.end_headers()
        self.wfile.write(b"the database is gone")
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(PORT)), Handler).serve_forever()
"""


SILENT = "import signal\nsignal.pause()\n"


def answering(*, status: str = "200", first: str = "pass", port: str = 'os.environ["PORT"]') -> str:
    return ANSWERS.replace("FIRST", first).replace("STATUS", status).replace("PORT", port, 1)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A worker that fails, and the expected explanation."""

    program: str = ""
    yaml: str = PYTHON
    kind: str
    words: tuple[str, ...]  # of the sentence
    hint: str = ""
    link: str = "start"
    place: str = ""  # its end
    sandbox: str | None = None
    killed_by: str | None = None
    answer: str = ""
    status: int = 1  # of `start` for this worker alone: 6 if the cause is its health or a time-out


LOGS = """try:
            os.nice(5)
        except OSError:
            import traceback; traceback.print_exc()"""
MAIN = f"{ROOT}/workers/NAME/src/main.py"
JIT = Failure(
    program="import mmap\nmmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)\n",
    kind="sandbox",
    words=("memory that is writable and executable",),
    hint="`sandbox: jit`",
    sandbox="write-execute",
    place="/src/main.py:2",
)
FAILURES = {
    "syntax": Failure(
        program="import os\ndef f(:\n    pass\n",
        kind="syntax-error",
        words=("syntax error", "SyntaxError"),
        place="/src/main.py:2",
        hint="mend",
    ),
    "wrongport": Failure(
        program=answering(port="18999"),
        kind="wrong-port",
        words=("listens on 127.0.0.1:18999", "asked on 127.0.0.1:90"),
        hint="$PORT",
        link="health",
        status=6,
    ),
    "noprogram": Failure(
        yaml="command: [bin/nothing]\n",
        program="",
        kind="program-missing",
        words=("bin/nothing does not exist",),
        hint="command",
    ),
    "nomodule": Failure(
        program="import os\nimport no_such_module\n",
        kind="module-missing",
        words=("No module named 'no_such_module'",),
        place="/src/main.py:2",
        hint="build:",
    ),
    "health500": Failure(
        program=answering(status="500"),
        kind="health",
        words=("/health", "500 Internal Server Error", "the database is gone"),
        answer="500 Internal Server Error: the database is gone",
        link="health",
        status=6,
    ),
    "slow": Failure(
        program=answering(first="signal.pause()"),
        kind="slow",
        words=("listens", "no answer", "8 s"),
        hint="timeouts.start",
        link="health",
        status=6,
    ),
    "silent": Failure(
        program=SILENT,
        kind="start-timeout",
        words=("nothing listened on 127.0.0.1:90", "8 s"),
        hint="timeouts: {start: SPAN}",
        link="health",
        status=6,
    ),
    "memory": Failure(
        program="data = b'x' * (200 << 20)\n",
        yaml=f"{PYTHON}limits: {{memory_max: 40M}}\n",
        kind="out-of-memory",
        words=("memory",),
        hint="memory_max",
    ),
    "jit": JIT,
    "node": replace(
        JIT,
        yaml="command: [node, src/main.py]\nsandbox: standard\n",
        program="require('http')\nprocess.exit(3)\n",
        place="",
    ),
    "readonly": Failure(
        program="open('src/cache', 'w')\n",
        kind="sandbox",
        words=("read", "not write", "Read-only file system"),
        hint="writable-code",
        sandbox="read-only",
        place="/src/main.py:1",
    ),
    "permission": Failure(
        program="open('/srv/secret')\n",
        kind="file-permission",
        words=("/srv/secret", "worker-permission", "mode 0600, of root"),
        hint="/srv/secret",
        place="/src/main.py:1",
    ),
    "taken": Failure(
        program="import socket, os\nsocket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n",
        kind="port-taken",
        words=("is taken", "in use", "of nobody"),
        hint="lets go",
        place="/src/main.py:2",
    ),
    "variable": Failure(
        program="import os\ndef boot():\n    return os.environ['DATABASE_URL']\nboot()\n",
        kind="environment",
        words=("DATABASE_URL",),
        hint="environment: {DATABASE_URL: ...}",
        place="/src/main.py:3",
    ),
    "hidden": Failure(
        program="open('/root/settings.ini')\n",
        kind="sandbox",
        words=("/root/settings.ini", "hides /root"),
        hint="/srv",
        sandbox="hidden",
    ),
    "seccomp": Failure(
        program="import os\nos.sched_setaffinity(0, {0})\n",
        kind="sandbox",
        words=("system call", "SIGSYS"),
        sandbox="system-call",
        killed_by="kernel",
    ),
    "nice": Failure(
        program="import os\nos.nice(5)\n",
        yaml=f"{PYTHON}sandbox: {{profile: strict, relax: [proc]}}\n",
        kind="sandbox",
        words=("set priorities",),
        hint="write `sandbox: {profile: strict, relax: [proc, resources]}` in its worker.yaml, then 'tqunits install",
        sandbox="resources",
        place="/src/main.py:2",
    ),
    "outbound": Failure(
        program="import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('10.9.9.9', 53))\n",
        yaml=f"{PYTHON}sandbox: strict\n",
        kind="sandbox",
        words=("reach other hosts",),
        hint="`sandbox: {profile: strict, relax: [outbound]}`",
        sandbox="outbound",
        place="/src/main.py:2",
    ),
    "netlink": Failure(
        program="import socket\nsocket.if_nameindex()\n",
        kind="sandbox",
        words=("list network interfaces",),
        hint="`sandbox: {profile: standard, relax: [netlink]}`",
        sandbox="netlink",
    ),
    "proc": Failure(
        program="open('/proc/meminfo')\n",
        yaml=f"{PYTHON}sandbox: [strict, netlink]\n",
        kind="sandbox",
        words=("see /proc/meminfo",),
        hint="`sandbox: {profile: strict, relax: [netlink, proc]}`",
        sandbox="proc",
    ),
    "device": Failure(
        program="open('/dev/tty9')\n",
        kind="sandbox",
        words=("/dev/tty9 is there", "hides /dev"),
        hint="`sandbox: {profile: standard, relax: [devices]}`",
        sandbox="hidden",
    ),
    "journal": Failure(
        program="import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('/run/systemd/journal/stdout')\n",
        kind="sandbox",
        words=("the journal's own sockets",),
        hint="`sandbox: {profile: standard, relax: [journal]}`",
        sandbox="journal",
    ),
    "owner": Failure(
        program="import os\nos.setgid(1)\n",
        kind="sandbox",
        words=("become another user, and nothing in `sandbox` does",),
        hint="`user` of its worker.yaml",
        sandbox="not-permitted",
    ),
    "goeson": Failure(
        program=answering(status="500", first=LOGS),
        kind="health",
        words=("/health", "500 Internal Server Error"),
        hint="`sandbox: {profile: standard, relax: [resources]}`",
        sandbox="resources",
        link="health",
        answer="500 Internal Server Error",
        status=6,
    ),
    "shell": Failure(
        yaml='command: ["sh", "src/main.py"]\n',
        program="set -e\nno-such-program --serve\n",
        kind="program-missing",
        words=("no-such-program",),
        place="main.py:2",
    ),
}


KILLS = "[Service]\nSystemCallErrorNumber=\nSystemCallFilter=~sched_setaffinity\n"  # as `systemctl edit` writes it


@pytest.fixture
def failed(site: Site) -> Iterator[Site]:
    """All of them, each started once."""
    site.server("mode: production\nworkers: {port_range: 9000-9100}\n")
    for name, failure in FAILURES.items():
        site.yaml(name, f"path: /{name}\n{failure.yaml}{SHORT}")
        site.machine.write(f"{ROOT}/workers/{name}/src/main.py", failure.program)
    site.machine.write("/srv/secret", "s", 0o600)
    site.machine.write("/root/settings.ini", "s")
    site.machine.write("/dev/tty9", "")
    site.machine.run(["ip", "address", "add", "10.9.9.1/24", "dev", "lo"])  # a network route to other hosts
    site.machine.write(f"{ROOT}/workers/noprogram/bin/nothing", "#!/bin/sh\n", 0o755)
    site.run("install")
    site.machine.remove(f"{ROOT}/workers/noprogram/bin/nothing")
    site.machine.write("/etc/systemd/system/tq-worker@seccomp.service.d/90-own.conf", KILLS)
    site.machine.systemctl("daemon-reload")
    port = json.loads(site.run("ls", "--json", "taken", status=3))["workers"][0]["port"]
    listen = f"import socket; s = socket.create_server(('127.0.0.1', {port})); s.listen(0); print(flush=True); input()"
    with site.machine.start(["python3", "-c", listen], stdin=-1, user="nobody") as squatter:
        assert squatter.stdout
        squatter.stdout.readline()
        yield site
        squatter.kill()
    site.machine.remove("/srv/secret")
    site.machine.remove("/root/settings.ini")
    site.machine.remove("/dev/tty9")
    site.machine.run(["ip", "address", "del", "10.9.9.1/24", "dev", "lo"])


def explained(machine: Machine, *names: str, status: int = 1) -> dict[str, Any]:
    done = machine.tqunits("-C", ROOT, "why", "--json", *names, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["version"]) == ("tqunits.why", 1)
    return {worker["name"]: worker for worker in document["workers"]}


def test_every_kind_of_failure_is_told_for_what_it_is(failed: Site) -> None:
    said = failed.run("start", "--all", status=1)
    found = explained(failed.machine, *FAILURES)
    if not failed.machine.exists("/sys/fs/cgroup/cgroup.controllers"):
        # with version 1 there is no report that the kernel killed it
        assert found["memory"].pop("kind") == "killed"
        found["memory"]["kind"] = "out-of-memory"
    wrong = {name: complaint for name in FAILURES if (complaint := mistakes(name, found[name], said))}
    assert not wrong, json.dumps(wrong, indent=1)


def mistakes(name: str, worker: dict[str, Any], said: str) -> list[str]:
    """The explanations that are not as expected."""
    wanted = FAILURES[name]
    sentence = worker["sentence"]
    error = worker["error"] or {"place": ""}
    checks = {
        "kind": worker["kind"] == wanted.kind,
        "words": all(word in sentence for word in wanted.words),
        "hint": any(wanted.hint in line for line in worker["advice"]) or not wanted.hint,
        "link": worker["broken"] == wanted.link,
        "place": str(error["place"] or "").endswith(wanted.place),
        "sandbox": worker["sandbox"] == wanted.sandbox,
        "killed_by": worker["killed_by"] == wanted.killed_by,
        "answer": wanted.answer in (worker["answer"] or ""),
        "start says the same": f"{name}: {sentence}\n" in said,
        "wrong": worker["wrong"] and not worker["well"],
    }
    return [f"{what}: {worker}" for what, holds in checks.items() if not holds]


def test_who_killed_it_is_told(site: Site) -> None:
    site.worker("alpha", "restart: {policy: no}\n")
    site.install()
    site.machine.systemctl("kill", "--signal=KILL", "tq-worker@alpha")
    site.machine.wait_until(["systemctl", "is-failed", "tq-worker@alpha"])
    worker = explained(site.machine, "alpha")["alpha"]
    assert worker["kind"] == "killed"
    assert "killed with SIGKILL" in worker["sentence"]
    if site.machine.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert (worker["killed_by"], "from outside" in worker["sentence"]) == ("outside", True)
    assert "SIGKILL" in site.run("show", "alpha").splitlines()[0]


def test_what_is_well_waits_or_is_down_on_purpose_is_told_apart(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta", "timeouts: {start: 50s}\n", program=SILENT)
    site.worker("gamma")
    site.worker("broken", "path: [\n")
    site.run("install", "alpha", "beta", "gamma")
    site.run("start", "alpha")
    site.run("start", "--no-block", "beta")
    site.machine.wait_until(lambda: site.machine.show("tq-worker@beta", "ActiveState") == "activating")
    assert explained(site.machine, "alpha", status=0)["alpha"]["sentence"] == "it runs, and is healthy"
    beta = explained(site.machine, "beta", status=3)["beta"]
    assert (beta["kind"], beta["wrong"]) == ("waiting", False)
    assert "has not passed yet (at most 50 s)" in beta["sentence"]
    assert explained(site.machine, "gamma", status=3)["gamma"]["kind"] == "stopped"
    broken = explained(site.machine, "broken")["broken"]
    assert (broken["kind"], broken["broken"]) == ("configuration", "file")
    assert "worker.yaml:" in broken["sentence"]
    site.run("why", "nobody", status=4)
    said = site.run("why", "alpha", "broken", status=1)
    assert said.startswith("alpha: it runs, and is healthy\n")
    site.machine.systemctl("stop", "tq-worker@beta")


def test_a_worker_that_runs_is_asked_how_it_is(site: Site) -> None:
    site.worker("alpha")
    site.install()
    site.machine.write("/var/lib/tqunits/workers/alpha/sick", "")
    worker = explained(site.machine, "alpha")["alpha"]
    assert (worker["kind"], worker["broken"], worker["answer"]) == (
        "health",
        "health",
        '503 Service Unavailable: "sick"',
    )


def test_a_worker_that_runs_and_says_what_it_lacks_is_told_the_line_to_write(site: Site) -> None:
    sick = "/var/lib/tqunits/workers/alpha/sick"
    first = f"self.status = 500 if os.path.exists({sick!r}) else 200\n        if self.status == 500: os.nice(5)"
    site.worker("alpha", program=answering(status="self.status", first=first))
    site.install()
    site.machine.write(sick, "")
    worker = explained(site.machine, "alpha")["alpha"]
    assert (worker["kind"], worker["broken"], worker["sandbox"]) == ("health", "health", "resources")
    assert any("`sandbox: {profile: standard, relax: [resources]}`" in line for line in worker["advice"])


def test_a_worker_that_is_not_roots_is_told_the_grant_that_it_needs(host: Site, alice: str) -> None:
    host.worker("alpha", f"{SHORT}sandbox: strict\n", program="open('/dev/tty9')\n")
    given_to(host, alice)
    host.machine.write("/dev/tty9", "")
    host.install(status=1)
    found = host.run("why", "alpha", status=1)
    assert "write `sandbox: {profile: strict, relax: [devices]}` in its worker.yaml" in found
    assert "`grants: {alpha: {sandbox: [devices]}}`" in found
    host.server("mode: production\ngrants: {alpha: {sandbox: [devices]}}\n")
    host.worker("alpha", f"{SHORT}sandbox: {{profile: strict, relax: [devices]}}\n")
    given_to(host, alice)
    host.run("install")
    host.machine.remove("/dev/tty9")


def test_ls_shows_who_needs_somebody_first_and_whom_install_has_left_out(site: Site) -> None:
    site.worker("alpha")
    site.worker("broken", "path: [\n")
    site.worker("sick", SHORT.replace("8s", "1s"), program=SILENT)
    site.yaml("lacking", "path: /lacking\ncommand: [no-such-program]\n")
    site.install(status=1)
    site.worker("new")
    workers = json.loads(site.run("ls", "--json"))["workers"]
    states = [(worker["name"], worker["state"]) for worker in workers]
    assert states == [
        ("broken", "refused"),
        ("lacking", "skipped"),
        ("sick", "failed"),
        ("alpha", "healthy"),
        ("new", "not installed"),
    ]
    details = {worker["name"]: worker["detail"] for worker in workers}
    assert details == {"broken": None, "lacking": None, "sick": "health check", "alpha": None, "new": None}
    reasons = {worker["name"]: worker["left_out"] for worker in workers}
    assert "broken/config/worker.yaml:" in reasons["broken"]["reason"]
    assert "no-such-program" in reasons["lacking"]["reason"]
    assert reasons["alpha"] is reasons["new"] is None
    site.run("ls", "new", status=3)
    site.worker("broken")
    site.remove_worker("lacking")
    site.run("install", "broken", "alpha")
    told = site.run("ls")
    assert "lacking" not in told
    assert "left out" not in told


def test_who_was_installed_and_is_refused_runs_and_says_so(site: Site) -> None:
    site.worker("alpha")
    site.install()
    site.worker("alpha", "path: [\n")
    site.install(status=1)
    (worker,) = json.loads(site.run("ls", "--json"))["workers"]
    assert (worker["state"], worker["left_out"]["kind"]) == ("healthy", "refused")
    assert "alpha is left out by the last install: " in site.run("ls")


OVERTAKEN = """
from tqunits.host import endings
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.lifecycle.outcome import JobResult
from tqunits.system.bus import Bus

with Bus(user_mode=False) as bus:
    failed = JobResult(unit="tq-worker@alpha.service", result="failed", failure=bus.failure("tq-worker@alpha.service"))
(ending,) = endings.judged([failed], SYSTEM_LAYOUT, user_mode=False)
print(ending.sentence, ending.details, failed.failure)
"""


def test_a_start_that_the_next_one_has_overtaken_is_read_from_the_journal(site: Site) -> None:
    """systemd knows the last start only. On a busy host the next one may have begun before the
    command that waited for the first asks why that has failed."""
    flag = "/var/lib/tqunits/workers/alpha/flag"
    program = f"""import os, signal, sys
if os.path.exists("{flag}"):
    signal.pause()
open("{flag}", "w")
sys.exit("no database")
"""
    site.worker("alpha", "restart: {delay: 50ms}\n", program=program)
    site.install(status=1)
    wait(site, lambda: site.machine.show("tq-worker@alpha.service", "Result") == "success")
    said = site.machine.run(["/opt/tqunits/.venv/bin/python", "-I", "-c", OVERTAKEN]).stdout
    assert "exited with status 1" in said
    assert "no database" in said
